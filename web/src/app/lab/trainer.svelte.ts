/** Training between the frames. */

import { untrack } from "svelte";
import { type Optimiser, optimiser } from "../../core/training";
import type { Dataset, Parameters } from "../../core/types";
import { background } from "./background";
import { lab } from "./lab.svelte";

/** Steps and milliseconds that one frame may take. */
const FRAME = { steps: 5, milliseconds: 3 };
/** Frames from one refresh of the costly pictures to the next while it trains. */
const BEAT = 3;
/** How many losses are remembered. */
const KEPT = 240;

class Trainer {
  running = $state(false);
  /** The step at which it stops by itself. */
  private goal = Number.POSITIVE_INFINITY;
  private tool: Optimiser | null = null;
  private expected: Parameters | null = null;
  private settings = "";
  private data: Dataset | null = null;
  private frame = 0;
  private frames = 0;

  /** Losses of the steps so far, thinned out where there are many. */
  history = $state.raw<readonly number[]>([]);
  private stride = 1;
  private beat = $state(0);

  /** The networks as the costly pictures show them: while one trains, not anew in every frame. */
  readonly seen = $derived.by(() => {
    void this.beat;
    const now = () => ({ a: lab.a, b: lab.b, shown: lab.shown, drawn: lab.drawnNow });
    return this.running ? untrack(now) : now();
  });

  /** Train until step `goal`, or until told to stop. */
  start(goal = Number.POSITIVE_INFINITY): void {
    lab.settle();
    this.goal = goal;
    if (this.running) return;
    this.running = true;
    this.beat += 1;
    background.busy = true;
    lab.trouble = "";
    this.frame = requestAnimationFrame(() => this.tick());
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.running = false;
    background.busy = false;
  }

  toggle(): void {
    if (this.running) {
      this.stop();
      lab.say(`Paused at step ${lab.steps}.`);
    } else this.start();
  }

  /** One step. */
  step(): void {
    this.stop();
    lab.settle();
    this.steps(1, Number.POSITIVE_INFINITY);
  }

  /** `count` steps at once. */
  hurry(count: number): void {
    this.steps(count, Number.POSITIVE_INFINITY);
  }

  /** New first weights; then, if asked, so many steps. */
  restart(train: number): void {
    this.stop();
    this.forget();
    lab.begin();
    if (train) this.start(train);
  }

  forget(): void {
    this.tool = null;
    this.history = [];
    this.stride = 1;
  }

  private tick(): void {
    const left = this.goal - lab.steps;
    this.frames += 1;
    if (this.frames % BEAT === 0) this.beat += 1;
    const went = this.steps(Math.min(FRAME.steps, left), FRAME.milliseconds);
    if (!went || lab.steps >= this.goal) this.stop();
    else this.frame = requestAnimationFrame(() => this.tick());
  }

  /** @returns false where the loss is no longer a number. */
  private steps(count: number, milliseconds: number): boolean {
    const tool = this.prepared();
    const end = performance.now() + milliseconds;
    let p = lab.a;
    let done = 0;
    const losses: number[] = [];
    while (done < count && (done === 0 || performance.now() < end)) {
      const { parameters, loss } = tool.step(p);
      if (!Number.isFinite(loss)) {
        this.diverged();
        return false;
      }
      p = parameters;
      done += 1;
      losses.push(loss);
    }
    this.expected = p;
    lab.a = p;
    this.remember(losses, lab.steps);
    lab.steps += done;
    return true;
  }

  /** The optimiser, a new one where anything but the parameters it made itself has changed. */
  private prepared(): Optimiser {
    const { architecture, dataset, loss, method, rate, decay, batch, seed } = lab;
    const settings = JSON.stringify([architecture, method, loss, rate, decay, batch]);
    const same = this.settings === settings && this.data === dataset;
    if (this.tool && this.expected === lab.a && same) return this.tool;
    this.settings = settings;
    this.data = dataset;
    this.tool = optimiser(architecture, dataset, loss, {
      method,
      rate,
      weightDecay: decay,
      batch: batch || null,
      seed,
    });
    return this.tool;
  }

  private diverged(): void {
    this.tool = null;
    lab.trouble =
      "The loss has grown beyond all numbers: lower the learning rate and start again with Reset.";
  }

  private remember(losses: readonly number[], first: number): void {
    const kept = losses.filter((_, k) => (first + k) % this.stride === 0);
    let history = [...this.history, ...kept];
    while (history.length > KEPT) {
      history = history.filter((_, k) => k % 2 === 0);
      this.stride *= 2;
    }
    this.history = history;
  }
}

export const trainer = new Trainer();
