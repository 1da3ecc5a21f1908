/** The network's arithmetic, in double precision: values, loss and gradient. */

import { activate, backward } from "./activations";
import { affine, collect, pull } from "./linear";
import { Random } from "./random";
import {
  type Architecture,
  type Dataset,
  type Layer,
  type LossName,
  type Parameters,
  widthsOf,
} from "./types";

/** Weights and biases uniform within ±1/√(fan-in), as those of a new torch.nn.Linear. */
export function initial(architecture: Architecture, seed: number): Parameters {
  const random = new Random(seed);
  return blank(architecture).map((layer) => {
    const bound = 1 / Math.sqrt(layer.columns);
    for (const part of [layer.weight, layer.bias])
      for (let k = 0; k < part.length; k++) part[k] = bound * (2 * random.uniform() - 1);
    return layer;
  });
}

/** Parameters of the right shapes, all zero. */
export function blank(architecture: Architecture): Layer[] {
  const widths = widthsOf(architecture);
  return widths.slice(1).map((rows, l) => {
    const columns = widths[l] as number;
    return {
      rows,
      columns,
      weight: new Float64Array(rows * columns),
      bias: new Float64Array(rows),
    };
  });
}

/** Outputs, and the values of every hidden layer after its activation; samples row by row. */
export function forward(
  architecture: Architecture,
  p: Parameters,
  x: Float64Array,
  samples: number,
): { outputs: Float64Array; hidden: Float64Array[] } {
  const hidden: Float64Array[] = [];
  let values = x;
  for (let l = 0; l < p.length; l++) {
    const layer = p[l] as Layer;
    const next = new Float64Array(samples * layer.rows);
    affine(layer, values, samples, next);
    if (l + 1 < p.length) {
      activate(architecture.activation, next, next);
      hidden.push(next);
    }
    values = next;
  }
  return { outputs: values, hidden };
}

/**
 * The mean loss over all samples: of squared errors over samples and outputs, or cross-entropy in nats; with weight
 * decay λ plus λ/2 · ‖p‖², weights and biases.
 */
export function loss(
  architecture: Architecture,
  p: Parameters,
  data: Dataset,
  name: LossName,
  weightDecay = 0,
): number {
  const room = workspace(architecture, data.samples);
  run(architecture, p, data.x, data.samples, room);
  const outputs = room.values[p.length] as Float64Array;
  const mean = compare(outputs, data, null, data.samples, name, null);
  return weightDecay ? mean + (weightDecay / 2) * squares(p) : mean;
}

/** The loss and its derivative with respect to every parameter. */
export function gradient(
  architecture: Architecture,
  p: Parameters,
  data: Dataset,
  name: LossName,
  weightDecay = 0,
): { loss: number; gradient: Parameters } {
  const result = blank(architecture);
  const value = gradientInto(architecture, p, data, null, name, weightDecay, result);
  return { loss: value, gradient: result };
}

/**
 * The same written into `into`, over the samples numbered in `batch`, or all where it is null.
 *
 * @returns the loss over these samples.
 */
export function gradientInto(
  architecture: Architecture,
  p: Parameters,
  data: Dataset,
  batch: Int32Array | null,
  name: LossName,
  weightDecay: number,
  into: readonly Layer[],
): number {
  const samples = batch ? batch.length : data.samples;
  const room = workspace(architecture, samples);
  const x = batch ? gathered(data, batch, room.inputs) : data.x;
  run(architecture, p, x, samples, room);
  let delta = room.deltas[p.length] as Float64Array;
  const outputs = room.values[p.length] as Float64Array;
  const value = compare(outputs, data, batch, samples, name, delta);
  for (let l = p.length - 1; l >= 0; l--) {
    const layer = p[l] as Layer;
    const values = l ? (room.values[l] as Float64Array) : x;
    collect(into[l] as Layer, layer, values, delta, samples, weightDecay);
    if (!l) break;
    const previous = room.deltas[l] as Float64Array;
    pull(layer, delta, samples, previous);
    backward(architecture.activation, room.before[l] as Float64Array, values, previous);
    delta = previous;
  }
  return weightDecay ? value + (weightDecay / 2) * squares(p) : value;
}

/** The share of samples whose class has the largest output; the first of several. */
export function accuracy(architecture: Architecture, p: Parameters, data: Dataset): number {
  const { outputs } = forward(architecture, p, data.x, data.samples);
  let right = 0;
  for (let s = 0; s < data.samples; s++)
    if (largest(outputs, s * data.outputs, data.outputs) === data.y[s]) right++;
  return right / data.samples;
}

/** The place of the largest of `count` entries from `start` on. */
export function largest(v: Float64Array, start: number, count: number): number {
  let best = 0;
  for (let k = 1; k < count; k++)
    if ((v[start + k] as number) > (v[start + best] as number)) best = k;
  return best;
}

/** The classes of `data` as 0s and 1s, for the squared error; values as they are. */
export function targets(data: Dataset): Float64Array {
  if (data.task === "regression") return data.y as Float64Array;
  const out = new Float64Array(data.samples * data.outputs);
  for (let s = 0; s < data.samples; s++) out[s * data.outputs + (data.y[s] as number)] = 1;
  return out;
}

// parts ---------------------------------------------------------------------------------------------------------

/** Arrays for one pass, kept from call to call: index l is what layer l takes, the last one the outputs. */
interface Room {
  readonly key: string;
  readonly inputs: Float64Array;
  /** Before the activation. */
  readonly before: Float64Array[];
  /** After it. */
  readonly values: Float64Array[];
  readonly deltas: Float64Array[];
}

/** The last few are kept: a page asks for the same shapes again and again. */
const rooms: Room[] = [];
const KEPT = 4;

function workspace(architecture: Architecture, samples: number): Room {
  const widths = widthsOf(architecture);
  const key = `${samples}:${widths.join()}`;
  const found = rooms.find((room) => room.key === key);
  if (found) return found;
  const arrays = () => widths.map((width, l) => new Float64Array(l ? samples * width : 0));
  const inputs = new Float64Array(samples * architecture.inputs);
  const room = { key, inputs, before: arrays(), values: arrays(), deltas: arrays() };
  rooms.unshift(room);
  rooms.length = Math.min(rooms.length, KEPT);
  return room;
}

function run(
  architecture: Architecture,
  p: Parameters,
  x: Float64Array,
  samples: number,
  room: Room,
): void {
  let values = x;
  for (let l = 0; l < p.length; l++) {
    const after = room.values[l + 1] as Float64Array;
    const last = l + 1 === p.length;
    const before = last ? after : (room.before[l + 1] as Float64Array);
    affine(p[l] as Layer, values, samples, before);
    if (!last) activate(architecture.activation, before, after);
    values = after;
  }
}

/** The mean loss; its derivative with respect to the outputs goes into `delta` unless that is null. */
function compare(
  outputs: Float64Array,
  data: Dataset,
  batch: Int32Array | null,
  samples: number,
  name: LossName,
  delta: Float64Array | null,
): number {
  return name === "mse"
    ? squaredError(outputs, data, batch, samples, delta)
    : crossEntropy(outputs, data, batch, samples, delta);
}

function squaredError(
  outputs: Float64Array,
  data: Dataset,
  batch: Int32Array | null,
  samples: number,
  delta: Float64Array | null,
): number {
  const width = data.outputs;
  const classes = data.task === "classification";
  const share = 2 / (samples * width);
  let sum = 0;
  for (let s = 0; s < samples; s++) {
    const sample = batch ? (batch[s] as number) : s;
    for (let k = 0; k < width; k++) {
      const wanted = classes
        ? Number(data.y[sample] === k)
        : (data.y[sample * width + k] as number);
      const d = (outputs[s * width + k] as number) - wanted;
      sum += d * d;
      if (delta) delta[s * width + k] = share * d;
    }
  }
  return sum / (samples * width);
}

function crossEntropy(
  outputs: Float64Array,
  data: Dataset,
  batch: Int32Array | null,
  samples: number,
  delta: Float64Array | null,
): number {
  if (data.task !== "classification")
    throw new RangeError("cross-entropy compares classes, and these data have none");
  const width = data.outputs;
  let sum = 0;
  for (let s = 0; s < samples; s++) {
    const at = s * width;
    const label = data.y[batch ? (batch[s] as number) : s] as number;
    let top = outputs[at] as number;
    for (let k = 1; k < width; k++) top = Math.max(top, outputs[at + k] as number);
    let total = 0;
    for (let k = 0; k < width; k++) total += Math.exp((outputs[at + k] as number) - top);
    const log = top + Math.log(total);
    sum += log - (outputs[at + label] as number);
    if (delta)
      for (let k = 0; k < width; k++)
        delta[at + k] =
          (Math.exp((outputs[at + k] as number) - log) - Number(k === label)) / samples;
  }
  return sum / samples;
}

function gathered(data: Dataset, batch: Int32Array, out: Float64Array): Float64Array {
  const width = data.inputs;
  for (let s = 0; s < batch.length; s++) {
    const from = (batch[s] as number) * width;
    for (let k = 0; k < width; k++) out[s * width + k] = data.x[from + k] as number;
  }
  return out;
}

function squares(p: Parameters): number {
  let sum = 0;
  for (const layer of p) {
    for (let k = 0; k < layer.weight.length; k++) sum += (layer.weight[k] as number) ** 2;
    for (let k = 0; k < layer.bias.length; k++) sum += (layer.bias[k] as number) ** 2;
  }
  return sum;
}
