/** The same question put to every activation: train a network like the one on the bench, and exchange. */

import { initial, loss } from "../../core/network";
import { average, interpolate, swap } from "../../core/symmetry";
import { optimiser } from "../../core/training";
import { ACTIVATIONS, type Activation, type Architecture, type Parameters } from "../../core/types";
import { background, type Work } from "./background";
import { lab } from "./lab.svelte";

export interface Finding {
  readonly activation: Activation;
  readonly trained: number;
  /** Halfway of the exchange that shows most; null where there is none. */
  readonly halfway: number | null;
  readonly averaged: number;
}

const STEPS = 400;

class Survey {
  findings = $state.raw<readonly Finding[]>([]);
  running = $state(false);

  start(): void {
    this.findings = [];
    this.running = true;
    background.restart("survey", () => this.work());
  }

  stop(): void {
    background.stop("survey");
    this.running = false;
  }

  private *work(): Work {
    const { dataset, loss: name, decay, method, rate, batch, seed } = lab;
    const shape = lab.architecture;
    for (const activation of ACTIVATIONS) {
      const architecture = { ...shape, activation };
      const f = (p: Parameters) => loss(architecture, p, dataset, name, decay);
      const tool = optimiser(architecture, dataset, name, {
        method,
        rate,
        weightDecay: decay,
        batch: batch || null,
        seed,
      });
      let p = initial(architecture, seed);
      for (let k = 0; k < STEPS; k++) {
        p = tool.step(p).parameters;
        yield;
      }
      const halfway = yield* highest(architecture, p, f);
      this.findings = [
        ...this.findings,
        { activation, trained: f(p), halfway, averaged: f(average(p)) },
      ];
    }
    this.running = false;
  }
}

function* highest(
  architecture: Architecture,
  p: Parameters,
  f: (p: Parameters) => number,
): Generator<void, number | null> {
  let most: number | null = null;
  for (const [layer, n] of architecture.hidden.entries())
    for (let i = 0; i < n; i++)
      for (let j = i + 1; j < n; j++) {
        const value = f(interpolate(p, swap(p, layer, i, j), 0.5));
        if (most === null || value > most) most = value;
        yield;
      }
  return most;
}

export const survey = new Survey();
