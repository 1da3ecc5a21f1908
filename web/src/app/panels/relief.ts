/** The contour map of the loss on a plane. */

import { contours } from "d3-contour";
import type { Relief } from "../lab/landscape.svelte";
import { css, heightColour, type Palette } from "../lab/theme.svelte";

const LEVELS = 16;

/** Loss levels that lie closer where the loss is low, where there is most to see. */
export function levels(relief: Relief): number[] {
  const span = relief.high - relief.low;
  return Array.from({ length: LEVELS }, (_, k) => relief.low + span * ((k + 1) / LEVELS) ** 2.4);
}

/** From 0 to 1: how high a loss is drawn. */
export function height(relief: Relief, loss: number): number {
  const span = relief.high - relief.low || 1;
  return Math.max(0, Math.min(1, (loss - relief.low) / span)) ** (1 / 2.4);
}

export function drawRelief(
  context: CanvasRenderingContext2D,
  size: number,
  relief: Relief,
  palette: Palette,
): void {
  const n = relief.resolution;
  context.fillStyle = css(heightColour(palette, 0));
  context.fillRect(0, 0, size, size);
  const values = Array.from(relief.values);
  const generator = contours().size([n, n]);
  levels(relief).forEach((threshold, k) => {
    const rings = generator.contour(values, threshold).coordinates.flat();
    context.beginPath();
    for (const ring of rings) trace(context, ring, n, size);
    context.fillStyle = css(heightColour(palette, (k + 1) / LEVELS));
    context.fill("evenodd");
    context.strokeStyle = css(palette.ink, 0.16);
    context.lineWidth = 0.75;
    context.stroke();
  });
  const own = generator.contour(values, relief.level).coordinates.flat();
  context.beginPath();
  for (const ring of own) trace(context, ring, n, size);
  context.strokeStyle = css(palette.accent);
  context.lineWidth = 1.75;
  context.stroke();
}

/** Grid points are at the middle of d3's cells; the rim of the map is the first and the last of them. */
function trace(
  context: CanvasRenderingContext2D,
  ring: readonly (readonly number[])[],
  n: number,
  size: number,
): void {
  const at = (v: number): number => ((v - 0.5) / (n - 1)) * size;
  ring.forEach(([x = 0, y = 0], k) => {
    const rim = (v: number): number => (v <= 0 ? -2 : v >= n ? size + 2 : at(v));
    const [px, py] = [rim(x), size - rim(y)];
    if (k) context.lineTo(px, py);
    else context.moveTo(px, py);
  });
  context.closePath();
}
