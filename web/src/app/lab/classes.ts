/** Colours and marks of the classes: told apart without colour too. */

import { mix, type Palette, type Rgb } from "./theme.svelte";

/** Class 0 is orange, class 1 blue, as the difference of their outputs is. */
export function classColour(k: number, palette: Palette): Rgb {
  const basic = [palette.negative, palette.positive, palette.third, palette.accent];
  const colour = basic[k % basic.length] as Rgb;
  return k < basic.length ? colour : mix(colour, palette.ink, 0.18 * Math.floor(k / basic.length));
}

/** A disc, a square, a triangle, a diamond, by class. */
export function mark(
  context: CanvasRenderingContext2D,
  k: number,
  x: number,
  y: number,
  r: number,
): void {
  context.beginPath();
  switch (k % 4) {
    case 0:
      context.arc(x, y, r, 0, 2 * Math.PI);
      return;
    case 1:
      context.rect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r);
      return;
    case 2:
      context.moveTo(x, y - 1.2 * r);
      context.lineTo(x + 1.15 * r, y + 0.9 * r);
      context.lineTo(x - 1.15 * r, y + 0.9 * r);
      break;
    default:
      context.moveTo(x, y - 1.3 * r);
      context.lineTo(x + 1.3 * r, y);
      context.lineTo(x, y + 1.3 * r);
      context.lineTo(x - 1.3 * r, y);
  }
  context.closePath();
}
