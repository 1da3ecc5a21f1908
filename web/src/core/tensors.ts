/** Parameters under the names that `torch.nn.Sequential(Linear, activation, Linear, …)` gives them. */

import {
  type Activation,
  type Architecture,
  InputError,
  type Layer,
  type Parameters,
} from "./types";
import { counted } from "./words";

/** An array of numbers with its shape. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** What the page draws and computes: wider or deeper networks are refused. */
export const LIMITS = { layers: 3, width: 32, inputs: 64, outputs: 10 } as const;

/** `0.weight`, `0.bias`, `2.weight`, …: every second module is an activation. */
export function toTensors(p: Parameters): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  p.forEach((layer, l) => {
    tensors.set(`${2 * l}.weight`, { shape: [layer.rows, layer.columns], values: layer.weight });
    tensors.set(`${2 * l}.bias`, { shape: [layer.rows], values: layer.bias });
  });
  return tensors;
}

/**
 * The parameters that tensors of such names are, whatever stands before the numbers, in the order of the numbers.
 *
 * @param source what to call them in a message, such as "The file".
 * @throws InputError in one sentence.
 */
export function fromTensors(tensors: ReadonlyMap<string, Tensor>, source: string): Parameters {
  const layers = numbered(tensors, source).map(([name, weight, bias]) =>
    layerOf(name, weight, bias, source),
  );
  if (layers.length < 2)
    throw new InputError(`${source} has no hidden layer, so there are no nodes to exchange.`);
  for (let l = 1; l < layers.length; l++) {
    const [before, layer] = [layers[l - 1], layers[l]] as [Layer, Layer];
    if (before.rows !== layer.columns)
      throw new InputError(
        `${source} has a layer of ${counted(before.rows, "output")} before one of ${counted(layer.columns, "input")}.`,
      );
  }
  const [first, last] = [layers[0], layers.at(-1)] as [Layer, Layer];
  const hidden = layers.slice(0, -1).map((layer) => layer.rows);
  refuse(hidden, first.columns, last.rows, source);
  for (const [name, { values }] of tensors) {
    const wrong = values.findIndex((v) => !Number.isFinite(v));
    if (wrong >= 0)
      throw new InputError(
        `${source} has ${values[wrong]} in ${name}, which is not a finite number.`,
      );
  }
  return layers;
}

/** The architecture of `p`, of which its shapes tell all but the activation. */
export function architectureOf(p: Parameters, activation: Activation): Architecture {
  const [first, last] = [p[0], p.at(-1)] as [Layer, Layer];
  const hidden = p.slice(0, -1).map((layer) => layer.rows);
  return { inputs: first.columns, hidden, outputs: last.rows, activation };
}

/** @throws InputError where the page does not draw such a network. */
export function refuse(
  hidden: readonly number[],
  inputs: number,
  outputs: number,
  source: string,
): void {
  const bad = (what: string) => new InputError(`${source} has ${what}.`);
  if (hidden.length > LIMITS.layers)
    throw bad(`${hidden.length} hidden layers, and the page takes at most ${LIMITS.layers}`);
  for (const width of hidden)
    if (!(width >= 1 && width <= LIMITS.width))
      throw bad(
        `a hidden layer of ${counted(width, "node")}, and the page takes 1 to ${LIMITS.width}`,
      );
  if (inputs > LIMITS.inputs)
    throw bad(`${inputs} inputs, and the page takes at most ${LIMITS.inputs}`);
  if (outputs > LIMITS.outputs)
    throw bad(`${outputs} outputs, and the page takes at most ${LIMITS.outputs}`);
}

type Numbered = [name: string, weight: Tensor, bias: Tensor];

function numbered(tensors: ReadonlyMap<string, Tensor>, source: string): Numbered[] {
  const found = new Map<number, { weight?: Tensor; bias?: Tensor; name: string }>();
  for (const [name, tensor] of tensors) {
    const match = /^(.*?)(\d+)\.(weight|bias)$/.exec(name);
    if (!match)
      throw new InputError(
        `${source} holds ${name}, which is no weight or bias of a plain sequence of layers.`,
      );
    const number = Number(match[2]);
    const entry = found.get(number) ?? { name: `${match[1]}${match[2]}` };
    found.set(number, { ...entry, [match[3] as string]: tensor });
  }
  if (!found.size) throw new InputError(`${source} holds no weights.`);
  return [...found]
    .sort(([a], [b]) => a - b)
    .map(([, { name, weight, bias }]) => {
      if (!weight || !bias)
        throw new InputError(`${source} lacks ${name}.${weight ? "bias" : "weight"}.`);
      return [name, weight, bias];
    });
}

function layerOf(name: string, weight: Tensor, bias: Tensor, source: string): Layer {
  const [rows, columns] = weight.shape;
  if (weight.shape.length !== 2 || !rows || !columns)
    throw new InputError(
      `${source} has ${name}.weight of shape ${written(weight)}, and a matrix is expected.`,
    );
  if (bias.shape.length !== 1 || bias.shape[0] !== rows)
    throw new InputError(
      `${source} has ${name}.bias of shape ${written(bias)}, where ${counted(rows, "entry", "entries")} would fit.`,
    );
  return { rows, columns, weight: weight.values, bias: bias.values };
}

function written(tensor: Tensor): string {
  return tensor.shape.length ? tensor.shape.join(" × ") : "()";
}
