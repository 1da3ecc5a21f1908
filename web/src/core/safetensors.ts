/** Files of the format safetensors: a length, a header in JSON, then the numbers. */

import { fromTensors, type Tensor, toTensors } from "./tensors";
import { type Dataset, InputError, type Parameters } from "./types";

/** The place of the data in a file beside the parameters. */
const DATA = "data.";

/** What a file may hold at most; the largest network of the page is far smaller. */
const LARGEST = 64_000_000;

export interface Extras {
  /** Written as `data.x` and `data.y`. */
  readonly data?: Dataset;
  /** Kept in the file's header, strings only. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface Contents {
  readonly parameters: Parameters;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A file that `safetensors.torch.load_file` reads: float64, and classes as int64. */
export function writeSafetensors(p: Parameters, extras: Extras = {}): Uint8Array<ArrayBuffer> {
  const parts: { name: string; dtype: string; shape: readonly number[]; bytes: Uint8Array }[] = [];
  for (const [name, { shape, values }] of toTensors(p))
    parts.push({ name, dtype: "F64", shape, bytes: littleEndian(values) });
  if (extras.data) {
    const { x, y, samples, inputs, outputs } = extras.data;
    parts.push({
      name: `${DATA}x`,
      dtype: "F64",
      shape: [samples, inputs],
      bytes: littleEndian(x),
    });
    parts.push(
      y instanceof Float64Array
        ? { name: `${DATA}y`, dtype: "F64", shape: [samples, outputs], bytes: littleEndian(y) }
        : { name: `${DATA}y`, dtype: "I64", shape: [samples], bytes: integers(y) },
    );
  }
  const header: Record<string, unknown> = {};
  if (extras.metadata) header.__metadata__ = extras.metadata;
  let at = 0;
  for (const { name, dtype, shape, bytes } of parts) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.fill(0x20, 8, 8 + length);
  file.set(text, 8);
  at = 8 + length;
  for (const { bytes } of parts) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/**
 * The network in a file, whose numbers may be float64, float32, float16 or bfloat16.
 *
 * @param source what to call it in a message.
 * @throws InputError in one sentence.
 */
export function readSafetensors(file: ArrayBuffer | Uint8Array, source = "The file"): Contents {
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file);
  const unreadable = (why: string) =>
    new InputError(`${source} is not a safetensors file: ${why}.`);
  if (bytes.length > LARGEST) throw unreadable("it is larger than 64 MB");
  if (bytes.length < 8) throw unreadable("it is too short");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > bytes.length - 8) throw unreadable("its header is longer than the file");
  const header = parsed(bytes.subarray(8, 8 + length));
  if (!header) throw unreadable("its header is not a JSON object");
  const body = new DataView(bytes.buffer, bytes.byteOffset + 8 + length, bytes.length - 8 - length);
  const tensors = new Map<string, Tensor>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") metadata = strings(entry);
    else if (!name.startsWith(DATA))
      tensors.set(name, tensor(name, entry, body, source, unreadable));
  }
  return { parameters: fromTensors(tensors, source), metadata };
}

function parsed(text: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function strings(entry: unknown): Record<string, string> {
  const pairs = isRecord(entry) ? Object.entries(entry) : [];
  return Object.fromEntries(
    pairs.filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  );
}

interface Kind {
  readonly size: number;
  read(view: DataView, at: number): number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  F64: { size: 8, read: (view, at) => view.getFloat64(at, true) },
  F32: { size: 4, read: (view, at) => view.getFloat32(at, true) },
  F16: { size: 2, read: (view, at) => half(view.getUint16(at, true)) },
  BF16: { size: 2, read: (view, at) => brain(view.getUint16(at, true)) },
};

function tensor(
  name: string,
  entry: unknown,
  body: DataView,
  source: string,
  unreadable: (why: string) => InputError,
): Tensor {
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2 || typeof dtype !== "string")
    throw unreadable(`the entry of ${name} is malformed`);
  const kind = Object.hasOwn(KINDS, dtype) ? (KINDS[dtype] as Kind) : null;
  if (!kind)
    throw new InputError(
      `${source} has ${name} as numbers of kind ${dtype}, and floating-point numbers are expected.`,
    );
  const [from, to] = offsets as [number, number];
  const count = shape.reduce((n, k) => n * k, 1);
  if (to - from !== count * kind.size || to > body.byteLength)
    throw unreadable(`${name} does not fit into it`);
  const values = new Float64Array(count);
  for (let k = 0; k < count; k++) values[k] = kind.read(body, from + k * kind.size);
  return { shape, values };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent
    ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
    : sign * (fraction / 1024) * 2 ** -14;
}

function brain(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

const scratch = new DataView(new ArrayBuffer(4));

function littleEndian(values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  for (let k = 0; k < values.length; k++) view.setFloat64(8 * k, values[k] as number, true);
  return bytes;
}

function integers(values: Int32Array): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  for (let k = 0; k < values.length; k++)
    view.setBigInt64(8 * k, BigInt(values[k] as number), true);
  return bytes;
}
