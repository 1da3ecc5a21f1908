/** What the page computes with: plain numbers in typed arrays, never changed once they are handed out. */

export const ACTIVATIONS = [
  "relu",
  "leaky_relu",
  "tanh",
  "sigmoid",
  "gelu",
  "sin",
  "identity",
  "square",
] as const;
export type Activation = (typeof ACTIVATIONS)[number];

export const LOSSES = ["mse", "cross_entropy"] as const;
export type LossName = (typeof LOSSES)[number];

/** A fully connected network with one activation after every hidden layer. */
export interface Architecture {
  readonly inputs: number;
  /** Widths of the hidden layers. */
  readonly hidden: readonly number[];
  readonly outputs: number;
  readonly activation: Activation;
}

/** An affine map. */
export interface Layer {
  readonly rows: number;
  readonly columns: number;
  /** Row by row: `weight[i * columns + j]` goes from node j to node i. */
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** One affine map more than there are hidden layers. */
export type Parameters = readonly Layer[];

/** Samples row by row. */
export interface Dataset {
  readonly name: string;
  readonly task: "classification" | "regression";
  readonly samples: number;
  readonly inputs: number;
  /** Classes, or values per sample. */
  readonly outputs: number;
  readonly x: Float64Array;
  /** Classes 0, 1, … as an Int32Array, or values row by row. */
  readonly y: Float64Array | Int32Array;
}

/** Inputs, hidden layers, outputs. */
export function widthsOf(architecture: Architecture): number[] {
  return [architecture.inputs, ...architecture.hidden, architecture.outputs];
}

/** Something the page was given that it cannot use; the message is one sentence for the reader. */
export class InputError extends Error {
  override readonly name = "InputError";
}
