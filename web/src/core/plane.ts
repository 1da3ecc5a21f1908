/** The loss on the plane through three points of parameter space. */

import { loss } from "./network";
import { flatten } from "./symmetry";
import type { Architecture, Dataset, LossName, Parameters } from "./types";

/** A plane with orthonormal axes: distances in it are distances between parameters. */
export interface Plane {
  /** The parameters at (u, v); `a` is at (0, 0), `b` on the positive u axis, `c` at v ≥ 0. */
  point(u: number, v: number): Parameters;
  /** The foot of the perpendicular from `p`. */
  coordinates(p: Parameters): [number, number];
  /** False where the three points lie on a line, or two of them coincide: an axis is then zero. */
  readonly proper: boolean;
}

/** A rectangle in a plane. */
export interface Bounds {
  readonly u: readonly [number, number];
  readonly v: readonly [number, number];
}

/** The plane through `a`, `b` and `c`. */
export function plane(a: Parameters, b: Parameters, c: Parameters): Plane {
  const origin = flatten(a);
  const first = minus(flatten(b), origin);
  const scale = Math.max(norm(first), norm(minus(flatten(c), origin)));
  const e = unit(first, scale);
  const second = minus(flatten(c), origin);
  // Twice is enough: what rounding leaves after once is removed by the second pass.
  for (let pass = 0; pass < 2; pass++) {
    const along = dot(second, e);
    for (let k = 0; k < second.length; k++)
      second[k] = (second[k] as number) - along * (e[k] as number);
  }
  const f = unit(second, scale);
  return {
    proper: dot(e, e) > 0 && dot(f, f) > 0,
    point(u, v) {
      let at = 0;
      const part = (from: Float64Array): Float64Array => {
        const out = new Float64Array(from.length);
        for (let k = 0; k < out.length; k++, at++)
          out[k] = (origin[at] as number) + u * (e[at] as number) + v * (f[at] as number);
        return out;
      };
      return a.map((layer) => ({ ...layer, weight: part(layer.weight), bias: part(layer.bias) }));
    },
    coordinates(p) {
      const offset = minus(flatten(p), origin);
      return [dot(offset, e), dot(offset, f)];
    },
  };
}

/**
 * The loss at `resolution` × `resolution` points of a rectangle, its edges included, row by row: entry
 * `row * resolution + column` is at v number `row` from the lower bound and u number `column`.
 */
export function grid(
  architecture: Architecture,
  on: Plane,
  bounds: Bounds,
  resolution: number,
  data: Dataset,
  lossName: LossName,
  weightDecay = 0,
): Float64Array {
  const out = new Float64Array(resolution * resolution);
  for (let row = 0; row < resolution; row++)
    gridRow(architecture, on, bounds, resolution, data, lossName, weightDecay, row, out);
  return out;
}

/** One row of {@link grid}, so that a page can spread the work over several frames. */
export function gridRow(
  architecture: Architecture,
  on: Plane,
  bounds: Bounds,
  resolution: number,
  data: Dataset,
  lossName: LossName,
  weightDecay: number,
  row: number,
  out: Float64Array,
): void {
  const v = place(bounds.v, row, resolution);
  for (let column = 0; column < resolution; column++) {
    const p = on.point(place(bounds.u, column, resolution), v);
    out[row * resolution + column] = loss(architecture, p, data, lossName, weightDecay);
  }
}

/** Place number `k` of `count` evenly spaced ones, the two ends included. */
export function place(range: readonly [number, number], k: number, count: number): number {
  return range[0] + ((range[1] - range[0]) * k) / (count - 1);
}

/** A rectangle around the given places, wider by a share of its longer side on every side. */
export function around(places: readonly (readonly [number, number])[], margin = 0.35): Bounds {
  const range = (axis: 0 | 1): [number, number] => {
    const values = places.map((each) => each[axis]);
    return [Math.min(...values), Math.max(...values)];
  };
  const u = range(0);
  const v = range(1);
  const room = margin * (Math.max(u[1] - u[0], v[1] - v[0]) || 1);
  return { u: [u[0] - room, u[1] + room], v: [v[0] - room, v[1] + room] };
}

function minus(x: Float64Array, y: Float64Array): Float64Array {
  const out = new Float64Array(x.length);
  for (let k = 0; k < out.length; k++) out[k] = (x[k] as number) - (y[k] as number);
  return out;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += (x[k] as number) * (y[k] as number);
  return sum;
}

function norm(x: Float64Array): number {
  return Math.sqrt(dot(x, x));
}

/** `x` at length 1, or zero where it is nothing but rounding beside `scale`. */
function unit(x: Float64Array, scale: number): Float64Array {
  const length = norm(x);
  const out = new Float64Array(x.length);
  if (!(length > 1e-12 * scale)) return out;
  for (let k = 0; k < out.length; k++) out[k] = (x[k] as number) / length;
  return out;
}
