/** The drawing of the network: edges by weight and sign, nodes with what they compute. */

import type { Layer, Parameters } from "../../core/types";
import type { Edge } from "../lab/lab.svelte";
import { css, mix, type Palette } from "../lab/theme.svelte";
import type { Carry } from "./carry";
import type { Layout, Spot } from "./layout";
import type { Album } from "./pictures";

export interface Scene {
  readonly layout: Layout;
  readonly parameters: Parameters;
  /** The largest weight of every map, by which thickness is measured. */
  readonly scales: readonly number[];
  readonly album: Album;
  readonly palette: Palette;
  readonly carry: Carry;
  /** Nodes whose edges stand out, as `layer.index`. */
  readonly bright: ReadonlySet<string>;
  readonly edge: Edge | null;
  /** What is written at a node; empty for nothing. */
  readonly name: (spot: Spot) => string;
  /** How bright an input is, from 0 to 1, where the inputs are the pixels of an image. */
  readonly pixel: (index: number) => number;
  readonly now: number;
}

/** With more edges than this the faintest are left out. */
const MANY = 500;

export function draw(context: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, parameters } = scene;
  context.clearRect(0, 0, layout.width, layout.height);
  context.lineCap = "butt";
  const some = scene.bright.size > 0 || scene.edge !== null;
  parameters.forEach((layer, map) => {
    edges(context, scene, layer, map, some ? "faint" : "all");
  });
  if (some)
    parameters.forEach((layer, map) => {
      edges(context, scene, layer, map, "bright");
    });
  const lit = (spot: Spot): boolean => scene.bright.has(`${spot.layer}.${spot.index}`);
  const spots = layout.columns.flat();
  // What is carried passes over the others.
  for (const spot of spots) if (!lit(spot)) node(context, scene, spot);
  for (const spot of spots) if (lit(spot)) node(context, scene, spot);
  if (scene.edge) label(context, scene, scene.edge);
}

function edges(
  context: CanvasRenderingContext2D,
  scene: Scene,
  layer: Layer,
  map: number,
  which: "all" | "faint" | "bright",
): void {
  const { layout, palette, bright } = scene;
  const [from, to] = [layout.columns[map], layout.columns[map + 1]] as [Spot[], Spot[]];
  const scale = scene.scales[map] as number;
  const few = layer.weight.length <= MANY;
  for (let i = 0; i < layer.rows; i++)
    for (let j = 0; j < layer.columns; j++) {
      const weight = layer.weight[i * layer.columns + j] as number;
      const share = Math.min(1.6, Math.abs(weight) / scale);
      if (share < (few ? 0.015 : 0.08)) continue;
      const chosen =
        bright.has(`${map}.${i}`) || bright.has(`${map - 1}.${j}`) || named(scene.edge, map, i, j);
      if (which !== "all" && chosen !== (which === "bright")) continue;
      const faint = which === "faint" ? 0.16 : 1;
      context.strokeStyle = css(
        weight < 0 ? palette.negative : palette.positive,
        faint * Math.min(1, (few ? 0.3 : 0.12) + 0.75 * share),
      );
      context.lineWidth = Math.max(0.6, (few ? 4 : 2.4) * share);
      context.setLineDash(weight < 0 ? [6, 4] : []);
      stroke(context, scene, from[j] as Spot, to[i] as Spot);
    }
  context.setLineDash([]);
}

function named(edge: Edge | null, map: number, to: number, from: number): boolean {
  return edge !== null && edge.map === map && edge.to === to && edge.from === from;
}

function stroke(context: CanvasRenderingContext2D, scene: Scene, from: Spot, to: Spot): void {
  const [x0, y0, x1, y1] = ends(scene, from, to);
  const bend = Math.max(24, (x1 - x0) * 0.42);
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
  context.stroke();
}

function ends(scene: Scene, from: Spot, to: Spot): [number, number, number, number] {
  const [fx, fy] = scene.carry.offset(from);
  const [tx, ty] = scene.carry.offset(to);
  return [from.x + fx + from.size / 2, from.y + fy, to.x + tx - to.size / 2, to.y + ty];
}

function node(context: CanvasRenderingContext2D, scene: Scene, spot: Spot): void {
  const { palette, album, carry } = scene;
  const [dx, dy] = carry.offset(spot);
  const { size } = spot;
  const picture = album[spot.layer + 1]?.[spot.index] ?? null;
  const pixel = spot.layer === -1 && size < 15;
  context.save();
  context.translate(spot.x + dx, spot.y + dy);
  context.scale(carry.breadth(spot, scene.now), 1);
  const lit = scene.bright.has(`${spot.layer}.${spot.index}`);
  if (lit) {
    context.beginPath();
    context.roundRect(
      -size / 2 - 5,
      -size / 2 - 5,
      size + 10,
      size + 10,
      Math.min(13, size * 0.36),
    );
    context.fillStyle = css(palette.accent, 0.28);
    context.fill();
  }
  context.beginPath();
  context.roundRect(-size / 2, -size / 2, size, size, pixel ? 1 : Math.min(9, size * 0.22));
  context.fillStyle = css(
    pixel ? mix(palette.sunk, palette.ink, scene.pixel(spot.index)) : palette.card,
  );
  context.fill();
  if (picture) {
    context.save();
    context.clip();
    context.imageSmoothingEnabled = picture.width > 8;
    context.drawImage(picture, -size / 2, -size / 2, size, size);
    context.restore();
  }
  context.lineWidth = lit ? 2.5 : pixel ? 0.5 : 1.25;
  context.strokeStyle = css(lit ? palette.accent : pixel ? palette.lineStrong : palette.ink2);
  context.stroke();
  if (spot.layer >= 0 && size > 14) bias(context, scene, spot);
  context.restore();
  name(context, scene, spot, spot.x + dx, spot.y + dy);
}

/** The bias: a dot at the lower left corner. */
function bias(context: CanvasRenderingContext2D, scene: Scene, spot: Spot): void {
  const { palette, parameters } = scene;
  const value = parameters[spot.layer]?.bias[spot.index] ?? 0;
  const scale = scene.scales[spot.layer] as number;
  const radius = Math.max(2, 4.4 * Math.sqrt(Math.min(1, Math.abs(value) / scale)));
  context.beginPath();
  context.arc(-spot.size / 2, spot.size / 2, radius, 0, 2 * Math.PI);
  context.fillStyle = css(value < 0 ? palette.negative : palette.positive);
  context.fill();
  context.lineWidth = 1.25;
  context.strokeStyle = css(palette.card);
  context.stroke();
}

function name(
  context: CanvasRenderingContext2D,
  scene: Scene,
  spot: Spot,
  x: number,
  y: number,
): void {
  const text = scene.name(spot);
  if (!text) return;
  const hidden = spot.layer >= 0 && spot.layer < scene.parameters.length - 1;
  context.fillStyle = css(scene.palette.ink2);
  if (hidden) {
    const small = spot.size < 30;
    context.font = `${small ? 9.5 : 12}px ${scene.palette.sans}`;
    context.textAlign = spot.left ? "right" : "left";
    context.textBaseline = "alphabetic";
    const beside = (spot.left ? -1 : 1) * (spot.size / 2 + (small ? 2 : 3));
    context.fillText(text, x + beside, y - spot.size / 2 + (small ? 4 : 5));
    return;
  }
  context.font = `13px ${scene.palette.sans}`;
  context.textBaseline = "middle";
  if (/^\d$/.test(text) && !scene.album[spot.layer + 1]?.[spot.index]) {
    context.textAlign = "center";
    context.fillText(text, x, y + 1);
    return;
  }
  context.textAlign = spot.layer < 0 ? "right" : "left";
  context.fillText(text, x + (spot.layer < 0 ? -1 : 1) * (spot.size / 2 + 7), y);
}

/** The weight that the tour points at, written on its edge. */
function label(context: CanvasRenderingContext2D, scene: Scene, edge: Edge): void {
  const { layout, palette } = scene;
  const from = layout.columns[edge.map]?.[edge.from];
  const to = layout.columns[edge.map + 1]?.[edge.to];
  const layer = scene.parameters[edge.map];
  if (!from || !to || !layer) return;
  const weight = layer.weight[edge.to * layer.columns + edge.from] as number;
  const [x0, y0, x1, y1] = ends(scene, from, to);
  const text = `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`;
  context.font = `600 13px ${palette.sans}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const wide = context.measureText(text).width + 14;
  context.beginPath();
  context.roundRect(x - wide / 2, y - 11, wide, 22, 11);
  context.fillStyle = css(palette.accent);
  context.fill();
  context.fillStyle = css(palette.card);
  context.fillText(text, x, y + 0.5);
}
