/** The small picture in every node: what it computes over the inputs, or the weights with which it looks at an image. */

import type { Architecture, Layer, Parameters } from "../../core/types";
import type { Field } from "../lab/fields.svelte";
import { css, type Palette, paint } from "../lab/theme.svelte";

export type Picture = HTMLCanvasElement;

/** Pictures by layer (inputs first) and node; null where there is nothing to draw. */
export type Album = readonly (readonly (Picture | null)[])[];

/** Canvases are used again: a training network has new pictures in every frame. */
const pool = new Map<string, Picture>();

export function album(
  architecture: Architecture,
  p: Parameters,
  field: Field | null,
  palette: Palette,
): Album {
  const { inputs, hidden, outputs } = architecture;
  if (field && inputs === 2) {
    const columns = [axes(field), ...field.hidden, field.outputs];
    const widths = [inputs, ...hidden, outputs];
    return columns.map((values, c) =>
      maps(c, values, widths[c] as number, field.resolution, palette),
    );
  }
  if (field && inputs === 1) {
    const columns = [field.inputs, ...field.hidden, field.outputs];
    const widths = [inputs, ...hidden, outputs];
    return columns.map((values, c) => lines(c, values, widths[c] as number, palette));
  }
  const blank = [inputs, ...hidden, outputs].map((n) => Array<Picture | null>(n).fill(null));
  if (inputs === 64) blank[1] = glances(p[0] as Layer, palette);
  return blank;
}

/** The two inputs over themselves. */
function axes(field: Field): Float64Array {
  const out = field.inputs.slice();
  const middle = [(field.x[0] + field.x[1]) / 2, (field.y[0] + field.y[1]) / 2];
  for (let k = 0; k < out.length; k++) out[k] = (out[k] as number) - (middle[k % 2] as number);
  return out;
}

function maps(
  column: number,
  values: Float64Array,
  n: number,
  resolution: number,
  palette: Palette,
): Picture[] {
  const scale = largest(values);
  return Array.from({ length: n }, (_, k) => {
    const { picture, context } = canvas(`${column}.${k}`, resolution, resolution);
    const image = context.createImageData(resolution, resolution);
    for (let at = 0; at < resolution * resolution; at++)
      paint(image.data, at, (values[at * n + k] as number) / scale, palette);
    context.putImageData(image, 0, 0);
    return picture;
  });
}

function lines(column: number, values: Float64Array, n: number, palette: Palette): Picture[] {
  const scale = largest(values);
  const size = 72;
  const samples = values.length / n;
  return Array.from({ length: n }, (_, k) => {
    const { picture, context } = canvas(`${column}.${k}`, size, size);
    context.fillStyle = css(palette.sunk);
    context.fillRect(0, 0, size, size);
    context.strokeStyle = css(palette.lineStrong, 0.6);
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(0, size / 2);
    context.lineTo(size, size / 2);
    context.stroke();
    context.strokeStyle = css(palette.ink);
    context.lineWidth = 4;
    context.beginPath();
    for (let s = 0; s < samples; s++)
      context.lineTo(
        (size * s) / (samples - 1),
        size * (0.5 - (0.42 * (values[s * n + k] as number)) / scale),
      );
    context.stroke();
    return picture;
  });
}

/** The weights of the first layer, in the shape of the image. */
function glances(layer: Layer, palette: Palette): Picture[] {
  const scale = largest(layer.weight);
  return Array.from({ length: layer.rows }, (_, k) => {
    const { picture, context } = canvas(`1.${k}`, 8, 8);
    const image = context.createImageData(8, 8);
    for (let at = 0; at < 64; at++)
      paint(image.data, at, (1.5 * (layer.weight[k * 64 + at] as number)) / scale, palette);
    context.putImageData(image, 0, 0);
    return picture;
  });
}

function canvas(
  name: string,
  width: number,
  height: number,
): { picture: Picture; context: CanvasRenderingContext2D } {
  const picture = pool.get(name) ?? document.createElement("canvas");
  pool.set(name, picture);
  if (picture.width !== width) picture.width = width;
  if (picture.height !== height) picture.height = height;
  return { picture, context: picture.getContext("2d") as CanvasRenderingContext2D };
}

function largest(values: Float64Array): number {
  let most = 1e-9;
  for (let k = 0; k < values.length; k++) most = Math.max(most, Math.abs(values[k] as number));
  return most;
}
