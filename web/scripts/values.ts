/**
 * What the page says of a few screens, for the library's tests: `node values.js FOLDER` writes into the folder
 * `values.json`, the saved files and the Python programs, and reads every `.safetensors` that is there already.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copies } from "../src/core/count";
import { apply, fromWord } from "../src/core/moves";
import { accuracy, forward, gradient, loss } from "../src/core/network";
import { grid, plane } from "../src/core/plane";
import { pythonLines } from "../src/core/python";
import { readSafetensors } from "../src/core/safetensors";
import {
  architectureOfState,
  DEFAULTS,
  dataOf,
  parametersOf,
  type State,
  toFragment,
  toJson,
  toSafetensors,
} from "../src/core/state";
import { average, flatten, interpolate, swap } from "../src/core/symmetry";
import { optimiser } from "../src/core/training";
import type { Parameters } from "../src/core/types";

const SCREENS: readonly Partial<State>[] = [
  { data: "moons", hidden: [5], activation: "tanh", swap: { layer: 0, i: 1, j: 3 }, t: 0.25 },
  {
    data: "circles",
    hidden: [4, 6],
    activation: "relu",
    swap: { layer: 1, i: 0, j: 5 },
    decay: 0.001,
  },
  { data: "xor", hidden: [1, 3], activation: "gelu", loss: "mse", swap: { layer: 1, i: 0, j: 2 } },
  { data: "spirals", hidden: [6], activation: "sin", swap: { layer: 0, i: 2, j: 4 }, batch: 32 },
  { data: "gaussians", hidden: [3, 4, 2], activation: "sigmoid", swap: { layer: 2, i: 0, j: 1 } },
  {
    data: "sine",
    hidden: [4],
    activation: "leaky_relu",
    loss: "mse",
    swap: { layer: 0, i: 0, j: 3 },
    t: 0.8,
  },
  {
    data: "bumps",
    hidden: [5],
    activation: "square",
    loss: "mse",
    swap: { layer: 0, i: 3, j: 4 },
    noise: 0,
  },
  { data: "line", hidden: [3], activation: "identity", loss: "mse", method: "gradient_descent" },
  { data: "digits", hidden: [7], activation: "relu", swap: { layer: 0, i: 5, j: 6 } },
  { data: "moons", hidden: [3, 4], activation: "tanh", view: "flip.1.2", t: 0.25 },
  { data: "circles", hidden: [4], activation: "sigmoid", view: "flip.0.3" },
  { data: "xor", hidden: [4, 3], activation: "relu", view: "scale.0.1.2500" },
  { data: "sine", hidden: [3], activation: "square", loss: "mse", view: "scale.0.2.500" },
  { data: "line", hidden: [3], activation: "identity", loss: "mse", view: "scale.0.0.4000" },
  { data: "line", hidden: [3], activation: "identity", loss: "mse", view: "flip.0.1" },
];

const STEPS = 60;

function screen(settings: Partial<State>, k: number): State {
  const state: State = { ...DEFAULTS, samples: 60, seed: k, steps: STEPS, ...settings };
  const { loss: name, rate, method, decay, batch, seed } = state;
  const architecture = architectureOfState(state);
  const options = { method, rate, weightDecay: decay, batch: batch || null, seed };
  const training = optimiser(architecture, dataOf(state), name, options);
  let p = parametersOf(state);
  for (let step = 0; step < STEPS; step++) p = training.step(p).parameters;
  return { ...state, parameters: p };
}

function values(state: State): Record<string, unknown> {
  const architecture = architectureOfState(state);
  const data = dataOf(state);
  const a = parametersOf(state);
  const value = (p: Parameters) => loss(architecture, p, data, state.loss, state.decay);
  const center = average(a);
  const result: Record<string, unknown> = {
    state: JSON.parse(toJson(state)),
    fragment: toFragment(state),
    parameters: [...flatten(a)],
    outputs: [...forward(architecture, a, data.x, data.samples).outputs],
    loss: value(a),
    gradient: [...flatten(gradient(architecture, a, data, state.loss, state.decay).gradient)],
    accuracy: data.task === "classification" ? accuracy(architecture, a, data) : null,
    average: { parameters: [...flatten(center)], loss: value(center) },
    copies: copies(architecture, a).text,
    x: [...data.x],
    y: [...data.y],
  };
  const at = (b: Parameters, t: number) => value(interpolate(a, b, t));
  if (!state.swap) {
    const move = fromWord(state.view, state.hidden);
    if (!move) return result;
    const b = apply(move, a, architecture.activation);
    return { ...result, move: { loss: value(b), halfway: at(b, 0.5), t: at(b, state.t) } };
  }
  const b = swap(a, state.swap.layer, state.swap.i, state.swap.j);
  const on = plane(a, b, center);
  const bounds = { u: [-1, 2], v: [-0.5, 1.5] } as const;
  return {
    ...result,
    swap: { parameters: [...flatten(b)], loss: value(b), halfway: at(b, 0.5), t: at(b, state.t) },
    plane: on.proper
      ? { bounds, losses: [...grid(architecture, on, bounds, 3, data, state.loss, state.decay)] }
      : null,
  };
}

function main(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const read: Record<string, number[]> = {};
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".safetensors")))
    read[name] = [...flatten(readSafetensors(readFileSync(join(folder, name))).parameters)];
  const screens = SCREENS.map((settings, k) => {
    const state = screen(settings, k);
    writeFileSync(join(folder, `screen${k}.safetensors`), toSafetensors(state));
    writeFileSync(join(folder, `inline${k}.py`), pythonLines(state, true));
    writeFileSync(join(folder, `file${k}.py`), pythonLines(state));
    return values(state);
  });
  writeFileSync(join(folder, "values.json"), JSON.stringify({ screens, read }));
}

main(process.argv[2] ?? "values");
