/** Everything that is on screen, and what such a state speaks of. */

import { DATA_DEFAULTS, type DataId, dataKind, dataset, isDataId, OWN_LIMITS } from "./datasets";
import type { Fields } from "./fields";
import { initial } from "./network";
import { flatten } from "./symmetry";
import { architectureOf, refuse } from "./tensors";
import { METHODS, type Method } from "./training";
import {
  ACTIVATIONS,
  type Activation,
  type Architecture,
  type Dataset,
  InputError,
  LOSSES,
  type LossName,
  type Parameters,
} from "./types";

export interface State {
  /** One of the page's data sets, or `own`. */
  readonly data: DataId | "own";
  /** The data themselves where they are the reader's. */
  readonly own: Dataset | null;
  readonly samples: number;
  readonly noise: number;
  readonly hidden: readonly number[];
  readonly activation: Activation;
  readonly loss: LossName;
  readonly method: Method;
  readonly rate: number;
  readonly decay: number;
  /** Samples per step; 0 for all. */
  readonly batch: number;
  /** Of the first weights, the data and the order of the samples. */
  readonly seed: number;
  /** Training steps taken. */
  readonly steps: number;
  /** The network A; null before any training, when the seed says all. */
  readonly parameters: Parameters | null;
  /** The nodes that are exchanged in B. */
  readonly swap: Swap | null;
  /** The place between A and B. */
  readonly t: number;
  /** Whether the average over all permutations is shown. */
  readonly averaged: boolean;
  /** The point on the plane. */
  readonly place: readonly [number, number] | null;
  /** Screen of the tour, from 1; 0 outside it. */
  readonly tour: number;
  /** Anything else that a page wants to find again: a short word. */
  readonly view: string;
}

export interface Swap {
  readonly layer: number;
  readonly i: number;
  readonly j: number;
}

export const DEFAULTS: State = {
  data: "moons",
  own: null,
  samples: DATA_DEFAULTS.samples,
  noise: DATA_DEFAULTS.noise,
  hidden: [6],
  activation: "tanh",
  loss: "cross_entropy",
  method: "adam",
  rate: 0.03,
  decay: 0,
  batch: 0,
  seed: 1,
  steps: 0,
  parameters: null,
  swap: null,
  t: 0,
  averaged: false,
  place: null,
  tour: 0,
  view: "",
};

/** The data that a state speaks of. */
export function dataOf(state: State): Dataset {
  if (state.data === "own") return state.own as Dataset;
  if (state.data === "digits") return dataset("digits");
  return dataset(state.data, { samples: state.samples, noise: state.noise, seed: state.seed });
}

/** The network that a state speaks of. */
export function architectureOfState(state: State): Architecture {
  const { inputs, outputs } = state.data === "own" ? (state.own as Dataset) : dataKind(state.data);
  return { inputs, hidden: state.hidden, outputs, activation: state.activation };
}

/** Its parameters: the trained ones, or the first ones of its seed. */
export function parametersOf(state: State): Parameters {
  return state.parameters ?? initial(architectureOfState(state), state.seed);
}

// values of unknown origin -----------------------------------------------------------------------------------------

/** What an address and a document both hold. */
export function settings(state: State): Record<string, unknown> {
  const { own: _own, parameters: _parameters, swap, ...rest } = state;
  return { ...rest, swap: swap && [swap.layer, swap.i, swap.j] };
}

/**
 * A state of values of unknown origin, without parameters.
 *
 * @throws InputError in one sentence.
 */
export function checked(given: Fields, own: Dataset | null, source: string): State {
  const data = given.text("data", 32, DEFAULTS.data);
  if (data !== "own" && !isDataId(data))
    throw new InputError(`${source} names the data “${cut(data)}”, which the page does not have.`);
  if (data === "own" && !own)
    throw new InputError(
      `${source} speaks of data from a file that it does not hold: open that file again.`,
    );
  const shape = own ?? dataKind(data as DataId);
  const hidden = given.numbers("hidden", 1, 100, DEFAULTS.hidden);
  refuse(hidden, shape.inputs, shape.outputs, source);
  const whole = hidden.find((width) => !Number.isInteger(width));
  if (whole !== undefined)
    throw new InputError(`${source} has a hidden layer of ${whole} nodes, and nodes are whole.`);
  const usual = shape.task === "regression" ? "mse" : DEFAULTS.loss;
  const loss = given.choice("loss", LOSSES, usual);
  if (loss === "cross_entropy" && shape.task === "regression")
    throw new InputError(`${source} asks for cross-entropy on data that have no classes.`);
  const swap = given.numbers("swap", 3, 3, []);
  const place = given.numbers("place", 2, 2, []);
  return {
    data,
    own,
    hidden,
    loss,
    samples: given.integer("samples", 2, OWN_LIMITS.samples, DEFAULTS.samples),
    noise: given.number("noise", 0, 1, DEFAULTS.noise),
    activation: given.choice("activation", ACTIVATIONS, DEFAULTS.activation),
    method: given.choice("method", METHODS, DEFAULTS.method),
    rate: given.number("rate", 0, 10, DEFAULTS.rate),
    decay: given.number("decay", 0, 10, DEFAULTS.decay),
    batch: given.integer("batch", 0, OWN_LIMITS.samples, DEFAULTS.batch),
    seed: given.integer("seed", 0, 2 ** 31 - 1, DEFAULTS.seed),
    steps: given.integer("steps", 0, 1e9, DEFAULTS.steps),
    parameters: null,
    swap: swap.length ? swapOf(swap as [number, number, number], hidden, source) : null,
    t: given.number("t", -10, 10, DEFAULTS.t),
    averaged: given.flag("averaged", DEFAULTS.averaged),
    place: place.length ? (place as [number, number]) : null,
    tour: given.integer("tour", 0, 8, DEFAULTS.tour),
    view: given.text("view", 32, DEFAULTS.view),
  };
}

function swapOf(
  [layer, i, j]: [number, number, number],
  hidden: readonly number[],
  source: string,
): Swap {
  const swap = { layer, i, j };
  if (!inside(swap, hidden))
    throw new InputError(
      `${source} exchanges nodes ${i} and ${j} of hidden layer ${layer}, which are ${i === j ? "one" : "not there"}.`,
    );
  return swap;
}

export function inside({ layer, i, j }: Swap, hidden: readonly number[]): boolean {
  const width = hidden[layer] ?? 0;
  return [i, j].every((k) => Number.isInteger(k) && k >= 0 && k < width) && i !== j;
}

/** `p` where it is finite and of the given shapes. */
export function fitting(p: Parameters, architecture: Architecture, source: string): Parameters {
  const found = architectureOf(p, architecture.activation);
  const shape = (a: Architecture) => [a.inputs, ...a.hidden, a.outputs].join("–");
  if (shape(found) !== shape(architecture))
    throw new InputError(
      `${source} holds weights of a ${shape(found)} network for a ${shape(architecture)} one.`,
    );
  const wrong = flatten(p).find((v) => !Number.isFinite(v));
  if (wrong !== undefined)
    throw new InputError(
      `${source} holds a weight that is ${wrong}, which is not a finite number.`,
    );
  return p;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function cut(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
