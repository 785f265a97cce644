/** From rows to series: buckets without a row are filled, small keys are summed up as "other". */
import type { ChartData, Series } from "../ui/chart";

interface Pivot<T> {
  at: (row: T) => number;
  key: (row: T) => string;
  label?: (row: T) => string;
  value: (row: T) => number | null;
  /** Seconds from one bucket to the next. */
  step: number;
  /** Milliseconds. */
  since: number;
  until: number;
  /** What a bucket without a row is: nothing happened, or not known. */
  missing?: 0 | null;
  uncertain?: (key: string) => boolean;
  /** False keeps keys in the order in which they come; otherwise the largest is first. */
  ranked?: boolean;
  most?: number;
}

export function pivot<T>(rows: readonly T[], { at, key, label, value, step, since, until, missing = 0, uncertain, ranked: sorted = true, most = 7 }: Pivot<T>): ChartData {
  const floor = (seconds: number): number => Math.floor(seconds / step) * step;
  const [first, last] = [floor(since / 1_000), floor((until - 1) / 1_000)];
  const x = Array.from({ length: Math.max(1, Math.min(4_000, (last - first) / step + 1)) }, (_, index) => first + index * step);
  const index = new Map(x.map((seconds, position) => [seconds, position]));
  const totals = new Map<string, number>();
  const labels = new Map<string, string>();
  for (const row of rows) {
    const name = key(row);
    totals.set(name, (totals.get(name) ?? 0) + (value(row) ?? 0));
    labels.set(name, label?.(row) ?? name);
  }
  const ranked = (sorted ? [...totals].sort((a, b) => b[1] - a[1]) : [...totals]).map(([name]) => name);
  const kept = new Set(ranked.length > most + 1 ? ranked.slice(0, most) : ranked);
  const columns = new Map<string, (number | null)[]>([...kept].map((name) => [name, x.map(() => missing)]));
  for (const row of rows) {
    const position = index.get(floor(at(row) / 1_000));
    if (position === undefined) continue;
    const name = kept.has(key(row)) ? key(row) : "\0other";
    const column = columns.get(name) ?? x.map(() => missing);
    columns.set(name, column);
    const found = value(row);
    if (found !== null) column[position] = (column[position] ?? 0) + found;
  }
  const series = [...columns].map(([name, values]): Series => {
    const other = name === "\0other";
    return {
      key: name,
      label: other ? "Other" : labels.get(name) || name,
      values,
      ...(other ? { color: "--c8" } : {}),
      ...(uncertain?.(name) ? { uncertain: true, color: "--c8" } : {}),
    };
  });
  return { x, series, step };
}

/** Sums by a key, largest first. */
export function tally<T>(rows: readonly T[], key: (row: T) => string | null, value: (row: T) => number = () => 1): { key: string; value: number }[] {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(key(row) ?? "", (sums.get(key(row) ?? "") ?? 0) + value(row));
  return [...sums].map(([name, sum]) => ({ key: name, value: sum })).sort((a, b) => b.value - a.value);
}

/** A line of about 30 points for a figure. */
export function spark<T>(rows: readonly T[], since: number, until: number, at: (row: T) => number, value: (row: T) => number = () => 1, points = 30): number[] {
  const sums = Array.from({ length: points }, () => 0);
  const width = (until - since) / points;
  for (const row of rows) {
    const position = Math.floor((at(row) - since) / width);
    if (position >= 0 && position < points) sums[position] = sums[position]! + value(row);
  }
  return sums;
}
