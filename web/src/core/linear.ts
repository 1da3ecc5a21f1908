/** Products of matrices, written for speed: nothing is allocated, and every inner loop runs along a row. */

import type { Layer } from "./types";

/** out = x Wᵀ + b. Four rows at a time: sums that do not wait for each other. */
export function affine(layer: Layer, x: Float64Array, samples: number, out: Float64Array): void {
  const { rows, columns, weight, bias } = layer;
  const blocked = rows - (rows % 4);
  for (let s = 0; s < samples; s++) {
    const from = s * columns;
    const to = s * rows;
    for (let i = 0; i < blocked; i += 4) {
      const first = i * columns;
      const second = first + columns;
      const third = second + columns;
      const fourth = third + columns;
      let a = bias[i] as number;
      let b = bias[i + 1] as number;
      let c = bias[i + 2] as number;
      let d = bias[i + 3] as number;
      for (let j = 0; j < columns; j++) {
        const value = x[from + j] as number;
        a += (weight[first + j] as number) * value;
        b += (weight[second + j] as number) * value;
        c += (weight[third + j] as number) * value;
        d += (weight[fourth + j] as number) * value;
      }
      out[to + i] = a;
      out[to + i + 1] = b;
      out[to + i + 2] = c;
      out[to + i + 3] = d;
    }
    for (let i = blocked; i < rows; i++) {
      let sum = bias[i] as number;
      const row = i * columns;
      for (let j = 0; j < columns; j++)
        sum += (weight[row + j] as number) * (x[from + j] as number);
      out[to + i] = sum;
    }
  }
}

/** The gradient of one layer: Σ over samples of delta ⊗ x, and of delta; plus the decay. */
export function collect(
  into: Layer,
  layer: Layer,
  x: Float64Array,
  delta: Float64Array,
  samples: number,
  weightDecay: number,
): void {
  const { rows, columns } = layer;
  const { weight, bias } = into;
  for (let k = 0; k < weight.length; k++) weight[k] = weightDecay * (layer.weight[k] as number);
  for (let i = 0; i < rows; i++) bias[i] = weightDecay * (layer.bias[i] as number);
  const blocked = samples - (samples % 4);
  for (let s = 0; s < blocked; s += 4) {
    const first = s * columns;
    const second = first + columns;
    const third = second + columns;
    const fourth = third + columns;
    for (let i = 0; i < rows; i++) {
      const at = s * rows + i;
      const a = delta[at] as number;
      const b = delta[at + rows] as number;
      const c = delta[at + 2 * rows] as number;
      const d = delta[at + 3 * rows] as number;
      if (a === 0 && b === 0 && c === 0 && d === 0) continue;
      bias[i] = (bias[i] as number) + (a + b + (c + d));
      const row = i * columns;
      for (let j = 0; j < columns; j++)
        weight[row + j] =
          (weight[row + j] as number) +
          (a * (x[first + j] as number) +
            b * (x[second + j] as number) +
            (c * (x[third + j] as number) + d * (x[fourth + j] as number)));
    }
  }
  for (let s = blocked; s < samples; s++) {
    const from = s * columns;
    for (let i = 0; i < rows; i++) {
      const d = delta[s * rows + i] as number;
      bias[i] = (bias[i] as number) + d;
      const row = i * columns;
      for (let j = 0; j < columns; j++)
        weight[row + j] = (weight[row + j] as number) + d * (x[from + j] as number);
    }
  }
}

/** out = delta W. */
export function pull(layer: Layer, delta: Float64Array, samples: number, out: Float64Array): void {
  const { rows, columns, weight } = layer;
  const blocked = rows - (rows % 4);
  for (let s = 0; s < samples; s++) {
    const from = s * rows;
    const to = s * columns;
    for (let j = 0; j < columns; j++) out[to + j] = 0;
    for (let i = 0; i < blocked; i += 4) {
      const a = delta[from + i] as number;
      const b = delta[from + i + 1] as number;
      const c = delta[from + i + 2] as number;
      const d = delta[from + i + 3] as number;
      if (a === 0 && b === 0 && c === 0 && d === 0) continue;
      const first = i * columns;
      const second = first + columns;
      const third = second + columns;
      const fourth = third + columns;
      for (let j = 0; j < columns; j++)
        out[to + j] =
          (out[to + j] as number) +
          (a * (weight[first + j] as number) +
            b * (weight[second + j] as number) +
            (c * (weight[third + j] as number) + d * (weight[fourth + j] as number)));
    }
    for (let i = blocked; i < rows; i++) {
      const d = delta[from + i] as number;
      const row = i * columns;
      for (let j = 0; j < columns; j++)
        out[to + j] = (out[to + j] as number) + d * (weight[row + j] as number);
    }
  }
}
