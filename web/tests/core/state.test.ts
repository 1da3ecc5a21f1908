/** What is on screen goes out and comes back; what comes from elsewhere is checked, in one sentence. */

import { describe, expect, it } from "vitest";
import { parseCsv } from "../../src/core/datasets";
import { initial } from "../../src/core/network";
import { pythonLines } from "../../src/core/python";
import { readSafetensors, writeSafetensors } from "../../src/core/safetensors";
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
import { flatten } from "../../src/core/symmetry";
import { InputError } from "../../src/core/types";

const TRAINED: State = {
  ...DEFAULTS,
  data: "circles",
  samples: 120,
  noise: 0.05,
  hidden: [4, 3],
  activation: "leaky_relu",
  loss: "mse",
  method: "gradient_descent",
  rate: 0.125,
  decay: 1e-4,
  batch: 16,
  seed: 7,
  steps: 250,
  parameters: initial({ inputs: 2, hidden: [4, 3], outputs: 2, activation: "leaky_relu" }, 3),
  swap: { layer: 1, i: 2, j: 0 },
  t: 0.375,
  averaged: true,
  place: [0.5, -1.25],
  tour: 4,
  view: "landscape",
};

const OWN: State = {
  ...DEFAULTS,
  data: "own",
  own: parseCsv("a,b,y\n1,2,0.5\n3,4,-1.5\n5,6,2\n", "mine.csv"),
  loss: "mse",
};

/** The message, which is one sentence: it starts with a capital and ends with its only full stop. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    const { message } = error as Error;
    expect(message).toMatch(/^[A-Z“][^\n]*\.$/);
    expect(message).not.toMatch(/\. [A-Z]/);
    expect(message.length).toBeLessThan(220);
    return message;
  }
  return expect.fail("nothing was refused");
}

describe("an address", () => {
  it("is empty where everything is as usual", () => {
    expect(toFragment(DEFAULTS)).toBe("");
    expect(fromFragment("")).toEqual(DEFAULTS);
    expect(fromFragment("#")).toEqual(DEFAULTS);
  });

  it("comes back bit by bit", () => {
    expect(fromFragment(`#${toFragment(TRAINED)}`)).toEqual(TRAINED);
    expect(toFragment(TRAINED)).toMatch(/^[\w.,=&-]*$/);
  });

  it("can be typed", () => {
    const state = fromFragment("#data=sine&hidden=8,8&activation=sin&seed=12&view=3");
    expect(state).toMatchObject({
      data: "sine",
      hidden: [8, 8],
      activation: "sin",
      seed: 12,
      view: "3",
    });
    expect(state.loss).toBe("mse");
    expect(parametersOf(state)).toEqual(initial(architectureOfState(state), 12));
  });

  it.each([
    [
      "hidden=100000",
      "The address has a hidden layer of 100000 nodes, and the page takes 1 to 32.",
    ],
    ["hidden=8,8,8,8", "The address has 4 hidden layers, and the page takes at most 3."],
    ["hidden=0", "The address has a hidden layer of 0 nodes, and the page takes 1 to 32."],
    ["hidden=2.5", "The address has a hidden layer of 2.5 nodes, and nodes are whole."],
    ["hidden=1e999", "The address has hidden = null, and a list of numbers is expected."],
    ["hidden=many", "The address has hidden = “many”, and a list of numbers is expected."],
    ["data=secret", "The address names the data “secret”, which the page does not have."],
    [
      "data=own",
      "The address speaks of data from a file that it does not hold: open that file again.",
    ],
    [
      "data=sine&loss=cross_entropy",
      "The address asks for cross-entropy on data that have no classes.",
    ],
    ["activation=step", /^The address has activation = “step”, and one of relu, .* is expected\.$/],
    ["rate=NaN", "The address has rate = “NaN”, and a number from 0 to 10 is expected."],
    ["rate=-1", "The address has rate = -1, and a number from 0 to 10 is expected."],
    ["seed=1.5", /^The address has seed = 1\.5, and a whole number from 0 to 2147483647/],
    ["averaged=maybe", "The address has averaged = “maybe”, and true or false is expected."],
    ["swap=0,1", "The address has swap = [0,1], and a list of 3 numbers is expected."],
    ["swap=0,1,9", "The address exchanges nodes 1 and 9 of hidden layer 0, which are not there."],
    ["swap=0,1,1", "The address exchanges nodes 1 and 1 of hidden layer 0, which are one."],
    ["swap=3,0,1", "The address exchanges nodes 0 and 1 of hidden layer 3, which are not there."],
    ["parameters=AAAA", "The address was cut off in the middle of a parameter."],
    ["parameters=%25", "The address holds parameters that are not written as base64."],
    ["parameters=AAAAAAAAAAA", "The address holds 1 parameter, and this network has 32."],
    ["colour=red", "The address holds “colour”, which the page does not know."],
    ["own=1", "The address holds “own”, which the page does not know."],
    ["__proto__=1", "The address holds “__proto__”, which the page does not know."],
    ["constructor=1", "The address holds “constructor”, which the page does not know."],
  ])("%s is refused", (fragment, message) => {
    expect(refusal(() => fromFragment(fragment))).toMatch(message);
  });

  it("refuses weights that are not finite", () => {
    const parameters = initial(architectureOfState(DEFAULTS), 1);
    parameters[0]?.weight.fill(Number.NaN, 3, 4);
    const message = refusal(() => fromFragment(toFragment({ ...DEFAULTS, parameters })));
    expect(message).toBe("The address holds a weight that is NaN, which is not a finite number.");
  });
});

describe("a JSON document", () => {
  it.each([
    ["as usual", DEFAULTS],
    ["trained", TRAINED],
    ["with own data", OWN],
  ])("comes back bit by bit: %s", (_, state) => {
    expect(fromJson(toJson(state))).toEqual(state);
  });

  const document = JSON.parse(toJson(TRAINED));
  const changed = (changes: object) => JSON.stringify({ ...document, ...changes });
  const weights = (changes: object) =>
    changed({ parameters: { ...document.parameters, ...changes } });

  it.each([
    ["no JSON", "{", "The file is not JSON."],
    ["a list", "[]", "The file was not saved by this page."],
    ["nothing", "null", "The file was not saved by this page."],
    ["another program's", '{"format": "orbitope plane"}', "The file was not saved by this page."],
    ["a later version", changed({ version: 2 }), "The file has version 2, and this page reads 1."],
    ["a huge width", changed({ hidden: [4e6] }), /a hidden layer of 4000000 nodes/],
    [
      "text for a number",
      changed({ rate: "1" }),
      "The file has rate = “1”, and a number from 0 to 10 is expected.",
    ],
    [
      "another shape",
      changed({ hidden: [4, 5] }),
      "The file holds weights of a 2–4–3–2 network for a 2–4–5–2 one.",
    ],
    [
      "a ragged table",
      weights({ "0.weight": [[1, 2], [3]] }),
      "The file has 0.weight, which is not a table of numbers.",
    ],
    [
      "a null weight",
      weights({ "0.bias": [1, null, 3, 4] }),
      "The file has null in 0.bias, which is not a finite number.",
    ],
    [
      "a deep table",
      weights({ "0.bias": [[[1]]] }),
      "The file has [1] in 0.bias, which is not a finite number.",
    ],
    ["another name", weights({ extra: [1] }), /^The file holds extra, which is no weight or bias/],
    [
      "layers that do not chain",
      weights({ "2.weight": [[1], [2], [3]] }),
      "The file has a layer of 4 outputs before one of 1 input.",
    ],
    [
      "parameters of another kind",
      changed({ parameters: 3 }),
      "The file has parameters that are no object.",
    ],
    [
      "own data that are absent",
      changed({ data: "own" }),
      "The file names own data and does not hold them.",
    ],
  ])("%s is refused", (_, text, message) => {
    expect(refusal(() => fromJson(text))).toMatch(message);
  });

  it.each([
    [{ x: [1, 2, 3] }, "The file has 3 inputs for 3 targets, which do not fit together."],
    [{ inputs: 1000 }, /own\.inputs = 1000/],
    [{ task: "classification", y: [0, 1, 0.5] }, "The file has classes that are not 0 to 0."],
    [{ y: [0, 1, "2"] }, /own\.y/],
  ])("own data %j are refused", (changes, message) => {
    const own = { ...JSON.parse(toJson(OWN)).own, ...changes };
    const text = JSON.stringify({ ...JSON.parse(toJson(OWN)), own });
    expect(refusal(() => fromJson(text))).toMatch(message);
  });
});

describe("a safetensors file", () => {
  it("brings back widths, activation and weights", () => {
    const state = withSafetensors(
      { ...DEFAULTS, swap: { layer: 0, i: 4, j: 5 } },
      toSafetensors(TRAINED),
    );
    expect(state.hidden).toEqual([4, 3]);
    expect(state.activation).toBe("leaky_relu");
    expect(state.parameters).toEqual(TRAINED.parameters);
    expect(state.swap).toBeNull();
    expect(dataOf(state)).toEqual(dataOf(DEFAULTS));
  });

  it("is aligned to eight bytes", () => {
    const file = toSafetensors(TRAINED);
    expect(Number(new DataView(file.buffer).getBigUint64(0, true)) % 8).toBe(0);
    expect(file.length % 8).toBe(0);
  });

  it("of another network is refused", () => {
    const file = writeSafetensors(
      initial({ inputs: 3, hidden: [4], outputs: 2, activation: "relu" }, 0),
    );
    expect(refusal(() => withSafetensors(DEFAULTS, file))).toBe(
      "The file has a network from 3 to 2 values, and the data on screen need one from 2 to 2.",
    );
  });

  const header = (text: string, body = new Uint8Array(0)) => {
    const bytes = new TextEncoder().encode(text);
    const file = new Uint8Array(8 + bytes.length + body.length);
    new DataView(file.buffer).setBigUint64(0, BigInt(bytes.length), true);
    file.set(bytes, 8);
    file.set(body, 8 + bytes.length);
    return file;
  };
  const entry = (changes: object) =>
    header(
      JSON.stringify({ "0.bias": { dtype: "F64", shape: [1], data_offsets: [0, 8], ...changes } }),
      new Uint8Array(8),
    );

  it.each([
    ["empty", new Uint8Array(0), "The file is not a safetensors file: it is too short."],
    ["of text", new TextEncoder().encode("weight,bias\n1,2"), /its header is longer than the file/],
    ["with no header", header("no JSON"), /its header is not a JSON object/],
    ["with a list for a header", header("[1]"), /its header is not a JSON object/],
    ["without weights", header("{}"), "The file holds no weights."],
    ["with half a layer", entry({}), "The file lacks 0.weight."],
    ["of whole numbers", entry({ dtype: "I64" }), /has 0\.bias as numbers of kind I64/],
    [
      "of a kind that every object has",
      entry({ dtype: "toString" }),
      /as numbers of kind toString/,
    ],
    [
      "with an offset beyond its end",
      entry({ data_offsets: [8, 16] }),
      /0\.bias does not fit into it/,
    ],
    ["with a huge shape", entry({ shape: [2 ** 40] }), /0\.bias does not fit into it/],
    ["with a negative shape", entry({ shape: [-1] }), /the entry of 0\.bias is malformed/],
  ])("%s is refused", (_, file, message) => {
    expect(refusal(() => readSafetensors(file))).toMatch(message);
  });

  it("with NaN is refused", () => {
    const p = initial(architectureOfState(DEFAULTS), 1);
    p[1]?.bias.fill(Number.NaN);
    expect(refusal(() => readSafetensors(writeSafetensors(p)))).toBe(
      "The file has NaN in 2.bias, which is not a finite number.",
    );
  });

  it("that is cut off anywhere is refused", () => {
    const file = toSafetensors({ ...DEFAULTS, samples: 2 });
    const network = writeSafetensors(initial(architectureOfState(DEFAULTS), 1));
    expect(flatten(readSafetensors(file).parameters)).toHaveLength(32);
    for (let length = 0; length < network.length; length += 7)
      refusal(() => readSafetensors(network.slice(0, length)));
  });
});

it("writes a program for every screen", () => {
  expect(pythonLines({ ...TRAINED, parameters: null })).toContain("nn.LeakyReLU()");
  expect(pythonLines(OWN, true)).toContain("b64decode");
  expect(pythonLines({ ...DEFAULTS, data: "digits" })).toContain("load_digits");
});
