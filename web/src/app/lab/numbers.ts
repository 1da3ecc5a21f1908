/** Numbers for people. */

import { superscript } from "../../core/count";

/** Four significant digits, without a long tail of zeros. */
export function short(v: number): string {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "not a number" : v > 0 ? "∞" : "−∞";
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return power(v);
  const digits = size >= 1000 ? 1 : size >= 100 ? 2 : size >= 10 ? 3 : 4;
  return minus(v.toFixed(digits));
}

/** As many digits as tell two losses apart. */
export function long(v: number): string {
  if (!Number.isFinite(v)) return short(v);
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return power(v, 6);
  return minus(v.toPrecision(9));
}

/** 1.7 × 10⁻¹⁸ */
export function power(v: number, digits = 1): string {
  if (v === 0) return "0";
  const [lead = "", exponent = "0"] = v.toExponential(digits).split("e");
  return `${minus(lead)} × 10${superscript(Number(exponent))}`;
}

export function signed(v: number, digits = 2): string {
  return `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(digits)}`;
}

export function percent(v: number): string {
  return `${(100 * v).toFixed(v === 1 ? 0 : 1)} %`;
}

export function count(n: number): string {
  return n.toLocaleString("en-US");
}

function minus(text: string): string {
  return text.replace("-", "−");
}

/** Whether two values of F differ by no more than the rounding of their sums. */
export function equalToRounding(x: number, y: number): boolean {
  return Math.abs(x - y) <= 1e-12 * Math.max(1, Math.abs(x), Math.abs(y));
}
