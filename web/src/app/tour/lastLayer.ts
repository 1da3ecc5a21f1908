/** Moving the last layer alone: there F is convex. */

import { interpolate, swap } from "../../core/symmetry";
import type { Layer, Parameters } from "../../core/types";
import { lab } from "../lab/lab.svelte";

/** A with the last map that it has after an exchange in its last hidden layer; null where that has one node. */
export function lastExchanged(): { p: Parameters; i: number; j: number } | null {
  const layer = lab.hidden.length - 1;
  const n = lab.hidden[layer] as number;
  if (n < 2) return null;
  const { move, suggestion } = lab;
  const pair =
    move?.kind === "swap" && move.layer === layer
      ? move
      : suggestion && suggestion.layer === layer
        ? suggestion
        : { i: 0, j: 1 };
  const last = swap(lab.a, layer, pair.i, pair.j).at(-1) as Layer;
  return { p: [...lab.a.slice(0, -1), last], i: pair.i, j: pair.j };
}

/** F from `a` to `b`, and a bit beyond on both sides. */
export function between(
  f: (p: Parameters) => number,
  a: Parameters,
  b: Parameters,
  places: number,
): number[] {
  return Array.from({ length: places }, (_, k) => f(interpolate(a, b, k / (places - 1))));
}

/** The most negative weight of the maps after the first one: there the composition rule breaks. */
export function breakingEdges(): { map: number; from: number; to: number; weight: number }[] {
  return lab.a
    .flatMap((layer, map) =>
      map === 0
        ? []
        : Array.from(layer.weight, (weight, k) => ({
            map,
            from: k % layer.columns,
            to: Math.floor(k / layer.columns),
            weight,
          })),
    )
    .filter(({ weight }) => weight < 0)
    .sort((a, b) => a.weight - b.weight);
}
