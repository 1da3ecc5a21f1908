/** The loss on the way from A to B, and what it proves. */

import { loss } from "../../core/network";
import { interpolate } from "../../core/symmetry";
import type { Parameters } from "../../core/types";
import { background, type Work } from "./background";
import { lab } from "./lab.svelte";
import { equalToRounding, short } from "./numbers";
import { trainer } from "./trainer.svelte";

/** Values of F at evenly spaced places from A to B. */
export const PLACES = 61;
/** The same while the network trains. */
const COARSE = 25;

/** What takes less, in milliseconds, is done at once. */
const AT_ONCE = 4;

class Curve {
  values = $state.raw<Float64Array | null>(null);

  /** To be called whenever A, B or F may have changed. */
  update(): void {
    const { a, b, cost } = lab;
    const f = objective();
    if (!lab.move) {
      background.stop("curve");
      this.values = null;
    } else if (trainer.running)
      background.follow("curve", () => this.work(lab.a, lab.b, f, COARSE));
    else if (cost * PLACES < AT_ONCE) for (const _ of this.work(a, b, f));
    else background.restart("curve", () => this.work(a, b, f));
  }

  private *work(a: Parameters, b: Parameters, f: (p: Parameters) => number, places = PLACES): Work {
    const values = new Float64Array(places);
    for (let k = 0; k < places; k++) {
      values[k] = f(interpolate(a, b, k / (places - 1)));
      yield;
    }
    this.values = values;
  }
}

/** F as it is now, for work that outlives a change of the settings. */
export function objective(): (p: Parameters) => number {
  const { architecture, dataset, loss: name, decay } = lab;
  return (p) => loss(architecture, p, dataset, name, decay);
}

export const curve = new Curve();

/** What the midpoint says about convexity. */
export interface Verdict {
  readonly kind: "refuted" | "nothing" | "none";
  /** With quantities between asterisks. */
  readonly text: string;
}

export function verdict(): Verdict {
  const { move, lossA, lossB, lossMiddle, steps } = lab;
  const single = lab.hidden.every((width) => width === 1);
  if (!move)
    return single
      ? {
          kind: "none",
          text: "One node per layer: there is nothing to exchange, and no exchange can show anything.",
        }
      : {
          kind: "none",
          text: "Exchange two nodes of a layer: the curve from *A* to *B* appears here.",
        };
  if (!lab.distinct)
    return {
      kind: "nothing",
      text: `${sentence()} are the same, edge by edge: exchanging them changes nothing, *B* is *A*, and the curve is flat.`,
    };
  const chord = (lossA + lossB) / 2;
  const bump = lossMiddle - chord;
  const ends = equalToRounding(lossA, lossB) ? "at both ends" : "the mean of the two ends";
  if (bump > 0 && !equalToRounding(lossMiddle, chord))
    return {
      kind: "refuted",
      text: `Halfway the loss is ${short(bump)} higher than ${ends}. A convex function cannot do that: *F* is not convex.`,
    };
  const tail =
    steps === 0
      ? "These are first, random weights, where many exchanges have no bump: train, and it grows."
      : "This alone refutes nothing; it does not show that *F* is convex either. Try another pair.";
  return { kind: "nothing", text: `Halfway the loss is not higher than ${ends}. ${tail}` };
}

function sentence(): string {
  const { move } = lab;
  return move?.kind === "swap" ? `Nodes ${move.i + 1} and ${move.j + 1}` : "The two networks";
}
