/** Damaged addresses and files: whatever comes in, a state comes out or one sentence. */

import { expect, it } from "vitest";
import { parseCsv } from "../../src/core/datasets";
import { forward, loss } from "../../src/core/network";
import { Random } from "../../src/core/random";
import {
  architectureOfState,
  DEFAULTS,
  dataOf,
  fromFragment,
  fromJson,
  parametersOf,
  type State,
  toFragment,
  toJson,
  toSafetensors,
  withSafetensors,
} from "../../src/core/state";
import { InputError } from "../../src/core/types";

const ROUNDS = 1500;
const STATE: State = {
  ...DEFAULTS,
  samples: 4,
  hidden: [3, 2],
  parameters: parametersOf({ ...DEFAULTS, hidden: [3, 2] }),
  swap: { layer: 0, i: 0, j: 2 },
  place: [0.5, 1],
};
const OWN: State = { ...DEFAULTS, data: "own", own: parseCsv("1,2,0\n3,4,1\n5,6,0"), hidden: [2] };
const TOKENS = [
  "null",
  "-1",
  "1e999",
  "NaN",
  "[]",
  "{}",
  '"',
  ",",
  "0",
  "9999999999",
  "%",
  "&",
  "=",
  ".",
  "-",
  " ",
];

/** A few characters changed, removed, doubled, or replaced by something that means something. */
function damaged(text: string, random: Random): string {
  let result = text;
  for (let k = random.integer(3); k >= 0; k--) {
    const at = random.integer(result.length);
    const end = at + random.integer(8);
    const token = TOKENS[random.integer(TOKENS.length)] as string;
    const put = [
      token,
      "",
      result.slice(at, end).repeat(2),
      String.fromCharCode(random.integer(300)),
    ];
    result = result.slice(0, at) + put[random.integer(put.length)] + result.slice(end);
  }
  return result;
}

/** The state, if there is one, is one that the page can compute with. */
function survives(read: () => State): boolean {
  let state: State;
  try {
    state = read();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(/\.$/);
    return false;
  }
  const architecture = architectureOfState(state);
  const data = dataOf(state);
  const p = parametersOf(state);
  expect(data.x).toHaveLength(data.samples * data.inputs);
  expect(forward(architecture, p, data.x, data.samples).outputs).toHaveLength(
    data.samples * data.outputs,
  );
  expect(typeof loss(architecture, p, data, state.loss)).toBe("number");
  expect(fromJson(toJson(state))).toEqual(state);
  return true;
}

it.each([
  ["addresses", toFragment(STATE), fromFragment],
  ["documents", toJson(STATE), fromJson],
  ["documents with own data", toJson(OWN), fromJson],
] as const)("damaged %s", (_, text, read) => {
  const random = new Random(11);
  let alive = 0;
  for (let k = 0; k < ROUNDS; k++) alive += Number(survives(() => read(damaged(text, random))));
  // Both happen, or this would test nothing.
  expect(alive).toBeGreaterThan(ROUNDS / 100);
  expect(alive).toBeLessThan(ROUNDS);
});

it("damaged safetensors files", () => {
  const random = new Random(12);
  const file = toSafetensors(STATE);
  let alive = 0;
  for (let k = 0; k < ROUNDS; k++) {
    const bytes = file.slice(0, random.integer(4) ? file.length : random.integer(file.length));
    for (let n = random.integer(4); n > 0; n--)
      bytes[random.integer(bytes.length)] = random.integer(256);
    alive += Number(survives(() => withSafetensors(STATE, bytes)));
  }
  expect(alive).toBeGreaterThan(ROUNDS / 100);
  expect(alive).toBeLessThan(ROUNDS);
});
