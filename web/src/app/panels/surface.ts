/** The loss as a surface in three dimensions: a few thousand quadrangles, the far ones first. */

import type { Relief } from "../lab/landscape.svelte";
import { css, heightColour, mix, type Palette } from "../lab/theme.svelte";
import { height } from "./relief";

export interface View {
  /** Around the vertical axis, and down from the horizon; in radians. */
  readonly turn: number;
  readonly tilt: number;
}

export interface Mark {
  readonly name: string;
  readonly at: readonly [number, number];
  readonly loss: number;
}

type Point = readonly [x: number, y: number, depth: number];

const TALL = 0.55;

export function drawSurface(
  context: CanvasRenderingContext2D,
  size: number,
  relief: Relief,
  view: View,
  marks: readonly Mark[],
  line: readonly { readonly at: readonly [number, number]; readonly loss: number }[],
  palette: Palette,
): void {
  const project = projection(size, view);
  const n = relief.resolution;
  const points: Point[] = [];
  for (let k = 0; k < n * n; k++)
    points.push(
      project(
        (k % n) / (n - 1) - 0.5,
        Math.floor(k / n) / (n - 1) - 0.5,
        height(relief, relief.values[k] as number),
      ),
    );
  const quads: { corners: Point[]; depth: number; lift: number; slope: number }[] = [];
  for (let row = 0; row + 1 < n; row++)
    for (let column = 0; column + 1 < n; column++) {
      const at = row * n + column;
      const ids = [at, at + 1, at + n + 1, at + n];
      const corners = ids.map((k) => points[k] as Point);
      const lifts = ids.map((k) => height(relief, relief.values[k] as number));
      quads.push({
        corners,
        depth: corners.reduce((sum, p) => sum + p[2], 0),
        lift: lifts.reduce((sum, v) => sum + v, 0) / 4,
        slope:
          ((lifts[1] as number) -
            (lifts[0] as number) +
            (lifts[2] as number) -
            (lifts[3] as number)) *
          n,
      });
    }
  quads.sort((a, b) => b.depth - a.depth);
  for (const { corners, lift, slope } of quads) {
    const shade = Math.max(-0.22, Math.min(0.22, -0.035 * slope));
    const base = heightColour(palette, 0.08 + 0.85 * lift);
    const colour = css(shade < 0 ? mix(base, palette.ink, -shade) : mix(base, palette.card, shade));
    context.fillStyle = colour;
    context.strokeStyle = colour;
    context.lineWidth = 0.8;
    context.beginPath();
    for (const [x, y] of corners) context.lineTo(x, y);
    context.closePath();
    context.fill();
    context.stroke();
  }
  overlay(context, relief, project, marks, line, palette);
}

function overlay(
  context: CanvasRenderingContext2D,
  relief: Relief,
  project: (x: number, y: number, z: number) => Point,
  marks: readonly Mark[],
  line: readonly { readonly at: readonly [number, number]; readonly loss: number }[],
  palette: Palette,
): void {
  const { u, v } = relief.bounds;
  const where = ([a, b]: readonly [number, number], loss: number): Point =>
    project(
      (a - u[0]) / (u[1] - u[0]) - 0.5,
      (b - v[0]) / (v[1] - v[0]) - 0.5,
      height(relief, loss),
    );
  context.strokeStyle = css(palette.accent);
  context.lineWidth = 2.5;
  context.beginPath();
  for (const { at, loss } of line) {
    const [x, y] = where(at, loss);
    context.lineTo(x, y);
  }
  context.stroke();
  context.font = `italic 600 16px ${palette.serif}`;
  for (const { name, at, loss } of marks) {
    const [x, y] = where(at, loss);
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    context.fillStyle = css(palette.card);
    context.fill();
    context.strokeStyle = css(palette.ink);
    context.lineWidth = 2;
    context.stroke();
    context.lineWidth = 3.5;
    context.strokeStyle = css(palette.card);
    context.strokeText(name, x + 8, y - 6);
    context.fillStyle = css(palette.ink);
    context.fillText(name, x + 8, y - 6);
  }
}

function projection(size: number, { turn, tilt }: View) {
  const [s, c] = [Math.sin(turn), Math.cos(turn)];
  const [ts, tc] = [Math.sin(tilt), Math.cos(tilt)];
  return (x: number, y: number, z: number): Point => {
    const across = c * x - s * y;
    const away = s * x + c * y;
    const up = (z - 0.4) * TALL;
    const depth = away * tc - up * ts;
    const zoom = (size * 0.67) / (1 + 0.28 * depth);
    return [size / 2 + across * zoom, size / 2 - (away * ts + up * tc) * zoom, depth];
  };
}
