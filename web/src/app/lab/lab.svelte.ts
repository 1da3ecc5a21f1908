/** What is on the bench: the data, the network A, its twin B, and the place that is looked at. */

import { TRAITS } from "../../core/activations";
import { type DataId, dataKind } from "../../core/datasets";
import { apply, fromWord, type Move, type Node, toWord } from "../../core/moves";
import { initial, loss } from "../../core/network";
import { type Plane, plane } from "../../core/plane";
import { architectureOfState, DEFAULTS, dataOf, parametersOf, type State } from "../../core/state";
import { average, equal, interpolate, type Pair } from "../../core/symmetry";
import type { Method } from "../../core/training";
import type { Activation, Architecture, Dataset, LossName, Parameters } from "../../core/types";
import { animate, eased } from "./motion";

/** A weight that the tour points at. */
export interface Edge {
  /** Number of the affine map. */
  readonly map: number;
  readonly from: number;
  readonly to: number;
}

/** An exchange that the drawing has yet to show. */
export interface Travel {
  readonly id: number;
  readonly move: Move;
  /** Whether the nodes were carried there by hand. */
  readonly carried: boolean;
}

export type Place = readonly [number, number];

/** A place between A and B, the average, or a point of the plane. */
export type At = { t: number } | { average: true } | { place: Place };

class Lab {
  data = $state.raw<DataId | "own">(DEFAULTS.data);
  own = $state.raw<Dataset | null>(null);
  samples = $state(DEFAULTS.samples);
  noise = $state(DEFAULTS.noise);
  hidden = $state.raw<readonly number[]>(DEFAULTS.hidden);
  activation = $state.raw<Activation>(DEFAULTS.activation);
  loss = $state.raw<LossName>(DEFAULTS.loss);
  method = $state.raw<Method>(DEFAULTS.method);
  rate = $state(DEFAULTS.rate);
  decay = $state(DEFAULTS.decay);
  batch = $state(DEFAULTS.batch);
  seed = $state(DEFAULTS.seed);

  a = $state.raw<Parameters>(parametersOf(DEFAULTS));
  steps = $state(0);
  move = $state.raw<Move | null>(null);

  t = $state(0);
  averaged = $state(false);
  place = $state.raw<Place | null>(null);
  tour = $state(0);

  picked = $state.raw<Node | null>(null);
  /** The node in the reader's hand, and the one under it. */
  carried = $state.raw<{ readonly node: Node; readonly over: Node | null } | null>(null);
  edge = $state.raw<Edge | null>(null);
  travel = $state.raw<Travel | null>(null);
  /** The pair with the highest midpoint, once it has been searched for. */
  suggestion = $state.raw<Pair | null>(null);
  /** What was done last, for those who do not see it. */
  said = $state("");
  /** What went wrong, in one sentence. */
  trouble = $state("");

  /** How far the drawing is on its way from `source` to the shown network. */
  private source = $state.raw<Parameters | null>(null);
  private way = $state(1);
  private stopMotion: () => void = () => {};

  readonly dataset: Dataset = $derived(
    dataOf({ ...DEFAULTS, data: this.data, own: this.own, ...this.drawn() }),
  );
  readonly architecture: Architecture = $derived(
    architectureOfState({
      ...DEFAULTS,
      data: this.data,
      own: this.own,
      hidden: this.hidden,
      activation: this.activation,
    }),
  );
  readonly traits = $derived(TRAITS[this.activation]);
  readonly b: Parameters = $derived(this.move ? apply(this.move, this.a, this.activation) : this.a);
  readonly middle: Parameters = $derived(interpolate(this.a, this.b, 0.5));
  readonly mean: Parameters = $derived(average(this.a));
  readonly distinct = $derived(this.move !== null && !equal(this.a, this.b));
  private readonly through = $derived(plane(this.a, this.b, this.mean));
  /** A, B and the average; where these lie on one line, the start of the training instead of the average. */
  readonly plane: Plane = $derived.by(() =>
    this.through.proper
      ? this.through
      : plane(this.a, this.b, initial(this.architecture, this.seed)),
  );
  readonly planeHasMean = $derived(this.through.proper);

  /** The network on screen. */
  readonly shown: Parameters = $derived.by(() => {
    if (this.averaged) return this.mean;
    if (this.place) return this.plane.point(...this.place);
    if (this.t === 0 || !this.move) return this.a;
    return this.t === 1 ? this.b : interpolate(this.a, this.b, this.t);
  });
  /** The same on its way there. */
  readonly drawnNow: Parameters = $derived(
    this.source && this.way < 1 ? interpolate(this.source, this.shown, this.way) : this.shown,
  );

  readonly lossA = $derived(this.f(this.a));
  readonly lossB = $derived(this.f(this.b));
  readonly lossMiddle = $derived(this.f(this.middle));
  readonly lossMean = $derived(this.f(this.mean));
  readonly lossShown = $derived.by(() => {
    if (this.shown === this.a) return this.lossA;
    return this.shown === this.b ? this.lossB : this.f(this.shown);
  });

  /** Roughly how many milliseconds one evaluation of F takes. */
  readonly cost = $derived.by(() => {
    const weights = this.a.reduce((n, layer) => n + layer.weight.length, 0);
    const nodes = this.a.reduce((n, layer) => n + layer.rows, 0);
    return this.dataset.samples * (1.5e-6 * weights + 2e-5 * nodes);
  });

  /** F: the mean loss on all samples, and the weight decay. */
  f(p: Parameters): number {
    return loss(this.architecture, p, this.dataset, this.loss, this.decay);
  }

  private drawn(): Pick<State, "samples" | "noise" | "seed"> {
    return { samples: this.samples, noise: this.noise, seed: this.seed };
  }

  // the network -------------------------------------------------------------------------------------------------

  /** New first weights for the present settings. */
  begin(): void {
    this.look({ t: this.t });
    this.a = initial(this.architecture, this.seed);
    this.steps = 0;
    if (this.move && !this.there(this.move)) this.move = null;
    if (!this.move) this.t = 0;
    if (this.picked && !this.has(this.picked)) this.picked = null;
    this.edge = null;
    this.suggestion = null;
  }

  has(node: Node): boolean {
    return node.index < (this.hidden[node.layer] ?? 0);
  }

  private there(move: Move): boolean {
    const { mirror, degree } = this.traits;
    if (move.kind === "swap") return Math.max(move.i, move.j) < (this.hidden[move.layer] ?? 0);
    return (
      this.has({ layer: move.layer, index: move.i }) &&
      (move.kind === "flip" ? mirror !== null : degree > 0)
    );
  }

  /** Data of the page by name, or the reader's own. */
  takeData(data: DataId | "own", own: Dataset | null = this.own): void {
    const { task } = data === "own" ? (own as Dataset) : dataKind(data);
    const before = this.dataset.task;
    this.own = own;
    this.data = data;
    if (task === "regression") this.loss = "mse";
    else if (before === "regression") this.loss = "cross_entropy";
    this.batch = this.dataset.samples > 1000 ? 100 : 0;
  }

  // moves -------------------------------------------------------------------------------------------------------

  /** Do to the network on screen what keeps its function: it is A, and the result is B. */
  act(move: Move, carried = false): void {
    this.settle();
    const scaling =
      this.move?.kind === "scale" &&
      move.kind === "scale" &&
      this.move.layer === move.layer &&
      this.move.i === move.i;
    if (this.t === 1 && this.move && !scaling) this.a = this.b;
    this.move = move;
    this.t = 1;
    this.picked = move.kind === "swap" ? null : { layer: move.layer, index: move.i };
    this.travel = { id: (this.travel?.id ?? 0) + 1, move, carried };
  }

  /** Look at A or B, whichever is nearer, since only these are the same function. */
  settle(): void {
    const near = this.t >= 0.5 && !this.averaged && !this.place && this.move ? 1 : 0;
    this.look({ t: near });
  }

  forget(): void {
    this.move = null;
    this.look({ t: 0 });
  }

  // places ------------------------------------------------------------------------------------------------------

  look(at: At): void {
    this.halt();
    this.put(at);
  }

  private put(at: At): void {
    this.averaged = "average" in at;
    this.place = "place" in at ? at.place : null;
    if ("t" in at) this.t = at.t;
  }

  /** Look there, and let the drawing follow smoothly. */
  glide(at: At, milliseconds = 900): void {
    const from = this.drawnNow;
    this.look(at);
    this.source = from;
    this.way = 0;
    const stop = animate(milliseconds, (k) => {
      this.way = eased(k);
    });
    this.stopMotion = () => {
      stop();
      this.source = null;
      this.way = 1;
    };
  }

  /** Move along the segment to `t`. */
  slide(t: number, milliseconds = 1200): void {
    this.halt();
    const from = this.averaged || this.place ? 0 : this.t;
    this.stopMotion = animate(milliseconds, (k) => {
      this.put({ t: k === 1 ? t : from + (t - from) * eased(k) });
    });
  }

  /** What moves by itself has arrived. */
  private halt(): void {
    this.stopMotion();
    this.stopMotion = () => {};
  }

  // keeping -----------------------------------------------------------------------------------------------------

  snapshot(): State {
    const fresh = this.steps === 0 && equal(this.a, initial(this.architecture, this.seed));
    const { move } = this;
    return {
      data: this.data,
      own: this.data === "own" ? this.own : null,
      ...this.drawn(),
      hidden: this.hidden,
      activation: this.activation,
      loss: this.loss,
      method: this.method,
      rate: this.rate,
      decay: this.decay,
      batch: this.batch,
      steps: this.steps,
      parameters: fresh ? null : this.a,
      swap: move?.kind === "swap" ? { layer: move.layer, i: move.i, j: move.j } : null,
      t: this.t,
      averaged: this.averaged,
      place: this.place,
      tour: this.tour,
      view: fresh ? "fresh" : toWord(move),
    };
  }

  restore(state: State): void {
    this.halt();
    this.own = state.own;
    this.data = state.data;
    this.samples = state.samples;
    this.noise = state.noise;
    this.hidden = state.hidden;
    this.activation = state.activation;
    this.loss = state.loss;
    this.method = state.method;
    this.rate = state.rate;
    this.decay = state.decay;
    this.batch = state.batch;
    this.seed = state.seed;
    this.a = parametersOf(state);
    this.steps = state.steps;
    const move: Move | null = state.swap
      ? { kind: "swap", ...state.swap }
      : fromWord(state.view, state.hidden);
    this.move = move && this.there(move) ? move : null;
    this.picked = null;
    this.edge = null;
    this.suggestion = null;
    this.averaged = state.averaged;
    this.place = state.place;
    this.t = this.move ? Math.min(1, Math.max(0, state.t)) : 0;
    this.tour = state.tour;
  }

  // what is said ------------------------------------------------------------------------------------------------

  /** What the network on screen is called. */
  readonly name = $derived.by(() => {
    if (this.averaged) return "*ø*, the average";
    if (this.place) return "at the point";
    if (!this.move || this.t === 0) return "*A*";
    return this.t === 1 ? "*B*" : `at *t* = ${this.t.toFixed(2)}`;
  });

  say(text: string): void {
    this.said = text;
  }
}

export const lab = new Lab();
