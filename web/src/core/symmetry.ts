/** Moves of the parameters: those that keep the function, and the averages that do not. */

import { TRAITS } from "./activations";
import { loss } from "./network";
import {
  type Activation,
  type Architecture,
  type Dataset,
  type Layer,
  type LossName,
  type Parameters,
  widthsOf,
} from "./types";

/** The network with nodes `i` and `j` of a hidden layer exchanged, each with all its edges. */
export function swap(p: Parameters, layer: number, i: number, j: number): Parameters {
  const order = Array.from({ length: width(p, layer) }, (_, k) => k);
  order[i] = j;
  order[j] = i;
  return permute(p, layer, order);
}

/** The network whose hidden node k is the node `order[k]` of `p`. */
export function permute(p: Parameters, layer: number, order: readonly number[]): Parameters {
  const n = width(p, layer);
  if (order.length !== n || new Set(order).size !== n || order.some((k) => !(k >= 0 && k < n)))
    throw new RangeError(`not a permutation of ${n} nodes: ${order.join(", ")}`);
  return changed(p, layer, (into, out) => {
    const before = p[layer] as Layer;
    const after = p[layer + 1] as Layer;
    for (let k = 0; k < n; k++) {
      const from = order[k] as number;
      for (let j = 0; j < into.columns; j++)
        into.weight[k * into.columns + j] = before.weight[from * into.columns + j] as number;
      into.bias[k] = before.bias[from] as number;
      for (let r = 0; r < out.rows; r++)
        out.weight[r * n + k] = after.weight[r * n + from] as number;
    }
  });
}

/** The network with node `i` of a hidden layer negated: its incoming edges, its bias and its outgoing edges. */
export function flip(p: Parameters, layer: number, i: number): Parameters {
  return scaled(p, layer, i, -1, -1);
}

/**
 * The network with node `i` of a hidden layer turned over as its activation allows, which keeps the function: a flip
 * where σ is odd; where it is even, only what enters is negated; where σ(−z) = 1 − σ(z), what leaves the node is also
 * added to the biases after it. Null where σ has no such law.
 */
export function mirror(
  activation: Activation,
  p: Parameters,
  layer: number,
  i: number,
): Parameters | null {
  const law = TRAITS[activation].mirror;
  if (!law) return null;
  const turned = scaled(p, layer, i, -1, law === "even" ? 1 : -1);
  if (law !== "half") return turned;
  const before = p[layer + 1] as Layer;
  const out = turned[layer + 1] as Layer;
  for (let r = 0; r < out.rows; r++)
    out.bias[r] = (out.bias[r] as number) + (before.weight[r * out.columns + i] as number);
  return turned;
}

/**
 * The network with what enters node `i` of a hidden layer multiplied by `factor` > 0, and what leaves it divided by
 * factorᵏ; k is the degree of its activation.
 */
export function rescale(
  p: Parameters,
  layer: number,
  i: number,
  factor: number,
  degree = 1,
): Parameters {
  if (!(factor > 0) || !Number.isFinite(factor))
    throw new RangeError(`a node is rescaled by a positive number, not ${factor}`);
  return scaled(p, layer, i, factor, 1 / factor ** degree);
}

function scaled(
  p: Parameters,
  layer: number,
  i: number,
  input: number,
  output: number,
): Parameters {
  const n = width(p, layer);
  if (!(i >= 0 && i < n)) throw new RangeError(`no node ${i} in a layer of ${n}`);
  return changed(p, layer, (into, out) => {
    for (let j = i * into.columns; j < (i + 1) * into.columns; j++)
      into.weight[j] = (into.weight[j] as number) * input;
    into.bias[i] = (into.bias[i] as number) * input;
    for (let k = i; k < out.weight.length; k += n)
      out.weight[k] = (out.weight[k] as number) * output;
  });
}

/** (1 − t)·a + t·b. */
export function interpolate(a: Parameters, b: Parameters, t: number): Parameters {
  return combine(a, b, (x, y) => (1 - t) * x + t * y);
}

function combine(
  a: Parameters,
  b: Parameters,
  entry: (x: number, y: number) => number,
): Parameters {
  const blend = (x: Float64Array, y: Float64Array): Float64Array => {
    const out = new Float64Array(x.length);
    for (let k = 0; k < out.length; k++) out[k] = entry(x[k] as number, y[k] as number);
    return out;
  };
  return a.map((one, l) => {
    const other = b[l] as Layer;
    return {
      rows: one.rows,
      columns: one.columns,
      weight: blend(one.weight, other.weight),
      bias: blend(one.bias, other.bias),
    };
  });
}

/**
 * The mean over all permutations of the nodes of the given hidden layers (default: all of them), by its closed form: an
 * axis that such a layer's nodes index takes its mean.
 */
export function average(p: Parameters, layers?: readonly number[]): Parameters {
  const chosen = new Set(layers ?? p.slice(1).map((_, l) => l));
  return p.map((layer, l) => {
    const { rows, columns } = layer;
    const weight = layer.weight.slice();
    const bias = layer.bias.slice();
    if (chosen.has(l - 1)) for (let i = 0; i < rows; i++) spread(weight, i * columns, 1, columns);
    if (chosen.has(l)) {
      for (let j = 0; j < columns; j++) spread(weight, j, columns, rows);
      spread(bias, 0, 1, rows);
    }
    return { rows, columns, weight, bias };
  });
}

/** Replace `count` entries by their mean. */
function spread(v: Float64Array, start: number, step: number, count: number): void {
  let sum = 0;
  for (let k = 0; k < count; k++) sum += v[start + k * step] as number;
  const mean = sum / count;
  for (let k = 0; k < count; k++) v[start + k * step] = mean;
}

/** The Euclidean distance between two networks of one architecture. */
export function distance(a: Parameters, b: Parameters): number {
  let sum = 0;
  for (let l = 0; l < a.length; l++) {
    const one = a[l] as Layer;
    const other = b[l] as Layer;
    for (let k = 0; k < one.weight.length; k++)
      sum += ((one.weight[k] as number) - (other.weight[k] as number)) ** 2;
    for (let k = 0; k < one.bias.length; k++)
      sum += ((one.bias[k] as number) - (other.bias[k] as number)) ** 2;
  }
  return Math.sqrt(sum);
}

/** All entries: layer by layer, weight before bias, as `torch.nn.utils.parameters_to_vector` orders them. */
export function flatten(p: Parameters): Float64Array {
  const out = new Float64Array(p.reduce((n, l) => n + l.weight.length + l.bias.length, 0));
  let at = 0;
  for (const layer of p) {
    out.set(layer.weight, at);
    at += layer.weight.length;
    out.set(layer.bias, at);
    at += layer.bias.length;
  }
  return out;
}

/** The parameters that {@link flatten} makes `v` of. */
export function unflatten(architecture: Architecture, v: Float64Array): Parameters {
  const widths = widthsOf(architecture);
  const layers: Layer[] = [];
  let at = 0;
  for (let l = 0; l + 1 < widths.length; l++) {
    const columns = widths[l] as number;
    const rows = widths[l + 1] as number;
    const weight = v.slice(at, at + rows * columns);
    at += rows * columns;
    const bias = v.slice(at, at + rows);
    at += rows;
    layers.push({ rows, columns, weight, bias });
  }
  if (at !== v.length) throw new RangeError(`this network has ${at} parameters, not ${v.length}`);
  return layers;
}

/** Whether two networks are equal entry by entry. */
export function equal(a: Parameters, b: Parameters): boolean {
  const x = flatten(a);
  const y = flatten(b);
  return x.length === y.length && x.every((v, k) => v === y[k]);
}

/** Two nodes of one hidden layer, and the loss halfway to the network in which they are exchanged. */
export interface Pair {
  readonly layer: number;
  readonly i: number;
  readonly j: number;
  readonly midpointLoss: number;
}

/** The exchange with the largest loss at its midpoint; null where no hidden layer has two nodes. */
export function bestSwap(
  architecture: Architecture,
  p: Parameters,
  data: Dataset,
  name: LossName,
  weightDecay = 0,
): Pair | null {
  let best: Pair | null = null;
  for (const [layer, n] of architecture.hidden.entries())
    for (let i = 0; i < n; i++)
      for (let j = i + 1; j < n; j++) {
        const middle = interpolate(p, swap(p, layer, i, j), 0.5);
        const midpointLoss = loss(architecture, middle, data, name, weightDecay);
        if (!best || midpointLoss > best.midpointLoss) best = { layer, i, j, midpointLoss };
      }
  return best;
}

/** Width of a hidden layer. */
function width(p: Parameters, layer: number): number {
  if (!(layer >= 0 && layer < p.length - 1))
    throw new RangeError(`no hidden layer ${layer} in a network of ${p.length - 1}`);
  return (p[layer] as Layer).rows;
}

/** `p` with the maps into and out of a hidden layer copied and handed to `edit`. */
function changed(
  p: Parameters,
  layer: number,
  edit: (into: Layer, out: Layer) => void,
): Parameters {
  const copy = (l: Layer): Layer => ({ ...l, weight: l.weight.slice(), bias: l.bias.slice() });
  const next = p.slice();
  const into = copy(p[layer] as Layer);
  const out = copy(p[layer + 1] as Layer);
  next[layer] = into;
  next[layer + 1] = out;
  edit(into, out);
  return next;
}
