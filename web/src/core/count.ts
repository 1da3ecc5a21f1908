/** How many networks are the same function: the order of the group, and the copies of one network. */

import { TRAITS } from "./activations";
import type { Activation, Architecture, Layer, Parameters } from "./types";

export interface Count {
  /** The exact number. */
  readonly exact: bigint;
  readonly log10: number;
  /** For people: all digits up to 10¹⁵, then as 1.23 × 10²⁰. */
  readonly text: string;
}

export interface LayerCount extends Count {
  readonly layer: number;
  readonly width: number;
  /** As a formula: `16!` or `16! × 2¹⁶`. */
  readonly formula: string;
}

/**
 * n!, and 2ⁿ times as many where each node can be turned over by itself (tanh, sigmoid, sin, square). Of a layer
 * that is linear, signs are part of a continuum of matrices and not counted.
 */
export function layerCount(architecture: Architecture, layer: number): LayerCount {
  const width = architecture.hidden[layer] as number;
  const signs = hasSigns(architecture.activation);
  const exact = factorial(width) * (signs ? 1n << BigInt(width) : 1n);
  const formula = signs ? `${width}! × 2${superscript(width)}` : `${width}!`;
  return { ...counted(exact), layer, width, formula };
}

/** Whether the group counts a sign for every node. */
export function hasSigns(activation: Activation): boolean {
  const { mirror, odd, homogeneous } = TRAITS[activation];
  return mirror !== null && !(odd && homogeneous);
}

/** Of all hidden layers together: the order of the group that the page acts with. */
export function groupOrder(architecture: Architecture): Count {
  return counted(
    architecture.hidden.reduce((n, _, l) => n * layerCount(architecture, l).exact, 1n),
  );
}

/**
 * How many different parameter vectors the group makes of `p`: its order over that of the stabiliser, in which nodes of
 * one layer with equal edges exchange freely.
 *
 * Exact where no two nodes of a layer have equal incoming edges unless they are equal altogether, and always for one
 * hidden layer; elsewhere an upper bound, because an exchange in one layer may be undone by one in the next.
 */
export function copies(architecture: Architecture, p: Parameters): Count {
  const { activation } = architecture;
  let exact = groupOrder(architecture).exact;
  for (let l = 0; l + 1 < p.length; l++) {
    for (const alike of equalNodes(p, l, activation)) exact /= factorial(alike.length);
    if (hasSigns(activation)) exact /= 1n << BigInt(unturned(p, l, activation));
  }
  return counted(exact);
}

/** Sets of two and more nodes of a hidden layer with the same edges, where the activation has signs up to these. */
export function equalNodes(p: Parameters, layer: number, activation: Activation): number[][] {
  const groups = new Map<string, number[]>();
  for (let k = 0; k < (p[layer] as Layer).rows; k++) {
    const key = nodeKey(nodeOf(p, layer, k), activation);
    const group = groups.get(key);
    if (group) group.push(k);
    else groups.set(key, [k]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

/** How many nodes of a hidden layer are the same when they are turned over. */
function unturned(p: Parameters, layer: number, activation: Activation): number {
  const even = TRAITS[activation].mirror === "even";
  let count = 0;
  for (let k = 0; k < (p[layer] as Layer).rows; k++) {
    const { incoming, outgoing } = nodeOf(p, layer, k);
    if ((even ? incoming : [...incoming, ...outgoing]).every((v) => v === 0)) count++;
  }
  return count;
}

/** The edges of a node: its row and its bias, and its column in the next layer. */
export function nodeOf(
  p: Parameters,
  layer: number,
  k: number,
): { incoming: number[]; outgoing: number[] } {
  const into = p[layer] as Layer;
  const out = p[layer + 1] as Layer;
  const row = into.weight.subarray(k * into.columns, (k + 1) * into.columns);
  const outgoing = Array.from({ length: out.rows }, (_, r) => out.weight[r * out.columns + k]);
  return { incoming: [...row, into.bias[k] as number], outgoing: outgoing as number[] };
}

/** The same text for equal edges; a sign that the activation lets a node have is taken out. */
function nodeKey(node: { incoming: number[]; outgoing: number[] }, activation: Activation): string {
  const { incoming, outgoing } = node;
  const even = TRAITS[activation].mirror === "even";
  const signed = even ? incoming : [...incoming, ...outgoing];
  const first = signed.find((v) => v !== 0) ?? 0;
  const sign = hasSigns(activation) && first < 0 ? -1 : 1;
  // Adding zero makes −0 and 0 alike.
  return [...signed.map((v) => sign * v + 0), ...(even ? outgoing : [])].join();
}

export function factorial(n: number): bigint {
  let product = 1n;
  for (let k = 2; k <= n; k++) product *= BigInt(k);
  return product;
}

function counted(exact: bigint): Count {
  const digits = exact.toString();
  const lead = Number(digits.slice(0, 17)) / 10 ** Math.min(16, digits.length - 1);
  const log10 = Math.log10(lead) + digits.length - 1;
  const grouped = digits.replace(/\B(?=(\d{3})+$)/g, ",");
  const text = digits.length <= 15 ? grouped : scientific(lead, digits.length - 1);
  return { exact, log10, text };
}

function scientific(lead: number, exponent: number): string {
  const shown = lead.toFixed(2);
  return shown === "10.00"
    ? `1.00 × 10${superscript(exponent + 1)}`
    : `${shown} × 10${superscript(exponent)}`;
}

/** An integer in raised digits. */
export function superscript(n: number): string {
  const raised = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  return String(n).replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : (raised[Number(c)] as string)));
}
