/** Data to learn: drawn in the page from a seed, the handwritten digits of scikit-learn, or the reader's own. */

import digits from "../digits.json";
import { Random } from "./random";
import { type Dataset, InputError } from "./types";
import { counted } from "./words";

export interface DataKind {
  readonly id: DataId;
  readonly label: string;
  readonly task: Dataset["task"];
  readonly inputs: number;
  readonly outputs: number;
}

const plane = { task: "classification", inputs: 2, outputs: 2 } as const;
const line = { task: "regression", inputs: 1, outputs: 1 } as const;

/** What the page can draw by itself, in the order in which it is offered. */
export const DATA_KINDS = [
  { id: "moons", label: "two moons", ...plane },
  { id: "circles", label: "circles", ...plane },
  { id: "xor", label: "exclusive or", ...plane },
  { id: "spirals", label: "spirals", ...plane },
  { id: "gaussians", label: "three clouds", ...plane, outputs: 3 },
  { id: "sine", label: "sine", ...line },
  { id: "step", label: "step", ...line },
  { id: "bumps", label: "two bumps", ...line },
  { id: "line", label: "straight line", ...line },
  { id: "digits", label: "handwritten digits", task: "classification", inputs: 64, outputs: 10 },
] as const satisfies readonly {
  id: string;
  label: string;
  task: Dataset["task"];
  inputs: number;
  outputs: number;
}[];

export type DataId =
  | "moons"
  | "circles"
  | "xor"
  | "spirals"
  | "gaussians"
  | "sine"
  | "step"
  | "bumps"
  | "line"
  | "digits";

export interface DataOptions {
  readonly samples?: number;
  /** Standard deviation of what is added to the points, or to the values of a regression. */
  readonly noise?: number;
  readonly seed?: number;
}

export const DATA_DEFAULTS = { samples: 200, noise: 0.1, seed: 0 } as const;

export function isDataId(id: string): id is DataId {
  return DATA_KINDS.some((kind) => kind.id === id);
}

export function dataKind(id: DataId): DataKind {
  return DATA_KINDS.find((kind) => kind.id === id) as DataKind;
}

/** One of {@link DATA_KINDS}. The digits are what they are: of the options only `samples` counts, from the first on. */
export function dataset(id: DataId, options: DataOptions = {}): Dataset {
  const { samples, noise, seed } = { ...DATA_DEFAULTS, ...options };
  if (id === "digits") return firstDigits(options.samples ?? digits.classes.length);
  const { task, inputs, outputs } = dataKind(id);
  const random = new Random(seed);
  const x = new Float64Array(samples * inputs);
  if (task === "regression") {
    const y = new Float64Array(samples);
    for (let s = 0; s < samples; s++) {
      const place = samples > 1 ? (2 * s) / (samples - 1) - 1 : 0;
      x[s] = place;
      y[s] = curve(id, place) + noise * random.normal();
    }
    return { name: id, task, samples, inputs, outputs, x, y };
  }
  const y = new Int32Array(samples);
  for (let s = 0; s < samples; s++) {
    const label = s % outputs;
    const [u, v] = spot(id, label, random);
    x[2 * s] = u + noise * random.normal();
    x[2 * s + 1] = v + noise * random.normal();
    y[s] = label;
  }
  return { name: id, task, samples, inputs, outputs, x, y };
}

/** The value of a regression at a place from −1 to 1. */
function curve(id: DataId, x: number): number {
  switch (id) {
    case "sine":
      return Math.sin(Math.PI * x);
    case "step":
      return x < 0 ? -0.8 : 0.8;
    case "bumps":
      return Math.exp(-20 * (x + 0.5) ** 2) + 0.6 * Math.exp(-20 * (x - 0.5) ** 2) - 0.5;
    default:
      return 0.8 * x;
  }
}

/** A place of a class, about within ±1 in both directions. */
function spot(id: DataId, label: number, random: Random): [number, number] {
  const u = random.uniform();
  switch (id) {
    case "moons": {
      const angle = Math.PI * u;
      return label
        ? [0.33 - 0.67 * Math.cos(angle), -0.67 * Math.sin(angle) + 0.17]
        : [0.67 * Math.cos(angle) - 0.33, 0.67 * Math.sin(angle) - 0.17];
    }
    case "circles": {
      const radius = label ? 0.35 : 0.9;
      return [radius * Math.cos(2 * Math.PI * u), radius * Math.sin(2 * Math.PI * u)];
    }
    case "xor": {
      const right = random.uniform() < 0.5 ? -1 : 1;
      const up = label ? -right : right;
      return [right * (0.1 + 0.8 * u), up * (0.1 + 0.8 * random.uniform())];
    }
    case "spirals": {
      const angle = 3.5 * Math.PI * Math.sqrt(u);
      const radius = (0.95 * angle) / (3.5 * Math.PI);
      const turn = angle + (label ? Math.PI : 0);
      return [radius * Math.cos(turn), radius * Math.sin(turn)];
    }
    default: {
      const angle = (2 * Math.PI * label) / 3 + Math.PI / 2;
      return [
        0.6 * Math.cos(angle) + 0.15 * random.normal(),
        0.6 * Math.sin(angle) + 0.15 * random.normal(),
      ];
    }
  }
}

/** Brightness from 0 to 1 in steps of 1/16, row by row from the top. */
function firstDigits(count: number): Dataset {
  const samples = Math.min(count, digits.classes.length);
  const x = new Float64Array(samples * 64);
  for (let k = 0; k < x.length; k++) x[k] = (digits.pixels.charCodeAt(k) - 65) / 16;
  const y = Int32Array.from({ length: samples }, (_, s) => Number(digits.classes[s]));
  return { name: "digits", task: "classification", samples, inputs: 64, outputs: 10, x, y };
}

// the reader's own ------------------------------------------------------------------------------------------------

/** Limits of what the page computes with at a pleasant speed. */
export const OWN_LIMITS = {
  samples: 2000,
  inputs: 64,
  classes: 10,
  characters: 4_000_000,
} as const;

/**
 * Data from comma-, semicolon- or tab-separated lines: numbers, the last column being what is to be learnt. A first line
 * of names is skipped. A last column of whole numbers 0, 1, … with at most ten different values makes classes,
 * anything else a regression.
 *
 * @throws InputError in one sentence.
 */
export function parseCsv(text: string, name = "own data"): Dataset {
  if (text.length > OWN_LIMITS.characters)
    throw new InputError(`${name} is too large for this page: it takes up to 4 MB of text.`);
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .map((content, k) => ({ content, number: k + 1 }))
    .filter(({ content }) => content.trim() !== "" && !content.startsWith("#"));
  const first = lines[0];
  if (!first) throw new InputError(`${name} is empty: give one sample a line, its target last.`);
  const separator = [";", "\t", ","].find((each) => first.content.includes(each)) ?? /\s+/;
  const rows = lines.map(({ content, number }) => ({
    number,
    cells: content.trim().split(separator).map(unquoted),
  }));
  if (rows[0]?.cells.every((cell) => cell !== "" && Number.isNaN(Number(cell)))) rows.shift();
  const columns = rows[0]?.cells.length ?? 0;
  check(name, rows, columns);
  const samples = rows.length;
  const inputs = columns - 1;
  const x = new Float64Array(samples * inputs);
  const target = new Float64Array(samples);
  rows.forEach(({ cells }, s) => {
    for (let k = 0; k < inputs; k++) x[s * inputs + k] = Number(cells[k]);
    target[s] = Number(cells[inputs]);
  });
  const classes = classesOf(target);
  return classes
    ? {
        name,
        task: "classification",
        samples,
        inputs,
        outputs: classes,
        x,
        y: Int32Array.from(target),
      }
    : { name, task: "regression", samples, inputs, outputs: 1, x, y: target };
}

interface Row {
  readonly number: number;
  readonly cells: readonly string[];
}

function check(name: string, rows: readonly Row[], columns: number): void {
  if (rows.length < 2)
    throw new InputError(
      `${name} holds ${counted(rows.length, "sample")}, and the page needs at least two.`,
    );
  if (rows.length > OWN_LIMITS.samples)
    throw new InputError(
      `${name} holds ${counted(rows.length, "sample")}, and the page takes at most ${OWN_LIMITS.samples}.`,
    );
  if (columns < 2)
    throw new InputError(`${name} has one column, and the page needs inputs and a target.`);
  if (columns - 1 > OWN_LIMITS.inputs)
    throw new InputError(
      `${name} has ${counted(columns - 1, "input")}, and the page takes at most ${OWN_LIMITS.inputs}.`,
    );
  for (const { number, cells } of rows) {
    if (cells.length !== columns)
      throw new InputError(
        `Line ${number} of ${name} has ${counted(cells.length, "entry", "entries")} where the first one has ${columns}.`,
      );
    const wrong = cells.findIndex((cell) => cell === "" || !Number.isFinite(Number(cell)));
    if (wrong >= 0)
      throw new InputError(
        `Line ${number} of ${name} has ${shown(cells[wrong] as string)} in column ${wrong + 1}, which is not a finite number.`,
      );
  }
}

/** How many classes the targets are, or 0 where they are values. */
function classesOf(target: Float64Array): number {
  const values = new Set(target);
  const top = Math.max(...values);
  const whole = [...values].every((v) => Number.isInteger(v) && v >= 0);
  const classes = top + 1;
  return whole && values.size > 1 && classes <= OWN_LIMITS.classes && values.size === classes
    ? classes
    : 0;
}

function unquoted(cell: string): string {
  return cell
    .trim()
    .replace(/^"(.*)"$/, "$1")
    .trim();
}

function shown(cell: string): string {
  if (cell === "") return "nothing";
  return `“${cell.length > 20 ? `${cell.slice(0, 20)}…` : cell}”`;
}
