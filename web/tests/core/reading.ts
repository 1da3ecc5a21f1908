/** The library's fixtures as the page's own types, and what it means to agree with them. */

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { flatten, unflatten } from "../../src/core/symmetry";
import type { Activation, Architecture, Dataset, LossName, Parameters } from "../../src/core/types";

export interface Point {
  readonly parameters: number[];
  readonly loss: number;
}

export interface Case extends Point {
  readonly name: string;
  readonly activation: Activation;
  readonly loss_name: LossName;
  readonly inputs: number;
  readonly hidden: number[];
  readonly outputs: number;
  readonly weight_decay: number;
  readonly task: Dataset["task"];
  readonly samples: number;
  readonly x: number[];
  readonly y: number[];
  readonly forward: number[];
  readonly gradient: number[];
  readonly swap: Point & { layer: number; i: number; j: number };
  readonly midpoint: Point;
  readonly average: Point;
  readonly turned: (Point & { node: number }) | null;
  readonly rescaled: (Point & { node: number; factor: number }) | null;
  readonly copies: string | null;
  readonly plane: {
    points: [number, number][];
    u: [number, number];
    v: [number, number];
    resolution: number;
    losses: number[];
  };
  readonly training: { rate: number; steps: number; adam: number[]; gradient_descent: number[] };
}

export function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), "utf8"));
}

export const cases = fixture<Case[]>("networks.json");

export function architecture(c: Case): Architecture {
  return { inputs: c.inputs, hidden: c.hidden, outputs: c.outputs, activation: c.activation };
}

export function parameters(c: Case, values = c.parameters): Parameters {
  return unflatten(architecture(c), Float64Array.from(values));
}

export function data(c: Case): Dataset {
  const { name, task, samples, inputs, outputs } = c;
  const y = task === "classification" ? Int32Array.from(c.y) : Float64Array.from(c.y);
  return { name, task, samples, inputs, outputs, x: Float64Array.from(c.x), y };
}

const TOLERANCE = 1e-12;

/** Equal to 1e-12 of the largest entry. */
export function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(actual.length).toBe(wanted.length);
  const scale = Array.from(wanted).reduce((top, v) => Math.max(top, Math.abs(v)), 0);
  for (let k = 0; k < wanted.length; k++) {
    const off = Math.abs((actual[k] as number) - (wanted[k] as number));
    if (!(off <= TOLERANCE * scale)) expect.fail(`entry ${k}: ${actual[k]}, not ${wanted[k]}`);
  }
}

export function expectSame(p: Parameters, wanted: number[]): void {
  expect([...flatten(p)]).toEqual(wanted);
}
