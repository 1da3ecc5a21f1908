/** The functions after the hidden layers, as PyTorch defines them, and what is known about them. */

import { erf } from "./erf";
import type { Activation } from "./types";

export interface Traits {
  /** As people write it. */
  readonly label: string;
  /** σ(−z) = −σ(z): a node's sign can be flipped. */
  readonly odd: boolean;
  /** What σ(−z) is: −σ(z), σ(z), 1 − σ(z), or none of these. */
  readonly mirror: "odd" | "even" | "half" | null;
  /** σ(az) = aσ(z) for a > 0: a node can be rescaled. */
  readonly homogeneous: boolean;
  /** k in σ(az) = aᵏσ(z) for a > 0; 0 where there is none. */
  readonly degree: 0 | 1 | 2;
  readonly monotone: boolean;
  readonly convex: boolean;
  /** The module of torch.nn, or null where it has none. */
  readonly torch: string | null;
}

const none = {
  odd: false,
  mirror: null,
  homogeneous: false,
  degree: 0,
  monotone: false,
  convex: false,
} as const;

export const TRAITS: Readonly<Record<Activation, Traits>> = {
  relu: {
    ...none,
    label: "ReLU",
    homogeneous: true,
    degree: 1,
    monotone: true,
    convex: true,
    torch: "ReLU",
  },
  leaky_relu: {
    ...none,
    label: "leaky ReLU",
    homogeneous: true,
    degree: 1,
    monotone: true,
    convex: true,
    torch: "LeakyReLU",
  },
  tanh: { ...none, label: "tanh", odd: true, mirror: "odd", monotone: true, torch: "Tanh" },
  sigmoid: { ...none, label: "sigmoid", mirror: "half", monotone: true, torch: "Sigmoid" },
  gelu: { ...none, label: "GELU", torch: "GELU" },
  sin: { ...none, label: "sin", odd: true, mirror: "odd", torch: null },
  identity: {
    label: "identity",
    odd: true,
    mirror: "odd",
    homogeneous: true,
    degree: 1,
    monotone: true,
    convex: true,
    torch: "Identity",
  },
  square: { ...none, label: "square", mirror: "even", degree: 2, convex: true, torch: null },
};

/** The slope of leaky ReLU left of zero. */
export const SLOPE = 0.01;

const ROOT_HALF = Math.SQRT1_2;
const INVERSE_ROOT_TAU = 1 / Math.sqrt(2 * Math.PI);

/** σ(z) for every entry, into `out`, which may be `z` itself. */
export function activate(activation: Activation, z: Float64Array, out: Float64Array): void {
  const n = z.length;
  switch (activation) {
    case "relu":
      for (let k = 0; k < n; k++) {
        const v = z[k] as number;
        out[k] = v > 0 ? v : v === v ? 0 : v;
      }
      return;
    case "leaky_relu":
      for (let k = 0; k < n; k++) {
        const v = z[k] as number;
        out[k] = v > 0 ? v : SLOPE * v;
      }
      return;
    case "tanh":
      for (let k = 0; k < n; k++) out[k] = Math.tanh(z[k] as number);
      return;
    case "sigmoid":
      for (let k = 0; k < n; k++) out[k] = 1 / (1 + Math.exp(-(z[k] as number)));
      return;
    case "gelu":
      for (let k = 0; k < n; k++) {
        const v = z[k] as number;
        out[k] = 0.5 * v * (1 + erf(v * ROOT_HALF));
      }
      return;
    case "sin":
      for (let k = 0; k < n; k++) out[k] = Math.sin(z[k] as number);
      return;
    case "identity":
      out.set(z);
      return;
    case "square":
      for (let k = 0; k < n; k++) {
        const v = z[k] as number;
        out[k] = v * v;
      }
  }
}

/** One value of σ. */
export function activated(activation: Activation, z: number): number {
  single[0] = z;
  activate(activation, single, single);
  return single[0];
}

const single = new Float64Array(1) as Float64Array & { 0: number };

/**
 * Multiply `delta` by σ′(z), entry by entry. `h` is σ(z). At a kink it is the derivative that PyTorch takes: that of the
 * left side.
 */
export function backward(
  activation: Activation,
  z: Float64Array,
  h: Float64Array,
  delta: Float64Array,
): void {
  const n = z.length;
  switch (activation) {
    case "relu":
      for (let k = 0; k < n; k++) if (!((z[k] as number) > 0)) delta[k] = 0;
      return;
    case "leaky_relu":
      for (let k = 0; k < n; k++)
        if (!((z[k] as number) > 0)) delta[k] = (delta[k] as number) * SLOPE;
      return;
    case "tanh":
      for (let k = 0; k < n; k++) {
        const v = h[k] as number;
        delta[k] = (delta[k] as number) * (1 - v * v);
      }
      return;
    case "sigmoid":
      for (let k = 0; k < n; k++) {
        const v = h[k] as number;
        delta[k] = (delta[k] as number) * (v * (1 - v));
      }
      return;
    case "gelu":
      for (let k = 0; k < n; k++) {
        const v = z[k] as number;
        const slope =
          0.5 * (1 + erf(v * ROOT_HALF)) + v * Math.exp(-0.5 * v * v) * INVERSE_ROOT_TAU;
        delta[k] = (delta[k] as number) * slope;
      }
      return;
    case "sin":
      for (let k = 0; k < n; k++) delta[k] = (delta[k] as number) * Math.cos(z[k] as number);
      return;
    case "identity":
      return;
    case "square":
      for (let k = 0; k < n; k++) delta[k] = (delta[k] as number) * 2 * (z[k] as number);
  }
}
