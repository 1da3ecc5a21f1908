/** Everything that is on screen, as an address, as JSON and as a safetensors file; read back with every value checked. */

import { OWN_LIMITS } from "./datasets";
import { fields } from "./fields";
import { initial } from "./network";
import { readSafetensors, writeSafetensors } from "./safetensors";
import {
  architectureOfState,
  checked,
  cut,
  DEFAULTS,
  dataOf,
  fitting,
  inside,
  isRecord,
  parametersOf,
  type State,
  settings,
} from "./settings";
import { flatten, unflatten } from "./symmetry";
import { architectureOf, fromTensors, type Tensor, toTensors } from "./tensors";
import { ACTIVATIONS, type Activation, type Dataset, InputError } from "./types";
import { counted } from "./words";

export {
  architectureOfState,
  DEFAULTS,
  dataOf,
  parametersOf,
  type State,
  type Swap,
} from "./settings";

// the address ---------------------------------------------------------------------------------------------------

/** A fragment without its `#`; settings that have their default are left out, and so are the reader's own data. */
export function toFragment(state: State): string {
  const parts = new URLSearchParams();
  const usual = settings(DEFAULTS);
  for (const [key, value] of Object.entries(settings(state)))
    if (JSON.stringify(value) !== JSON.stringify(usual[key]))
      parts.set(key, Array.isArray(value) ? value.join() : String(value));
  if (state.parameters) parts.set("parameters", packed(flatten(state.parameters)));
  return parts.toString().replaceAll("%2C", ",");
}

/**
 * The state of an address; what it does not name has its default.
 *
 * @throws InputError in one sentence.
 */
export function fromFragment(fragment: string): State {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const source = "The address";
  for (const key of given.keys())
    if (key !== "parameters" && !Object.hasOwn(settings(DEFAULTS), key))
      throw new InputError(`${source} holds “${cut(key)}”, which the page does not know.`);
  const state = checked(
    fields(source, (key) => texted(key, given.get(key))),
    null,
    source,
  );
  const text = given.get("parameters");
  if (text === null) return state;
  const architecture = architectureOfState(state);
  const values = unpacked(text, source);
  const wanted = flatten(initial(architecture, 0)).length;
  if (values.length !== wanted)
    throw new InputError(
      `${source} holds ${counted(values.length, "parameter")}, and this network has ${wanted}.`,
    );
  const parameters = unflatten(architecture, values);
  return { ...state, parameters: fitting(parameters, architecture, source) };
}

/** Numbers, lists of numbers and words in an address. */
function texted(key: string, text: string | null): unknown {
  if (text === null) return undefined;
  if (typeof DEFAULTS[key as keyof State] === "string") return text;
  if (text === "true" || text === "false") return text === "true";
  if (/^-?[\d.][\d.e+-]*$/i.test(text)) return Number(text);
  if (/^[-\d.e+]+(,[-\d.e+]+)+$/i.test(text)) return text.split(",").map(Number);
  return text;
}

function packed(values: Float64Array): string {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  for (let k = 0; k < values.length; k++) view.setFloat64(8 * k, values[k] as number, true);
  let text = "";
  for (const byte of new Uint8Array(view.buffer)) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function unpacked(text: string, source: string): Float64Array {
  let bytes: string;
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new InputError(`${source} holds parameters that are not written as base64.`);
  }
  if (bytes.length % 8) throw new InputError(`${source} was cut off in the middle of a parameter.`);
  const view = new DataView(Uint8Array.from(bytes, (c) => c.charCodeAt(0)).buffer);
  return Float64Array.from({ length: bytes.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
}

// JSON ----------------------------------------------------------------------------------------------------------

const FORMAT = "orbitope explorer";
const VERSION = 1;

/** A document with everything, the parameters and the reader's own data included. */
export function toJson(state: State): string {
  const document: Record<string, unknown> = {
    format: FORMAT,
    version: VERSION,
    ...settings(state),
  };
  if (state.own) {
    const { name, task, inputs, outputs, x, y } = state.own;
    document.own = { name, task, inputs, outputs, x: [...x], y: [...y] };
  }
  document.parameters =
    state.parameters &&
    Object.fromEntries([...toTensors(state.parameters)].map(([name, t]) => [name, nested(t)]));
  return `${JSON.stringify(document)}\n`;
}

/** @throws InputError in one sentence. */
export function fromJson(text: string, source = "The file"): State {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new InputError(`${source} is not JSON.`);
  }
  if (!isRecord(document) || document.format !== FORMAT)
    throw new InputError(`${source} was not saved by this page.`);
  if (document.version !== VERSION)
    throw new InputError(
      `${source} has version ${cut(String(document.version))}, and this page reads ${VERSION}.`,
    );
  const own = document.data === "own" ? ownData(document.own, source) : null;
  const state = checked(
    fields(source, (key) => (document as Record<string, unknown>)[key]),
    own,
    source,
  );
  const { parameters } = document;
  if (parameters === null || parameters === undefined) return state;
  if (!isRecord(parameters)) throw new InputError(`${source} has parameters that are no object.`);
  const tensors = new Map<string, Tensor>();
  for (const [name, value] of Object.entries(parameters))
    tensors.set(name, flat(name, value, source));
  const read = fromTensors(tensors, source);
  return { ...state, parameters: fitting(read, architectureOfState(state), source) };
}

function nested({ shape, values }: Tensor): unknown {
  const [rows, columns] = shape as [number, number?];
  if (columns === undefined) return [...values];
  return Array.from({ length: rows }, (_, i) => [
    ...values.subarray(i * columns, (i + 1) * columns),
  ]);
}

function flat(name: string, value: unknown, source: string): Tensor {
  const rows = Array.isArray(value) ? value : null;
  const columns = rows && Array.isArray(rows[0]) ? rows[0].length : null;
  const even =
    columns === null || rows?.every((row) => Array.isArray(row) && row.length === columns);
  const entries = columns === null ? rows : rows?.flat();
  if (!rows || !even || !entries)
    throw new InputError(`${source} has ${name}, which is not a table of numbers.`);
  const wrong = entries.find((entry) => typeof entry !== "number" || !Number.isFinite(entry));
  if (wrong !== undefined)
    throw new InputError(
      `${source} has ${cut(JSON.stringify(wrong))} in ${name}, which is not a finite number.`,
    );
  const shape = columns === null ? [rows.length] : [rows.length, columns];
  return { shape, values: Float64Array.from(entries as number[]) };
}

function ownData(value: unknown, source: string): Dataset {
  if (!isRecord(value)) throw new InputError(`${source} names own data and does not hold them.`);
  const own = fields(source, (key) => value[key], "own.");
  const task = own.choice("task", ["classification", "regression"] as const, "classification");
  const inputs = own.integer("inputs", 1, OWN_LIMITS.inputs, 0);
  const outputs = own.integer("outputs", 1, OWN_LIMITS.classes, 0);
  const y = own.numbers("y", 0, OWN_LIMITS.samples * outputs);
  const samples = task === "classification" ? y.length : y.length / outputs;
  const x = own.numbers("x", 0, OWN_LIMITS.samples * inputs);
  if (!(samples >= 1) || x.length !== samples * inputs)
    throw new InputError(
      `${source} has ${x.length} inputs for ${y.length} targets, which do not fit together.`,
    );
  const name = own.text("name", 100, "own data");
  const common = { name, task, samples, inputs, outputs, x: Float64Array.from(x) };
  if (task === "regression") return { ...common, y: Float64Array.from(y) };
  if (!y.every((label) => Number.isInteger(label) && label >= 0 && label < outputs))
    throw new InputError(`${source} has classes that are not 0 to ${outputs - 1}.`);
  return { ...common, y: Int32Array.from(y) };
}

// safetensors -----------------------------------------------------------------------------------------------------

/** The parameters, the data beside them unless they are the digits, and the settings in the header. */
export function toSafetensors(state: State): Uint8Array<ArrayBuffer> {
  const text = toJson({ ...state, own: null, parameters: null });
  const metadata = { format: "pt", "orbitope.explorer": text.trim() };
  const extras = state.data === "digits" ? { metadata } : { metadata, data: dataOf(state) };
  return writeSafetensors(parametersOf(state), extras);
}

/**
 * `state` with the network of a file. Of the settings it keeps all but the widths; they come from the file's shapes, and
 * the activation from its header where the page has written it.
 *
 * @throws InputError in one sentence.
 */
export function withSafetensors(
  state: State,
  file: ArrayBuffer | Uint8Array,
  source = "The file",
): State {
  const { parameters, metadata } = readSafetensors(file, source);
  const { inputs, outputs } = architectureOfState(state);
  const found = architectureOf(parameters, savedActivation(metadata) ?? state.activation);
  if (found.inputs !== inputs || found.outputs !== outputs)
    throw new InputError(
      `${source} has a network from ${found.inputs} to ${found.outputs} values, and the data on screen need one from ${inputs} to ${outputs}.`,
    );
  const { hidden, activation } = found;
  const swap = state.swap && inside(state.swap, hidden) ? state.swap : null;
  return { ...state, hidden, activation, parameters, swap, place: null };
}

function savedActivation(metadata: Readonly<Record<string, string>>): Activation | null {
  try {
    const saved: unknown = JSON.parse(metadata["orbitope.explorer"] ?? "null");
    const name = isRecord(saved) ? saved.activation : null;
    return ACTIVATIONS.find((each) => each === name) ?? null;
  } catch {
    return null;
  }
}
