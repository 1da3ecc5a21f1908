/** Random numbers, data, counts, moves: what holds of them whatever the library says. */

import { describe, expect, it } from "vitest";
import { copies, equalNodes, groupOrder, layerCount, superscript } from "../../src/core/count";
import { DATA_KINDS, dataset, OWN_LIMITS, parseCsv } from "../../src/core/datasets";
import { erf } from "../../src/core/erf";
import { accuracy, initial, loss } from "../../src/core/network";
import { around, plane } from "../../src/core/plane";
import { Random } from "../../src/core/random";
import {
  average,
  bestSwap,
  distance,
  equal,
  flatten,
  flip,
  interpolate,
  mirror,
  permute,
  rescale,
  swap,
  unflatten,
} from "../../src/core/symmetry";
import { optimiser } from "../../src/core/training";
import { ACTIVATIONS, type Architecture, InputError } from "../../src/core/types";
import { expectClose } from "./reading";

const NET: Architecture = { inputs: 2, hidden: [5, 4], outputs: 3, activation: "tanh" };

describe("random numbers", () => {
  it("are the same for the same seed, and others for another", () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (r) => () =>
            r.uniform()
        )(new Random(seed)),
      );
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    // These must never change: addresses that hold only a seed would show other networks.
    expect(draw(1)).toMatchInlineSnapshot(`
      [
        0.23993004919154348,
        0.2823788304050613,
        0.3970632541403495,
        0.2848671277021586,
        0.662463107710053,
      ]
    `);
  });

  it("are uniform and normal", () => {
    const random = new Random(3);
    const uniform = Array.from({ length: 20000 }, () => random.uniform());
    const normal = Array.from({ length: 20000 }, () => random.normal());
    const mean = (v: number[]) => v.reduce((sum, each) => sum + each, 0) / v.length;
    expect(mean(uniform)).toBeCloseTo(0.5, 1.5);
    expect(mean(uniform.map((u) => u * u))).toBeCloseTo(1 / 3, 1.5);
    expect(mean(normal)).toBeCloseTo(0, 1.5);
    expect(mean(normal.map((z) => z * z))).toBeCloseTo(1, 1);
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
  });

  it("shuffle to permutations", () => {
    expect([...new Random(1).order(50)].sort((a, b) => a - b)).toEqual([...Array(50).keys()]);
  });
});

describe("data", () => {
  it.each(DATA_KINDS.map((kind) => [kind.id, kind] as const))(
    "%s have their shapes",
    (id, kind) => {
      const data = dataset(id, { samples: 60, seed: 4 });
      expect(data).toMatchObject({
        name: id,
        task: kind.task,
        samples: 60,
        inputs: kind.inputs,
        outputs: kind.outputs,
      });
      expect(data.x).toHaveLength(60 * kind.inputs);
      expect(data.y).toHaveLength(60);
      expect([...data.x, ...data.y].every(Number.isFinite)).toBe(true);
      expect(Math.max(...data.x.map(Math.abs))).toBeLessThan(2);
      if (kind.task === "classification")
        expect(new Set(data.y)).toEqual(new Set(Array(kind.outputs).keys()));
      expect(dataset(id, { samples: 60, seed: 4 })).toEqual(data);
    },
  );

  it.each(DATA_KINDS.map(({ id }) => id))("%s can be learnt", (id) => {
    const data = dataset(id, { samples: 120 });
    const name = data.task === "regression" ? "mse" : "cross_entropy";
    const architecture: Architecture = {
      inputs: data.inputs,
      hidden: [12, 12],
      outputs: data.outputs,
      activation: "tanh",
    };
    const training = optimiser(architecture, data, name, { rate: 0.02 });
    let p = initial(architecture, 1);
    const before = loss(architecture, p, data, name);
    for (let k = 0; k < 300; k++) p = training.step(p).parameters;
    expect(loss(architecture, p, data, name)).toBeLessThan(0.45 * before);
    if (data.task === "classification")
      expect(accuracy(architecture, p, data)).toBeGreaterThan(0.8);
  });
});

describe("own data", () => {
  it("with whole numbers from 0 are classes", () => {
    const data = parseCsv("x1;x2;class\r\n0.5; -1e-3 ;0\r\n\r\n# a remark\r\n2;3;2\r\n4;5;1\r\n");
    expect(data).toMatchObject({ task: "classification", samples: 3, inputs: 2, outputs: 3 });
    expect([...data.x]).toEqual([0.5, -1e-3, 2, 3, 4, 5]);
    expect([...data.y]).toEqual([0, 2, 1]);
  });

  it.each([
    ["1 2\n3 4.5", 1],
    ["1\t2\t0\n3\t4\t2", 2],
    ['\uFEFF"1","2"\n"3","-4"', 1],
  ])("otherwise are values: %j", (text, inputs) => {
    expect(parseCsv(text)).toMatchObject({ task: "regression", samples: 2, inputs, outputs: 1 });
  });

  it.each([
    ["", "d is empty: give one sample a line, its target last."],
    ["a,b", "d holds 0 samples, and the page needs at least two."],
    ["1,2", "d holds 1 sample, and the page needs at least two."],
    ["1\n2", "d has one column, and the page needs inputs and a target."],
    ["1,2\n3", "Line 2 of d has 1 entry where the first one has 2."],
    ["x,y\n1,2\n\n3,four", "Line 4 of d has “four” in column 2, which is not a finite number."],
    ["1,2\n3,", "Line 2 of d has nothing in column 2, which is not a finite number."],
    ["1,2\nNaN,2", "Line 2 of d has “NaN” in column 1, which is not a finite number."],
    ["1,2\nInfinity,2", "Line 2 of d has “Infinity” in column 1, which is not a finite number."],
    [
      `1,2\n3,${"z".repeat(99)}`,
      `Line 2 of d has “${"z".repeat(20)}…” in column 2, which is not a finite number.`,
    ],
    ["1,2\n".repeat(2001), "d holds 2001 samples, and the page takes at most 2000."],
    [`${"1,".repeat(70)}2\n`.repeat(2), "d has 70 inputs, and the page takes at most 64."],
    [
      "9".repeat(OWN_LIMITS.characters + 1),
      "d is too large for this page: it takes up to 4 MB of text.",
    ],
  ])("of the wrong form are refused in one sentence", (text, message) => {
    expect(() => parseCsv(text, "d")).toThrow(new InputError(message));
  });
});

describe("moves", () => {
  const p = initial(NET, 5);
  const data = dataset("gaussians", { samples: 40 });

  it("keep the function for every exchange, flip and rescaling that the activation allows", () => {
    for (const activation of ACTIVATIONS) {
      const architecture = { ...NET, activation };
      const value = (q: typeof p) => loss(architecture, q, data, "cross_entropy");
      const before = value(p);
      for (const layer of [0, 1]) {
        expectClose([value(swap(p, layer, 0, 3))], [before]);
        const turned = mirror(activation, p, layer, 2);
        if (turned) expectClose([value(turned)], [before]);
      }
    }
  });

  it("are their own inverses, or have one", () => {
    expect(equal(swap(swap(p, 0, 1, 4), 0, 1, 4), p)).toBe(true);
    expect(equal(flip(flip(p, 1, 2), 1, 2), p)).toBe(true);
    expect(equal(permute(permute(p, 0, [1, 2, 3, 4, 0]), 0, [4, 0, 1, 2, 3]), p)).toBe(true);
    expect(equal(rescale(rescale(p, 0, 1, 4), 0, 1, 0.25), p)).toBe(true);
    expect(equal(unflatten(NET, flatten(p)), p)).toBe(true);
  });

  it("leave what they are given as it was", () => {
    const before = flatten(p);
    swap(p, 0, 0, 1);
    flip(p, 0, 0);
    rescale(p, 0, 0, 2);
    average(p);
    interpolate(p, p, 0.5);
    optimiser(NET, data, "cross_entropy", { rate: 1 }).step(p);
    expect(flatten(p)).toEqual(before);
  });

  it("refuse nodes and layers that are not there", () => {
    expect(() => permute(p, 0, [0, 1])).toThrow(RangeError);
    expect(() => permute(p, 0, [0, 1, 2, 3, 3])).toThrow(RangeError);
    expect(() => swap(p, 2, 0, 1)).toThrow(RangeError);
    expect(() => flip(p, 0, 9)).toThrow(RangeError);
    expect(() => rescale(p, 0, 0, 0)).toThrow(RangeError);
  });

  it("average as all permutations do, one by one", () => {
    const orders = [
      [0, 1, 2, 3],
      [1, 0, 2, 3],
    ].flatMap((first) => [...Array(24).keys()].map((k) => nth(first, k)));
    const sum = new Float64Array(flatten(p).length);
    for (const order of orders)
      flatten(permute(p, 1, order)).forEach((v, k) => {
        sum[k] = (sum[k] as number) + v / orders.length;
      });
    expectClose(flatten(average(p, [1])), sum);
  });

  it("find the exchange that is worst halfway", () => {
    const best = bestSwap(NET, p, data, "cross_entropy");
    const halfway = interpolate(p, swap(p, best?.layer ?? 0, best?.i ?? 0, best?.j ?? 0), 0.5);
    expect(best?.midpointLoss).toBe(loss(NET, halfway, data, "cross_entropy"));
    expect(
      bestSwap({ ...NET, hidden: [1] }, initial({ ...NET, hidden: [1] }, 1), data, "mse"),
    ).toBeNull();
  });
});

/** Permutation number k of some things. */
function nth(things: number[], k: number): number[] {
  if (!things.length) return [];
  const at = k % things.length;
  const rest = things.filter((_, j) => j !== at);
  return [things[at] as number, ...nth(rest, Math.floor(k / things.length))];
}

describe("the plane", () => {
  it("is orthonormal, so that distances are those of parameter space", () => {
    const [a, b, c] = [1, 2, 3].map((seed) => initial(NET, seed)) as [
      ReturnType<typeof initial>,
      ReturnType<typeof initial>,
      ReturnType<typeof initial>,
    ];
    const on = plane(a, b, c);
    expect(on.proper).toBe(true);
    for (const [p, q] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const) {
      const [u, v] = [on.coordinates(p), on.coordinates(q)];
      expectClose([Math.hypot(u[0] - v[0], u[1] - v[1])], [distance(p, q)]);
    }
    expectClose(flatten(on.point(...on.coordinates(c))), flatten(c));
  });

  it("through points of a line has one axis, and of one point none", () => {
    const a = initial(NET, 1);
    const b = swap(a, 0, 0, 1);
    const on = plane(a, b, interpolate(a, b, 0.5));
    expect(on.proper).toBe(false);
    expectClose(flatten(on.point(distance(a, b), 5)), flatten(b));
    expect(plane(a, a, a).coordinates(b)).toEqual([0, 0]);
  });

  it("is framed with room on every side", () => {
    expect(
      around(
        [
          [0, 0],
          [2, 1],
        ],
        0.5,
      ),
    ).toEqual({ u: [-1, 3], v: [-1, 2] });
    expect(around([[1, 1]], 0.5)).toEqual({ u: [0.5, 1.5], v: [0.5, 1.5] });
  });
});

describe("counts", () => {
  it.each([
    ["relu", [4], "24", "4!"],
    ["tanh", [4], "384", "4! × 2⁴"],
    ["relu", [1], "1", "1!"],
    ["gelu", [3, 5], "720", "3!"],
    ["relu", [16], "20,922,789,888,000", "16!"],
    ["relu", [32], "2.63 × 10³⁵", "32!"],
    ["tanh", [32, 32, 32], "1.44 × 10¹³⁵", "32! × 2³²"],
  ] as const)("%s %j", (activation, hidden, order, formula) => {
    const architecture = { ...NET, activation, hidden };
    expect(groupOrder(architecture).text).toBe(order);
    expect(layerCount(architecture, 0).formula).toBe(formula);
  });

  it("of the digits of a number agree with its logarithm", () => {
    const { log10 } = groupOrder({ ...NET, activation: "relu", hidden: [32] });
    let sum = 0;
    for (let k = 2; k <= 32; k++) sum += Math.log10(k);
    expect(log10).toBeCloseTo(sum, 12);
  });

  it("leave out copies that are the same", () => {
    const p = initial(NET, 1);
    expect(copies(NET, p).text).toBe("1,474,560");
    expect(copies(NET, average(p)).exact).toBe(2n ** 9n);
    expect(equalNodes(average(p), 0, "tanh")).toEqual([[0, 1, 2, 3, 4]]);
    const dead = unflatten(NET, new Float64Array(flatten(p).length));
    expect(copies(NET, dead).exact).toBe(1n);
  });

  it("are written with raised digits", () => {
    expect(superscript(-120)).toBe("⁻¹²⁰");
  });
});

it("the error function is that of tables", () => {
  // Abramowitz and Stegun, table 7.1.
  expectClose(
    [erf(0.5), erf(1), erf(1.5), erf(2)],
    [0.5204998778130465, 0.8427007929497149, 0.9661051464753108, 0.9953222650189527],
  );
  expect(erf(-0.5)).toBe(-erf(0.5));
  expect([erf(0), erf(7), erf(-7), erf(Number.POSITIVE_INFINITY)]).toEqual([0, 1, -1, 1]);
  expect(erf(Number.NaN)).toBeNaN();
});
