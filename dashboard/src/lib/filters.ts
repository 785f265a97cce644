/** Filters live in the address; values seen in answers are remembered to be offered. */
import { go, type Place } from "./place";

export interface FilterKey {
  readonly key: string;
  readonly label: string;
}

const known = new Map<string, Map<string, string>>();

/** Remember values of a filter with their readable names. */
export function learn(key: string, values: Iterable<readonly [value: string, label: string]>): void {
  const seen = known.get(key) ?? new Map<string, string>();
  for (const [value, label] of values) if (value && seen.size < 500) seen.set(value, label || value);
  known.set(key, seen);
}

export const offered = (key: string): readonly (readonly [string, string])[] => [...(known.get(key) ?? [])];
export const labelOf = (key: string, value: string): string => known.get(key)?.get(value) ?? value;

/** The parameters that the address sets for these filters. */
export function filtersOf(place: Place, keys: readonly FilterKey[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { key } of keys) {
    const value = place.query.get(key);
    if (value) found[key] = value;
  }
  return found;
}

export const setFilter = (key: string, value: string | null): void => go(undefined, { [key]: value });
