/** The page's numbers are the library's. */

import { describe, expect, it } from "vitest";
import { activate, backward, TRAITS } from "../../src/core/activations";
import { copies } from "../../src/core/count";
import { forward, gradient, loss } from "../../src/core/network";
import { grid, plane } from "../../src/core/plane";
import { average, flatten, interpolate, mirror, rescale, swap } from "../../src/core/symmetry";
import { optimiser } from "../../src/core/training";
import { ACTIVATIONS, type Activation, LOSSES, type Parameters } from "../../src/core/types";
import {
  architecture,
  type Case,
  cases,
  data,
  expectClose,
  expectSame,
  fixture,
  parameters,
} from "./reading";

const value = (c: Case, p: Parameters) =>
  loss(architecture(c), p, data(c), c.loss_name, c.weight_decay);

it("covers every activation with every loss in one, two and three layers", () => {
  const seen = new Set(cases.map((c) => `${c.activation} ${c.loss_name} ${c.hidden.length}`));
  expect(seen.size).toBe(ACTIVATIONS.length * LOSSES.length * 3);
});

describe.each(cases.map((c) => [c.name, c] as const))("%s", (_, c) => {
  const a = parameters(c);

  it("computes outputs, loss and gradient", () => {
    expectClose(forward(architecture(c), a, data(c).x, c.samples).outputs, c.forward);
    expectClose([value(c, a)], [c.loss]);
    const found = gradient(architecture(c), a, data(c), c.loss_name, c.weight_decay);
    expectClose([found.loss], [c.loss]);
    expectClose(flatten(found.gradient), c.gradient);
  });

  it("exchanges two nodes, entry by entry, and keeps the loss", () => {
    const { layer, i, j } = c.swap;
    const b = swap(a, layer, i, j);
    expectSame(b, c.swap.parameters);
    expectClose([value(c, b)], [c.swap.loss]);
    expectClose([value(c, b)], [value(c, a)]);
  });

  it("takes the midpoint and the average over all permutations", () => {
    const { layer, i, j } = c.swap;
    const middle = interpolate(a, swap(a, layer, i, j), 0.5);
    expectClose(flatten(middle), c.midpoint.parameters);
    expectClose([value(c, middle)], [c.midpoint.loss]);
    expectClose(flatten(average(a)), c.average.parameters);
    expectClose([value(c, average(a))], [c.average.loss]);
  });

  it("turns a node over where the library does", () => {
    const node = c.turned?.node ?? 0;
    const p = mirror(c.activation, a, c.swap.layer, node);
    // Of the identity the library counts signs among the matrices.
    if (c.activation !== "identity") expect(p === null).toBe(c.turned === null);
    if (!p || !c.turned) return;
    expectClose(flatten(p), c.turned.parameters);
    // Weight decay sees the biases that a half turn moves, so that this is the library's loss and not that of A.
    expectClose([value(c, p)], [c.turned.loss]);
  });

  it("rescales a node as the library does", () => {
    const { degree } = TRAITS[c.activation];
    expect(degree > 0).toBe(c.rescaled !== null);
    if (!c.rescaled) return;
    const p = rescale(a, c.swap.layer, c.rescaled.node, c.rescaled.factor, degree);
    expectClose(flatten(p), c.rescaled.parameters);
    expectClose([value(c, p)], [c.rescaled.loss]);
  });

  it("counts copies", () => {
    if (c.copies) expect(String(copies(architecture(c), a).exact)).toBe(c.copies);
  });

  it("draws the plane through A, B and the average", () => {
    const { u, v, resolution, losses, points } = c.plane;
    const b = parameters(c, c.swap.parameters);
    const middle = parameters(c, c.average.parameters);
    const on = plane(a, b, middle);
    [a, b, middle].forEach((p, k) => {
      expectClose([...on.coordinates(p), 1], [...(points[k] as [number, number]), 1]);
    });
    expectClose(
      grid(architecture(c), on, { u, v }, resolution, data(c), c.loss_name, c.weight_decay),
      losses,
    );
  });

  it("trains as torch does", () => {
    for (const method of ["adam", "gradient_descent"] as const) {
      const { rate, steps } = c.training;
      const made = optimiser(architecture(c), data(c), c.loss_name, {
        method,
        rate,
        weightDecay: c.weight_decay,
      });
      let p = a;
      for (let k = 0; k < steps; k++) p = made.step(p).parameters;
      expectClose(flatten(p), c.training[method]);
    }
  });
});

interface Functions {
  places: number[];
  functions: Record<Activation, { values: number[]; slopes: number[] }>;
}

describe("activations and their slopes", () => {
  const { places, functions } = fixture<Functions>("functions.json");
  it.each(ACTIVATIONS)("%s", (name) => {
    const z = Float64Array.from(places);
    const h = new Float64Array(z.length);
    activate(name, z, h);
    const slope = new Float64Array(z.length).fill(1);
    backward(name, z, h, slope);
    z.forEach((_, k) => {
      // Near zero the values themselves are compared: relative to 1 or to the value, whichever is larger.
      expectClose([h[k] as number, 1], [functions[name].values[k] as number, 1]);
      expectClose([slope[k] as number, 1], [functions[name].slopes[k] as number, 1]);
    });
  });
});
