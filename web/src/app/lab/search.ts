/** The search for the exchange that shows most. */

import { interpolate, type Pair, swap } from "../../core/symmetry";
import { background, type Work } from "./background";
import { objective } from "./curve.svelte";
import { lab } from "./lab.svelte";

/** Look through all pairs of nodes; the best one becomes the suggestion. */
export function search(): void {
  const { a, hidden } = lab;
  const f = objective();
  background.restart("search", function* (): Work {
    let best: Pair | null = null;
    for (const [layer, n] of hidden.entries())
      for (let i = 0; i < n; i++)
        for (let j = i + 1; j < n; j++) {
          const midpointLoss = f(interpolate(a, swap(a, layer, i, j), 0.5));
          if (!best || midpointLoss > best.midpointLoss) best = { layer, i, j, midpointLoss };
          yield;
        }
    lab.suggestion = best;
  });
}
