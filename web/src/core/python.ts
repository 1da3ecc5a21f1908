/** The screen as a short Python program. */

import { TRAITS } from "./activations";
import { fromWord } from "./moves";
import { architectureOfState, dataOf, type State, toSafetensors } from "./state";
import { type Activation, type Architecture, widthsOf } from "./types";

/** The name under which the page saves what the program reads. */
export const SAVED_AS = "explorer.safetensors";

/**
 * A program that gives with the library what the page shows.
 *
 * @param inline whether it carries the parameters and the data in itself; otherwise it reads the saved file.
 */
export function pythonLines(state: State, inline = false): string {
  const architecture = architectureOfState(state);
  const blocks = [
    imports(state, inline),
    activationClass(architecture.activation),
    loading(state, inline),
    network(architecture),
    symmetry(state),
    exchange(state),
    average(),
    "print(orbitope.prove(objective, group))",
  ];
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

function imports(state: State, inline: boolean): string {
  return [
    ...(inline ? ["from base64 import b64decode", ""] : []),
    "import orbitope",
    "import torch",
    `from safetensors.torch import ${inline ? "load" : "load_file"}`,
    ...(state.data === "digits" ? ["from sklearn.datasets import load_digits"] : []),
    "from torch import nn",
  ].join("\n");
}

/** Where torch.nn has no such module. */
function activationClass(activation: Activation): string {
  if (TRAITS[activation].torch) return "";
  return [
    "",
    `class ${moduleName(activation)}(nn.Module):`,
    "    def forward(self, z):",
    `        return torch.${activation}(z)`,
    "",
  ].join("\n");
}

function moduleName(activation: Activation): string {
  const name = TRAITS[activation].torch;
  return name ? `nn.${name}` : activation.charAt(0).toUpperCase() + activation.slice(1);
}

function loading(state: State, inline: boolean): string {
  const lines = inline
    ? [`saved = load(b64decode("""`, ...wrapped(base64(toSafetensors(state))), `"""))`]
    : [`saved = load_file("${SAVED_AS}")  # as the page saves it`];
  lines.push(...dataLines(state));
  if (state.loss === "mse" && dataOf(state).task === "classification")
    lines.push(`y = nn.functional.one_hot(y, ${dataOf(state).outputs}).double()`);
  return lines.join("\n");
}

/** The digits come from where the page has them from; other data are in the file. */
function dataLines(state: State): string[] {
  if (state.data !== "digits") return [`x, y = saved.pop("data.x"), saved.pop("data.y")`];
  const { samples } = dataOf(state);
  return [
    "images, classes = load_digits(return_X_y=True)",
    `x, y = torch.tensor(images[:${samples}] / 16), torch.tensor(classes[:${samples}])`,
  ];
}

function network(architecture: Architecture): string {
  const widths = widthsOf(architecture);
  const parts = widths.slice(1).map((rows, l) => `nn.Linear(${widths[l]}, ${rows})`);
  const modules = parts.join(`, ${moduleName(architecture.activation)}(), `);
  return `model = nn.Sequential(${modules}).double().eval()\nmodel.load_state_dict(saved)`;
}

function symmetry(state: State): string {
  const decay = state.decay ? `, weight_decay=${state.decay}` : "";
  return [
    "group = orbitope.symmetries(model, (x[:4],))",
    "print(group)",
    `objective = orbitope.Objective(model, "${state.loss}", (x, y)${decay})`,
    "a = dict(model.state_dict())",
    `print("loss at A", objective.value(a))`,
  ].join("\n");
}

/** How the screen gets from A to B, and what lies between. */
function exchange(state: State): string {
  const element = moved(state);
  if (element.length === 0) return "";
  const lines = [
    ...element.slice(0, -1),
    `b = ${element.at(-1)}.act(a)`,
    `print("loss at B", objective.value(b))`,
    "halfway = {name: (a[name] + b[name]) / 2 for name in a}",
    `print("loss halfway", objective.value(halfway))`,
  ];
  if (![0, 0.5, 1].includes(state.t))
    lines.push(
      `t = ${state.t}`,
      "between = {name: (1 - t) * a[name] + t * b[name] for name in a}",
      `print("loss at t", objective.value(between))`,
    );
  return lines.join("\n");
}

/** Lines of which the last is the element. The library names nodes and their signs after the module whose rows they are. */
function moved(state: State): string[] {
  if (state.swap)
    return [`group.swap("${2 * state.swap.layer}", ${state.swap.i}, ${state.swap.j})`];
  const move = fromWord(state.view, state.hidden);
  if (!move || move.kind === "swap") return [];
  const name = 2 * move.layer;
  const factor = move.kind === "scale" ? move.factor : -1;
  const width = state.hidden[move.layer] as number;
  if (state.activation === "identity")
    return [
      `matrix = torch.eye(${width}, dtype=torch.float64)`,
      `matrix[${move.i}, ${move.i}] = ${factor}`,
      `group.transform("${name}.matrix", matrix)`,
    ];
  if (move.kind === "flip") return [`group.flip("${name}.sign", ${move.i})`];
  return [
    `scales = torch.ones(${width}, dtype=torch.float64)`,
    `scales[${move.i}] = ${factor}`,
    `group.scale("${name}.scale", scales)`,
  ];
}

/** The mean over all permutations: every axis that exchangeable nodes index takes its mean. */
function average(): string {
  return [
    "average = dict(a)",
    "for units in group.units:",
    "    for name, axis in units.acts_on:",
    "        average[name] = average[name].mean(axis, keepdim=True).expand_as(average[name])",
    `print("loss at the average", objective.value(average))`,
  ].join("\n");
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function wrapped(text: string): string[] {
  return text.match(/.{1,116}/g) ?? [];
}
