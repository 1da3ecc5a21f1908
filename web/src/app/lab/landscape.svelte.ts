/** The loss on the plane through A, B and the average, finer and finer. */

import { around, type Bounds, type Plane, place } from "../../core/plane";
import type { Parameters } from "../../core/types";
import { background, type Work } from "./background";
import { objective } from "./curve.svelte";
import { lab, type Place } from "./lab.svelte";
import { trainer } from "./trainer.svelte";

/** Losses on a square, row by row from the lower edge. */
export interface Relief {
  readonly bounds: Bounds;
  readonly resolution: number;
  readonly values: Float64Array;
  readonly low: number;
  readonly high: number;
  /** F at A, when it was computed. */
  readonly level: number;
}

const RESOLUTIONS = [14, 28, 56];
/** Milliseconds that the finest relief may take in all. */
const PATIENCE = 4000;

class Landscape {
  relief = $state.raw<Relief | null>(null);

  /** Where A, B and the average are. */
  readonly corners = $derived.by((): { a: Place; b: Place; m: Place } => {
    const { plane } = lab;
    return { a: [0, 0], b: plane.coordinates(lab.b), m: plane.coordinates(lab.mean) };
  });

  readonly bounds = $derived(squared(around([this.corners.a, this.corners.b, this.corners.m])));

  update(): void {
    const { plane, cost } = lab;
    if (!lab.distinct) {
      background.stop("landscape");
      this.relief = null;
      return;
    }
    const { bounds } = this;
    const f = objective();
    const fine = RESOLUTIONS.filter((n, k) => k === 0 || n * n * cost < PATIENCE);
    if (trainer.running)
      background.follow("landscape", () => this.work(lab.plane, this.bounds, f, fine.slice(0, 1)));
    else background.restart("landscape", () => this.work(plane, bounds, f, fine));
  }

  private *work(
    plane: Plane,
    bounds: Bounds,
    f: (p: Parameters) => number,
    resolutions: readonly number[],
  ): Work {
    const level = f(plane.point(0, 0));
    for (const resolution of resolutions) {
      const values = new Float64Array(resolution * resolution);
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (let k = 0; k < values.length; k++) {
        const u = place(bounds.u, k % resolution, resolution);
        const v = place(bounds.v, Math.floor(k / resolution), resolution);
        const value = f(plane.point(u, v));
        // Beyond what can be drawn; the contours only have to be finite.
        values[k] = Number.isFinite(value) ? Math.min(value, 1e12) : 1e12;
        low = Math.min(low, values[k] as number);
        high = Math.max(high, values[k] as number);
        yield;
      }
      this.relief = { bounds, resolution, values, low, high, level };
    }
  }
}

/** The shorter side made as long as the longer one. */
function squared(bounds: Bounds): Bounds {
  const side = Math.max(bounds.u[1] - bounds.u[0], bounds.v[1] - bounds.v[0]);
  const widened = ([from, to]: readonly [number, number]): [number, number] => {
    const middle = (from + to) / 2;
    return [middle - side / 2, middle + side / 2];
  };
  return { u: widened(bounds.u), v: widened(bounds.v) };
}

export const landscape = new Landscape();
