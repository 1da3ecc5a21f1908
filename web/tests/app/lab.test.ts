/** What the page does with numbers, moves and long computations, without a browser. */

import { beforeAll, describe, expect, it } from "vitest";
import { Background, type Work } from "../../src/app/lab/background";
import { equalToRounding, long, power, short, signed } from "../../src/app/lab/numbers";
import { TRAITS } from "../../src/core/activations";
import { apply, fromWord, type Move, toWord } from "../../src/core/moves";
import { forward, initial } from "../../src/core/network";
import { equal } from "../../src/core/symmetry";
import { ACTIVATIONS } from "../../src/core/types";

describe("numbers", () => {
  it("are short, with a true minus", () => {
    expect(short(0.0135287)).toBe("0.0135");
    expect(short(-12.34567)).toBe("−12.346");
    expect(short(0)).toBe("0.0000");
    expect(short(3.2e-7)).toBe("3.2 × 10⁻⁷");
    expect(short(Number.NaN)).toBe("not a number");
    expect(short(Number.POSITIVE_INFINITY)).toBe("∞");
    expect(signed(-0.5)).toBe("−0.50");
  });

  it("show nine digits where two losses are compared", () => {
    expect(long(0.013528733712)).toBe("0.0135287337");
    expect(power(-1.74e-18)).toBe("−1.7 × 10⁻¹⁸");
  });

  it("are equal to rounding, or not", () => {
    expect(equalToRounding(0.1 + 0.2, 0.3)).toBe(true);
    expect(equalToRounding(1, 1 + 1e-9)).toBe(false);
    expect(equalToRounding(Number.NaN, Number.NaN)).toBe(false);
  });
});

describe("moves", () => {
  const inputs = Float64Array.from([0.3, -1.2, 0.8, 0.4, -0.7, 2.1]);

  for (const activation of ACTIVATIONS) {
    const { mirror, degree } = TRAITS[activation];
    const moves: Move[] = [{ kind: "swap", layer: 1, i: 0, j: 3 }];
    if (mirror) moves.push({ kind: "flip", layer: 0, i: 2 });
    if (degree) moves.push({ kind: "scale", layer: 1, i: 1, factor: 2.5 });
    for (const move of moves)
      it(`${move.kind} keeps what a network of ${activation} computes`, () => {
        const architecture = { inputs: 2, hidden: [3, 4], outputs: 2, activation };
        const p = initial(architecture, 5);
        const q = apply(move, p, activation);
        expect(equal(p, q)).toBe(false);
        const before = forward(architecture, p, inputs, 3).outputs;
        const after = forward(architecture, q, inputs, 3).outputs;
        before.forEach((v, k) => {
          expect(after[k]).toBeCloseTo(v, 13);
        });
      });
  }

  it("are found again in an address, and nothing else is", () => {
    const flip: Move = { kind: "flip", layer: 1, i: 2 };
    const scale: Move = { kind: "scale", layer: 0, i: 4, factor: 1.682 };
    expect(fromWord(toWord(flip), [5, 3])).toEqual(flip);
    expect(fromWord(toWord(scale), [5, 3])).toEqual(scale);
    for (const word of [
      "",
      "fresh",
      "flip.1.3",
      "flip.-1.0",
      "scale.0.0.0",
      "scale.0.0.x",
      "flip.0.0.5e9.1",
    ])
      expect([word, fromWord(word, [5, 3])?.kind ?? null]).toEqual([
        word,
        word.startsWith("flip.0.0") ? "flip" : null,
      ]);
  });
});

describe("background", () => {
  beforeAll(() => {
    globalThis.requestAnimationFrame = (frame) =>
      setTimeout(() => frame(performance.now()), 0) as unknown as number;
  });

  const settled = (): Promise<void> => new Promise((done) => setTimeout(done, 60));

  function* counting(log: string[], name: string, pieces: number): Work {
    for (let k = 0; k < pieces; k++) {
      log.push(name);
      yield;
    }
    log.push(`${name}.`);
  }

  it("works on all jobs in turn", async () => {
    const background = new Background();
    const log: string[] = [];
    background.restart("a", () => counting(log, "a", 3));
    background.restart("b", () => counting(log, "b", 2));
    await settled();
    expect(log).toEqual(["a", "b", "a", "b", "a", "b.", "a."]);
  });

  it("drops what is restarted, and lets what is followed finish", async () => {
    const background = new Background();
    const log: string[] = [];
    background.restart("a", () => counting(log, "old", 5));
    background.restart("a", () => counting(log, "new", 1));
    background.follow("a", () => counting(log, "skipped", 1));
    background.follow("a", () => counting(log, "last", 1));
    await settled();
    expect(log).toEqual(["new", "new.", "last", "last."]);
  });

  it("stops", async () => {
    const background = new Background();
    const log: string[] = [];
    background.restart("a", () => counting(log, "a", 5));
    background.stop("a");
    await settled();
    expect(log).toEqual([]);
  });
});
