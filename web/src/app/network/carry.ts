/** How nodes are away from their places: carried by hand, giving way, or travelling. */

import { eased, still } from "../lab/motion";
import { type Layout, type Spot, spotOf } from "./layout";

interface Away {
  x: number;
  y: number;
  /** Where it is going, relative to its place. */
  goal: readonly [number, number];
  /** A journey along an arc; null when it is drawn to its goal. */
  journey: {
    readonly from: readonly [number, number];
    readonly bow: number;
    readonly start: number;
  } | null;
}

const JOURNEY = 900;
const PULL = 55;

export class Carry {
  private readonly nodes = new Map<string, Away>();
  /** A node turning over, and when it began. */
  private turning: { key: string; start: number } | null = null;

  offset(spot: Spot): readonly [number, number] {
    const away = this.nodes.get(key(spot.layer, spot.index));
    return away ? [away.x, away.y] : [0, 0];
  }

  /** How wide a node is drawn while it turns over: 1 is all of it. */
  breadth(spot: Spot, now: number): number {
    const { turning } = this;
    if (!turning || turning.key !== key(spot.layer, spot.index)) return 1;
    const k = Math.min(1, (now - turning.start) / 500);
    return Math.max(0.04, Math.abs(Math.cos(Math.PI * k)));
  }

  /** Under the pointer: exactly there. */
  hold(spot: Spot, x: number, y: number): void {
    this.nodes.set(key(spot.layer, spot.index), { x, y, goal: [x, y], journey: null });
  }

  /** Go to a place relative to one's own. */
  send(spot: Spot, goal: readonly [number, number]): void {
    const away = this.nodes.get(key(spot.layer, spot.index)) ?? fresh();
    this.nodes.set(key(spot.layer, spot.index), { ...away, goal, journey: null });
  }

  /** Two nodes have exchanged their numbers while both stay where they are seen, and now go home. */
  exchanged(on: Layout, layer: number, i: number, j: number): void {
    const [one, other] = [spotOf(on, layer, i), spotOf(on, layer, j)];
    const [a, b] = [this.offset(one), this.offset(other)];
    this.put(one, other.x + b[0] - one.x, other.y + b[1] - one.y);
    this.put(other, one.x + a[0] - other.x, one.y + a[1] - other.y);
  }

  /** Two nodes have exchanged their numbers, and travel to their new places on two sides. */
  travel(on: Layout, layer: number, i: number, j: number, now: number): void {
    const [one, other] = [spotOf(on, layer, i), spotOf(on, layer, j)];
    const bow = Math.min(60, 24 + Math.abs(one.y - other.y) * 0.3);
    this.start(one, [other.x - one.x, other.y - one.y], bow, now);
    this.start(other, [one.x - other.x, one.y - other.y], -bow, now);
  }

  turn(layer: number, index: number, now: number): void {
    if (!still()) this.turning = { key: key(layer, index), start: now };
  }

  /**
   * Move on by `elapsed` milliseconds.
   *
   * @returns whether anything is still moving.
   */
  advance(now: number, elapsed: number): boolean {
    let moving = false;
    for (const [name, away] of this.nodes) {
      if (away.journey) moving = this.along(name, away, now) || moving;
      else moving = this.pull(name, away, elapsed) || moving;
    }
    if (this.turning && now - this.turning.start > 500) this.turning = null;
    return moving || this.turning !== null;
  }

  clear(): void {
    this.nodes.clear();
    this.turning = null;
  }

  private put(spot: Spot, x: number, y: number): void {
    this.nodes.set(key(spot.layer, spot.index), { x, y, goal: [0, 0], journey: null });
  }

  private start(spot: Spot, from: readonly [number, number], bow: number, now: number): void {
    if (still()) return;
    this.nodes.set(key(spot.layer, spot.index), {
      x: from[0],
      y: from[1],
      goal: [0, 0],
      journey: { from, bow, start: now },
    });
  }

  private along(name: string, away: Away, now: number): boolean {
    const journey = away.journey as NonNullable<Away["journey"]>;
    const k = Math.min(1, Math.max(0, (now - journey.start) / JOURNEY));
    const left = 1 - eased(k);
    away.x = journey.from[0] * left + journey.bow * Math.sin(Math.PI * eased(k));
    away.y = journey.from[1] * left;
    if (k < 1) return true;
    this.nodes.delete(name);
    return false;
  }

  private pull(name: string, away: Away, elapsed: number): boolean {
    const share = still() ? 1 : 1 - Math.exp(-elapsed / PULL);
    const [dx, dy] = [away.goal[0] - away.x, away.goal[1] - away.y];
    const close = Math.hypot(dx, dy) < 0.4;
    away.x = close ? away.goal[0] : away.x + share * dx;
    away.y = close ? away.goal[1] : away.y + share * dy;
    if (close && away.goal[0] === 0 && away.goal[1] === 0) this.nodes.delete(name);
    return !close;
  }
}

function fresh(): Away {
  return { x: 0, y: 0, goal: [0, 0], journey: null };
}

function key(layer: number, index: number): string {
  return `${layer}.${index}`;
}
