/** Values of unknown origin, read one by one with their bounds. */

import { InputError } from "./types";

export interface Fields {
  number(key: string, least: number, most: number, usual: number): number;
  integer(key: string, least: number, most: number, usual: number): number;
  flag(key: string, usual: boolean): boolean;
  text(key: string, longest: number, usual: string): string;
  choice<T extends string>(key: string, among: readonly T[], usual: T): T;
  /** A list of `least` to `most` numbers; a single number counts as a list of one. */
  numbers(key: string, least: number, most: number, usual?: readonly number[]): readonly number[];
}

/**
 * Fields that `get` gives; one that is missing or null takes its usual value.
 *
 * @param source what to call their origin in a message.
 * @param prefix of their names in a message.
 */
export function fields(source: string, get: (key: string) => unknown, prefix = ""): Fields {
  const refused = (key: string, value: unknown, wanted: string) =>
    new InputError(`${source} has ${prefix}${key} = ${shown(value)}, and ${wanted} is expected.`);
  const number = (key: string, least: number, most: number, usual: number): number => {
    const value = get(key) ?? usual;
    if (typeof value !== "number" || !(value >= least && value <= most))
      throw refused(key, value, `a number from ${least} to ${most}`);
    return value;
  };
  return {
    number,
    integer(key, least, most, usual) {
      const value = get(key) ?? usual;
      if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
        throw refused(key, value, `a whole number from ${least} to ${most}`);
      return value as number;
    },
    flag(key, usual) {
      const value = get(key) ?? usual;
      if (typeof value !== "boolean") throw refused(key, value, "true or false");
      return value;
    },
    text(key, longest, usual) {
      const value = get(key) ?? usual;
      if (typeof value !== "string" || value.length > longest)
        throw refused(key, value, `a text of at most ${longest} characters`);
      return value;
    },
    choice(key, among, usual) {
      const value = get(key) ?? usual;
      const found = among.find((each) => each === value);
      if (found === undefined) throw refused(key, value, `one of ${among.join(", ")}`);
      return found;
    },
    numbers(key, least, most, usual) {
      const value = get(key) ?? usual;
      const list = typeof value === "number" ? [value] : value;
      const whole =
        Array.isArray(list) && list.every((n) => typeof n === "number" && Number.isFinite(n));
      const absent = usual !== undefined && list === usual;
      if (!whole || (!absent && (list.length < least || list.length > most)))
        throw refused(
          key,
          value,
          least === most ? `a list of ${least} numbers` : "a list of numbers",
        );
      return list as readonly number[];
    },
  };
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? `“${value}”` : String(JSON.stringify(value));
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
