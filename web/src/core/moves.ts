/** What a reader does to a network by hand without changing what it computes. */

import { TRAITS } from "./activations";
import { mirror, rescale, swap } from "./symmetry";
import type { Activation, Parameters } from "./types";

export interface Node {
  /** Hidden layer, from 0. */
  readonly layer: number;
  readonly index: number;
}

export type Move =
  | { readonly kind: "swap"; readonly layer: number; readonly i: number; readonly j: number }
  | { readonly kind: "flip"; readonly layer: number; readonly i: number }
  | {
      readonly kind: "scale";
      readonly layer: number;
      readonly i: number;
      readonly factor: number;
    };

export function apply(move: Move, p: Parameters, activation: Activation): Parameters {
  switch (move.kind) {
    case "swap":
      return swap(p, move.layer, move.i, move.j);
    case "flip":
      return mirror(activation, p, move.layer, move.i) ?? p;
    case "scale":
      return rescale(p, move.layer, move.i, move.factor, TRAITS[activation].degree);
  }
}

/** A short word for the address; exchanges are kept elsewhere in it. */
export function toWord(move: Move | null): string {
  if (move?.kind === "flip") return `flip.${move.layer}.${move.i}`;
  if (move?.kind === "scale")
    return `scale.${move.layer}.${move.i}.${Math.round(1000 * move.factor)}`;
  return "";
}

/** The move of such a word where the network has the node; else null. */
export function fromWord(word: string, hidden: readonly number[]): Move | null {
  const [kind, ...rest] = word.split(".");
  const [layer = -1, i = -1, thousandths = 1000] = rest.map(Number);
  const there =
    Number.isInteger(layer) && Number.isInteger(i) && i >= 0 && i < (hidden[layer] ?? 0);
  if (!there) return null;
  if (kind === "flip") return { kind, layer, i };
  if (kind === "scale" && thousandths >= 1 && thousandths <= 1e6)
    return { kind, layer, i, factor: thousandths / 1000 };
  return null;
}
