/** Where the nodes of the drawing are. */

import type { Architecture } from "../../core/types";

export interface Spot {
  /** −1 for inputs, then the hidden layers from 0, then the outputs. */
  readonly layer: number;
  readonly index: number;
  /** The middle, in pixels. */
  readonly x: number;
  readonly y: number;
  readonly size: number;
  /** In the left one of two staggered columns, where the right side is not free. */
  readonly left: boolean;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** By layer, the inputs first: `columns[layer + 1][index]`. */
  readonly columns: readonly (readonly Spot[])[];
}

/** More inputs than this are drawn as the pixels of an image. */
const LISTED = 12;
const SIZE = { largest: 46, staggered: 19 };

export function layout(architecture: Architecture, width: number, height: number): Layout {
  const { inputs, hidden, outputs } = architecture;
  const image = inputs > LISTED;
  const top = 20;
  const bottom = height - 12;
  const left = image ? 14 : 40;
  const right = width - (outputs > 3 ? 34 : 76);
  const cell = image
    ? Math.min(13, (bottom - top) / Math.ceil(inputs / side(inputs)), width / 34)
    : 0;
  const first = image ? left + cell * side(inputs) : left;
  const step = (right - first) / (hidden.length + 1);
  const columns: Spot[][] = [
    image
      ? pixels(inputs, left, (top + bottom) / 2, cell)
      : column(-1, inputs, left, top, bottom, 30),
  ];
  hidden.forEach((n, layer) => {
    columns.push(column(layer, n, first + step * (layer + 1), top, bottom, SIZE.largest));
  });
  columns.push(column(hidden.length, outputs, right, top, bottom, 38));
  return { width, height, columns };
}

export function spotOf(on: Layout, layer: number, index: number): Spot {
  return (on.columns[layer + 1] as readonly Spot[])[index] as Spot;
}

function column(
  layer: number,
  n: number,
  x: number,
  top: number,
  bottom: number,
  largest: number,
): Spot[] {
  const pitch = Math.min((bottom - top) / n, largest * 1.55);
  const staggered = pitch * 0.8 < SIZE.staggered && n > 4;
  const size = Math.min(largest, staggered ? Math.min(24, pitch * 1.7) : pitch * 0.8);
  const middle = (top + bottom) / 2;
  return Array.from({ length: n }, (_, index) => ({
    layer,
    index,
    x: x + (staggered ? (index % 2 ? 1 : -1) * size * 0.62 : 0),
    y: middle + (index - (n - 1) / 2) * pitch,
    size,
    left: staggered && index % 2 === 0,
  }));
}

function pixels(n: number, left: number, middle: number, cell: number): Spot[] {
  const across = side(n);
  const down = Math.ceil(n / across);
  return Array.from({ length: n }, (_, index) => ({
    layer: -1,
    index,
    x: left + ((index % across) + 0.5) * cell,
    y: middle + (Math.floor(index / across) + 0.5 - down / 2) * cell,
    size: cell,
    left: false,
  }));
}

function side(n: number): number {
  return Math.ceil(Math.sqrt(n));
}
