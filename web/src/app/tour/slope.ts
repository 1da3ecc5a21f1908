/** The slope of F on the way from A to B. */

import { gradient } from "../../core/network";
import { flatten, interpolate } from "../../core/symmetry";
import { lab } from "../lab/lab.svelte";

export interface Slopes {
  /** φ′(t) at evenly spaced t, where φ(t) is F at the place t. */
  readonly slopes: readonly number[];
  readonly normA: number;
  readonly normB: number;
  /** The largest norm of the gradient between. */
  readonly between: number;
  /** Where the slope falls most: from place `from` to the later place `to`; null where it never does. */
  readonly fall: { readonly from: number; readonly to: number } | null;
}

/** Gradients at so many places take this many milliseconds at most, or there are fewer of them. */
const PATIENCE = 60;

export function slopes(): Slopes {
  const { architecture, a, b, dataset, loss, decay, cost } = lab;
  const places = Math.max(9, Math.min(41, Math.floor(PATIENCE / (3 * cost)))) | 1;
  const start = flatten(a);
  const direction = flatten(b).map((v, k) => v - (start[k] as number));
  const out: number[] = [];
  const norms: number[] = [];
  for (let k = 0; k < places; k++) {
    const p = interpolate(a, b, k / (places - 1));
    const g = flatten(gradient(architecture, p, dataset, loss, decay).gradient);
    out.push(g.reduce((sum, v, at) => sum + v * (direction[at] as number), 0));
    norms.push(Math.hypot(...g));
  }
  return {
    slopes: out,
    normA: norms[0] as number,
    normB: norms.at(-1) as number,
    between: Math.max(...norms),
    fall: fallOf(out),
  };
}

function fallOf(values: readonly number[]): Slopes["fall"] {
  let best: Slopes["fall"] = null;
  let most = 0;
  let top = 0;
  values.forEach((v, k) => {
    if (v > (values[top] as number)) top = k;
    const drop = (values[top] as number) - v;
    if (drop > most) {
      most = drop;
      best = { from: top, to: k };
    }
  });
  return best;
}
