/** The drawing's geometry: where nodes are, and how they move. */

import { describe, expect, it } from "vitest";
import { Carry } from "../../src/app/network/carry";
import { layout, spotOf } from "../../src/app/network/layout";
import type { Architecture } from "../../src/core/types";

function architecture(inputs: number, hidden: number[], outputs: number): Architecture {
  return { inputs, hidden, outputs, activation: "relu" };
}

const SHAPES = [
  architecture(1, [1], 1),
  architecture(2, [16, 16], 1),
  architecture(2, [32, 32, 32], 2),
  architecture(64, [32, 7, 32], 10),
  architecture(12, [5], 10),
];
const SIZES = [
  [650, 262],
  [340, 230],
] as const;

describe("layout", () => {
  for (const shape of SHAPES)
    for (const [width, height] of SIZES)
      it(`${shape.inputs}-${shape.hidden.join("-")}-${shape.outputs} fits into ${width} × ${height}`, () => {
        const { columns } = layout(shape, width, height);
        expect(columns.map((column) => column.length)).toEqual([
          shape.inputs,
          ...shape.hidden,
          shape.outputs,
        ]);
        for (const { x, y, size } of columns.flat()) {
          expect(x - size / 2).toBeGreaterThanOrEqual(0);
          expect(x + size / 2).toBeLessThanOrEqual(width);
          expect(y - size / 2).toBeGreaterThanOrEqual(0);
          expect(y + size / 2).toBeLessThanOrEqual(height);
        }
      });

  it("keeps the nodes of a layer apart", () => {
    for (const shape of SHAPES)
      for (const column of layout(shape, 650, 262).columns)
        for (const one of column)
          for (const other of column)
            if (one !== other)
              expect(
                Math.max(Math.abs(one.x - other.x), Math.abs(one.y - other.y)),
              ).toBeGreaterThanOrEqual(0.9 * one.size);
  });
});

describe("carry", () => {
  const plan = layout(architecture(2, [4], 2), 600, 300);
  const seen = (carry: Carry, index: number): readonly [number, number] => {
    const spot = spotOf(plan, 0, index);
    const [dx, dy] = carry.offset(spot);
    return [spot.x + dx, spot.y + dy];
  };

  it("leaves two nodes where they are seen when they exchange their numbers", () => {
    const carry = new Carry();
    carry.hold(spotOf(plan, 0, 0), 31, 140);
    carry.hold(spotOf(plan, 0, 2), 5, -7);
    const before = [seen(carry, 0), seen(carry, 2)];
    carry.exchanged(plan, 0, 0, 2);
    expect(seen(carry, 2)).toEqual(before[0]);
    expect(seen(carry, 0)).toEqual(before[1]);
  });

  it("brings every node home in the end", () => {
    const carry = new Carry();
    carry.travel(plan, 0, 0, 3, 0);
    expect(seen(carry, 0)).toEqual([spotOf(plan, 0, 3).x, spotOf(plan, 0, 3).y]);
    carry.send(spotOf(plan, 0, 1), [20, 20]);
    carry.send(spotOf(plan, 0, 1), [0, 0]);
    let frames = 0;
    while (carry.advance(16 * frames, 16) && frames < 1000) frames++;
    expect(frames).toBeLessThan(100);
    for (const index of [0, 1, 2, 3]) expect(carry.offset(spotOf(plan, 0, index))).toEqual([0, 0]);
  });

  it("passes two travelling nodes on two sides", () => {
    const carry = new Carry();
    carry.travel(plan, 0, 0, 3, 0);
    carry.advance(450, 16);
    const [one] = seen(carry, 0);
    const [other] = seen(carry, 3);
    expect(Math.abs(one - other)).toBeGreaterThan(40);
  });
});
