/** Moving the last layer alone: there F is convex. */

import { interpolate, swap } from "../../core/symmetry";
import type { Layer, Parameters } from "../../core/types";
import { lab } from "../lab/lab.svelte";

/** A with the last map that it has after an exchange in its last hidden layer; null where that has one node. */
export function lastExchanged(): { p: Parameters; i: number; j: number } | null {
  const layer = lab.hidden.length - 1;
  const n = lab.hidden[layer] as number;
  if (n < 2) return null;
  const { i, j } = furthest(lab.a.at(-1) as Layer);
  const last = swap(lab.a, layer, i, j).at(-1) as Layer;
  return { p: [...lab.a.slice(0, -1), last], i, j };
}

/** The two nodes whose outgoing weights differ most: with them the curve is bent most. */
function furthest({ rows, columns, weight }: Layer): { i: number; j: number } {
  let best = { i: 0, j: 1 };
  let most = -1;
  for (let i = 0; i < columns; i++)
    for (let j = i + 1; j < columns; j++) {
      let sum = 0;
      for (let r = 0; r < rows; r++)
        sum += ((weight[r * columns + i] as number) - (weight[r * columns + j] as number)) ** 2;
      if (sum > most) {
        most = sum;
        best = { i, j };
      }
    }
  return best;
}

/** F at evenly spaced places from `a` to `b`. */
export function between(
  f: (p: Parameters) => number,
  a: Parameters,
  b: Parameters,
  places: number,
): number[] {
  return Array.from({ length: places }, (_, k) => f(interpolate(a, b, k / (places - 1))));
}

/** The negative weights of the network on screen after the first map, the most negative first: there the rule breaks. */
export function breakingEdges(): { map: number; from: number; to: number; weight: number }[] {
  return lab.shown
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
