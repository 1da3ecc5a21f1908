/** What the network on screen computes on a grid of inputs: for its output and for the pictures in its nodes. */

import { forward } from "../../core/network";
import { lab } from "./lab.svelte";
import { trainer } from "./trainer.svelte";

export interface Frame {
  /** From and to, per input. */
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
  /** Points per input. */
  readonly resolution: number;
  readonly inputs: Float64Array;
}

export interface Field extends Frame {
  readonly outputs: Float64Array;
  readonly hidden: readonly Float64Array[];
}

class Fields {
  /** The grid under the data; null where there are more than two inputs. */
  readonly frame: Frame | null = $derived.by(() => {
    const { dataset } = lab;
    if (dataset.inputs > 2) return null;
    const x = extent(dataset.x, dataset.inputs, 0);
    if (dataset.inputs === 1) {
      const resolution = 121;
      const inputs = Float64Array.from({ length: resolution }, (_, k) => along(x, k, resolution));
      return { x, y: [0, 0], resolution, inputs };
    }
    const y = extent(dataset.x, 2, 1);
    const resolution = trainer.running || lab.cost > 0.6 ? 28 : 44;
    const inputs = new Float64Array(2 * resolution * resolution);
    for (let k = 0; k < resolution * resolution; k++) {
      inputs[2 * k] = along(x, k % resolution, resolution);
      // From the top, as pixels go.
      inputs[2 * k + 1] = along([y[1], y[0]], Math.floor(k / resolution), resolution);
    }
    return { x, y, resolution, inputs };
  });

  readonly field: Field | null = $derived.by(() => {
    const { frame } = this;
    if (!frame) return null;
    const samples = frame.inputs.length / lab.architecture.inputs;
    return { ...frame, ...forward(lab.architecture, trainer.seen.drawn, frame.inputs, samples) };
  });
}

/** The range of one input, with some room on both sides. */
function extent(x: Float64Array, inputs: number, which: number): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let k = which; k < x.length; k += inputs) {
    low = Math.min(low, x[k] as number);
    high = Math.max(high, x[k] as number);
  }
  const room = 0.12 * (high - low || 1);
  return [low - room, high + room];
}

function along(range: readonly [number, number], k: number, count: number): number {
  return range[0] + ((range[1] - range[0]) * k) / (count - 1);
}

export const fields = new Fields();
