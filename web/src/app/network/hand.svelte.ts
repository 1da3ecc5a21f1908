/** What pointer and keys do to the nodes of the drawing. */

import type { Node } from "../../core/moves";
import { lab } from "../lab/lab.svelte";
import { trainer } from "../lab/trainer.svelte";
import { Carry } from "./carry";
import { type Layout, type Spot, spotOf } from "./layout";

interface Drag {
  readonly spot: Spot;
  readonly pointer: number;
  /** Where the pointer went down. */
  readonly x: number;
  readonly y: number;
  moved: boolean;
}

/** Pixels that a pointer may shake without carrying anything. */
const SHAKE = 5;

export class Hand {
  readonly carry = new Carry();
  /** The carried node is over one of another layer. */
  refused = $state(false);
  private drag: Drag | null = null;
  private dropped = false;

  constructor(
    private readonly layout: () => Layout,
    private readonly repaint: () => void,
  ) {}

  down(event: PointerEvent, spot: Spot): void {
    if (event.button !== 0 || this.drag) return;
    this.dropped = false;
    this.drag = {
      spot,
      pointer: event.pointerId,
      x: event.clientX,
      y: event.clientY,
      moved: false,
    };
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
  }

  move(event: PointerEvent): void {
    const { drag } = this;
    if (!drag || event.pointerId !== drag.pointer) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved) {
      if (Math.hypot(dx, dy) < SHAKE) return;
      drag.moved = true;
      trainer.stop();
      lab.settle();
      lab.picked = null;
      lab.carried = { node: nodeAt(drag.spot), over: null };
    }
    this.carry.hold(drag.spot, dx, dy);
    this.aim(drag.spot, drag.spot.x + dx, drag.spot.y + dy);
    this.repaint();
  }

  up(event: PointerEvent): void {
    const { drag } = this;
    const target = lab.carried?.over ?? null;
    if (!drag || event.pointerId !== drag.pointer) return;
    this.drag = null;
    if (!drag.moved) return;
    this.dropped = true;
    const { layer, index } = drag.spot;
    if (target && event.type === "pointerup") {
      this.carry.exchanged(this.layout(), layer, index, target.index);
      exchange(layer, index, target.index, true);
    } else {
      if (target) this.carry.send(spotOf(this.layout(), target.layer, target.index), [0, 0]);
      this.carry.send(drag.spot, [0, 0]);
      if (this.refused) lab.say("Only nodes of the same layer can be exchanged.");
    }
    lab.carried = null;
    this.refused = false;
    this.repaint();
  }

  /** A click, or Enter or Space: pick the node, or exchange it with the one that is picked. */
  click(node: Node): void {
    if (this.dropped) {
      this.dropped = false;
      return;
    }
    pick(node);
  }

  /** The node nearest to the carried one gives way to it. */
  private aim(spot: Spot, x: number, y: number): void {
    const nearest = this.nearest(spot, x, y);
    this.refused = nearest !== null && nearest.layer !== spot.layer;
    const over = nearest && !this.refused ? nodeAt(nearest) : null;
    const before = lab.carried?.over ?? null;
    if (over?.index === before?.index) return;
    if (before) this.carry.send(spotOf(this.layout(), before.layer, before.index), [0, 0]);
    if (over && nearest) this.carry.send(nearest, [spot.x - nearest.x, spot.y - nearest.y]);
    lab.carried = { node: nodeAt(spot), over };
  }

  private nearest(spot: Spot, x: number, y: number): Spot | null {
    let best: Spot | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const other of this.layout().columns.slice(1, -1).flat()) {
      const away = Math.hypot(other.x - x, other.y - y);
      if (other !== spot && away < Math.max(20, other.size * 0.8) && away < least) {
        best = other;
        least = away;
      }
    }
    return best;
  }
}

function nodeAt({ layer, index }: Spot): Node {
  return { layer, index };
}

export function exchange(layer: number, i: number, j: number, carried = false): void {
  lab.act({ kind: "swap", layer, i, j }, carried);
  lab.say(
    `Nodes ${i + 1} and ${j + 1} of hidden layer ${layer + 1} have exchanged places with all their edges. ` +
      `The loss was ${lab.lossA.toPrecision(6)} and is ${lab.lossB.toPrecision(6)}.`,
  );
}

function pick(node: Node): void {
  const { picked } = lab;
  if (picked && picked.layer === node.layer && picked.index !== node.index) {
    trainer.stop();
    exchange(node.layer, picked.index, node.index);
  } else if (picked && picked.layer === node.layer) {
    lab.picked = null;
    lab.say("Nothing is picked.");
  } else {
    lab.picked = node;
    lab.say(
      `Node ${node.index + 1} of hidden layer ${node.layer + 1} is picked. Pick another one of this layer to exchange them.`,
    );
  }
}

/** Where an arrow key leads from a node; null where there is nothing. */
export function beside(key: string, { layer, index }: Node): Node | null {
  const widths = lab.hidden;
  const n = widths[layer] as number;
  const step = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (step) return index + step >= 0 && index + step < n ? { layer, index: index + step } : null;
  if (key === "Home") return { layer, index: 0 };
  if (key === "End") return { layer, index: n - 1 };
  const turn = { ArrowLeft: -1, ArrowRight: 1 }[key];
  const width = turn ? widths[layer + turn] : undefined;
  if (!turn || !width) return null;
  return {
    layer: layer + turn,
    index: Math.min(width - 1, Math.floor(((index + 0.5) / n) * width)),
  };
}
