/** Training in the page: gradient descent and Adam, on all samples or on seeded batches. */

import { blank, gradientInto } from "./network";
import { Random } from "./random";
import type { Architecture, Dataset, Layer, LossName, Parameters } from "./types";

export const METHODS = ["adam", "gradient_descent"] as const;
export type Method = (typeof METHODS)[number];

export interface TrainingOptions {
  readonly method?: Method;
  /** Learning rate. */
  readonly rate: number;
  /** λ of λ/2 · ‖p‖², whose gradient is added to that of the loss, as `weight_decay` of torch.optim does. */
  readonly weightDecay?: number;
  /** Samples per step; null for all of them. */
  readonly batch?: number | null;
  /** Of the order of the samples. */
  readonly seed?: number;
}

export interface Optimiser {
  /** One step from `p`, which is left as it is; `loss` is that of `p` on the samples of this step. */
  step(p: Parameters): { parameters: Parameters; loss: number };
}

const MEAN_DECAY = 0.9;
const SQUARE_DECAY = 0.999;
const EPSILON = 1e-8;

/** An optimiser with its own memory: make a new one whenever the network, the data or a setting changes. */
export function optimiser(
  architecture: Architecture,
  data: Dataset,
  lossName: LossName,
  options: TrainingOptions,
): Optimiser {
  const { method = "adam", rate, weightDecay = 0, batch = null, seed = 0 } = options;
  const gradient = blank(architecture);
  const batches = batch !== null && batch < data.samples ? new Batches(data, batch, seed) : null;
  const move = method === "adam" ? adam(architecture, rate) : descent(rate);
  return {
    step(p) {
      const samples = batches?.next() ?? null;
      const loss = gradientInto(architecture, p, data, samples, lossName, weightDecay, gradient);
      return { parameters: move(p, gradient), loss };
    },
  };
}

/** Every sample once in random order, then in another one; a last batch that is too short is left out. */
class Batches {
  private readonly random: Random;
  private order: Int32Array;
  private at = 0;

  constructor(
    private readonly data: Dataset,
    private readonly size: number,
    seed: number,
  ) {
    this.random = new Random(seed);
    this.order = this.random.order(data.samples);
  }

  next(): Int32Array {
    if (this.at + this.size > this.data.samples) {
      this.order = this.random.order(this.data.samples);
      this.at = 0;
    }
    this.at += this.size;
    return this.order.subarray(this.at - this.size, this.at);
  }
}

type Move = (p: Parameters, gradient: readonly Layer[]) => Parameters;

function descent(rate: number): Move {
  const part = (v: Float64Array, g: Float64Array): Float64Array => {
    const out = new Float64Array(v.length);
    for (let k = 0; k < v.length; k++) out[k] = (v[k] as number) - rate * (g[k] as number);
    return out;
  };
  return (p, gradient) =>
    p.map((layer, l) => {
      const slope = gradient[l] as Layer;
      return {
        ...layer,
        weight: part(layer.weight, slope.weight),
        bias: part(layer.bias, slope.bias),
      };
    });
}

/** Kingma and Ba 2015, Algorithm 1, with its default settings. */
function adam(architecture: Architecture, rate: number): Move {
  const means = blank(architecture);
  const squares = blank(architecture);
  let steps = 0;
  const part = (v: Float64Array, g: Float64Array, m: Float64Array, s: Float64Array) => {
    const out = new Float64Array(v.length);
    const size = rate / (1 - MEAN_DECAY ** steps);
    const root = Math.sqrt(1 - SQUARE_DECAY ** steps);
    for (let k = 0; k < v.length; k++) {
      const slope = g[k] as number;
      const mean = MEAN_DECAY * (m[k] as number) + (1 - MEAN_DECAY) * slope;
      const square = SQUARE_DECAY * (s[k] as number) + (1 - SQUARE_DECAY) * slope * slope;
      m[k] = mean;
      s[k] = square;
      out[k] = (v[k] as number) - (size * mean) / (Math.sqrt(square) / root + EPSILON);
    }
    return out;
  };
  return (p, gradient) => {
    steps += 1;
    return p.map((layer, l) => {
      const [slope, mean, square] = [gradient[l], means[l], squares[l]] as [Layer, Layer, Layer];
      return {
        ...layer,
        weight: part(layer.weight, slope.weight, mean.weight, square.weight),
        bias: part(layer.bias, slope.bias, mean.bias, square.bias),
      };
    });
  };
}
