/** The output over the plane of two inputs, and the fit over one. */

import { contours } from "d3-contour";
import { scaleLinear } from "d3-scale";
import type { Dataset, LossName } from "../../core/types";
import { classColour, mark } from "../lab/classes";
import type { Field } from "../lab/fields.svelte";
import { css, mix, type Palette, paint } from "../lab/theme.svelte";

let buffer: HTMLCanvasElement | null = null;

/** Two inputs: what the network says at every place, where it changes its mind, and the samples. */
export function drawPlane(
  context: CanvasRenderingContext2D,
  size: number,
  field: Field,
  data: Dataset,
  loss: LossName,
  palette: Palette,
): void {
  const n = field.resolution;
  buffer ??= document.createElement("canvas");
  buffer.width = n;
  buffer.height = n;
  const to = buffer.getContext("2d") as CanvasRenderingContext2D;
  const image = to.createImageData(n, n);
  const two = data.outputs === 2 && data.task === "classification";
  const difference = new Float64Array(n * n);
  for (let k = 0; k < n * n; k++) {
    if (data.outputs <= 2 || data.task === "regression") {
      const d = two
        ? (field.outputs[2 * k + 1] as number) - (field.outputs[2 * k] as number)
        : (field.outputs[data.outputs * k] as number);
      difference[k] = d;
      const v = two && loss === "cross_entropy" ? Math.tanh(d / 2) : d;
      paint(image.data, k, 0.6 * Math.max(-1, Math.min(1, v)), palette);
    } else winner(image.data, k, field.outputs, data.outputs, palette);
  }
  to.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(buffer, 0, 0, size, size);
  if (two) boundary(context, size, difference, n, palette);
  samples(context, size, field, data, palette);
}

function winner(
  pixels: Uint8ClampedArray,
  at: number,
  outputs: Float64Array,
  classes: number,
  palette: Palette,
): void {
  const own = Array.from(outputs.subarray(at * classes, (at + 1) * classes));
  const top = Math.max(...own);
  const best = Math.max(0, own.indexOf(top));
  const second = Math.max(...own.filter((_, k) => k !== best));
  const sure = 1 - Math.exp(-(top - second));
  const [r, g, b] = mix(palette.neutral, classColour(best, palette), 0.2 + 0.5 * sure);
  pixels.set([r, g, b, 255], 4 * at);
}

/** Where both classes are equally likely. */
function boundary(
  context: CanvasRenderingContext2D,
  size: number,
  difference: Float64Array,
  n: number,
  palette: Palette,
): void {
  const [line] = contours().size([n, n]).thresholds([0])(Array.from(difference));
  context.strokeStyle = css(palette.ink, 0.85);
  context.lineWidth = 1.5;
  context.beginPath();
  for (const ring of line?.coordinates.flat() ?? [])
    ring.forEach(([x = 0, y = 0], k) => {
      // A contour runs along the rim of the grid too; there nothing changes.
      const rim = x <= 0 || y <= 0 || x >= n || y >= n;
      const move = k === 0 || rim;
      context[move ? "moveTo" : "lineTo"]((x * size) / n, (y * size) / n);
    });
  context.stroke();
}

function samples(
  context: CanvasRenderingContext2D,
  size: number,
  field: Field,
  data: Dataset,
  palette: Palette,
): void {
  const x = scaleLinear(field.x, [0, size]);
  const y = scaleLinear(field.y, [size, 0]);
  context.lineWidth = 1;
  const radius = data.samples > 500 ? 2 : 3;
  for (let s = 0; s < data.samples; s++) {
    const kind = data.task === "classification" ? (data.y[s] as number) : 0;
    mark(context, kind, x(data.x[2 * s] as number), y(data.x[2 * s + 1] as number), radius);
    context.fillStyle = css(classColour(kind, palette));
    context.fill();
    context.strokeStyle = css(palette.card, 0.9);
    context.stroke();
  }
}

/** One input: the samples and the curve through them. */
export function drawFit(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  field: Field,
  data: Dataset,
  palette: Palette,
): void {
  const values = data.y as Float64Array;
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const room = 0.35 * (high - low || 1);
  const x = scaleLinear(field.x, [0, width]);
  const y = scaleLinear([low - room, high + room], [height, 0]);
  context.strokeStyle = css(palette.line);
  context.lineWidth = 1;
  for (const tick of y.ticks(5)) {
    context.beginPath();
    context.moveTo(0, y(tick));
    context.lineTo(width, y(tick));
    context.stroke();
    context.fillStyle = css(palette.ink2);
    context.font = `11px ${palette.sans}`;
    if (y(tick) > 14) context.fillText(String(tick).replace("-", "−"), 4, y(tick) - 3);
  }
  for (let s = 0; s < data.samples; s++) {
    mark(context, 0, x(data.x[s] as number), y(values[s * data.outputs] as number), 2.5);
    context.fillStyle = css(palette.negative, 0.75);
    context.fill();
  }
  context.strokeStyle = css(palette.positive);
  context.lineWidth = 2.5;
  context.beginPath();
  for (let k = 0; k < field.resolution; k++)
    context.lineTo(x(field.inputs[k] as number), y(field.outputs[k * data.outputs] as number));
  context.stroke();
}
