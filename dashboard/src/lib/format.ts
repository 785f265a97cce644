/** Numbers as people read them. Missing is an en dash, never 0. */

export type Maybe = number | null | undefined;
export type Format = (value: Maybe) => string;

const THIN = "\u202f";
export const MISSING = "–";
const known = (value: Maybe): value is number => value !== null && value !== undefined && Number.isFinite(value);
const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const grouped = (value: number): string => plain.format(value).replaceAll(",", THIN);

function scaled(value: number): string {
  for (const [size, unit] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e4, "k"]] as const)
    if (Math.abs(value) >= size) return `${digits(value / (unit === "k" ? 1e3 : size), 3)}${THIN}${unit}`;
  return grouped(value);
}

function digits(value: number, significant: number): string {
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, significant - 1 - magnitude));
}

export const count: Format = (value) => (known(value) ? grouped(value) : MISSING);
export const compact: Format = (value) => (known(value) ? scaled(value) : MISSING);
export const decimal: Format = (value) => (known(value) ? (Math.abs(value) >= 100 ? grouped(value) : trim(digits(value, 3))) : MISSING);
/** Two decimals, for columns of numbers that are compared. */
export const fixed: Format = (value) => (known(value) ? value.toFixed(2) : MISSING);
const trim = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

export const dollars: Format = (value) => {
  if (!known(value)) return MISSING;
  if (value !== 0 && Math.abs(value) < 0.01) return `$${value.toPrecision(2)}`;
  return value.toLocaleString("en-US", { style: "currency", currency: "USD" });
};
export const dollarsShort: Format = (value) => {
  if (!known(value) || Math.abs(value) < 1_000) return dollars(value);
  const unit = Math.abs(value) >= 1e6 ? ([1e6, "M"] as const) : ([1e3, "k"] as const);
  return `$${digits(value / unit[0], 3)}${THIN}${unit[1]}`;
};
export const rate: Format = (value) => (known(value) ? `${(value * 100).toFixed(1)}${THIN}%` : MISSING);

/** Milliseconds. */
export const duration: Format = (ms) => {
  if (!known(ms)) return MISSING;
  if (ms < 0.001) return ms === 0 ? `0${THIN}ms` : `${digits(ms * 1e6, 2)}${THIN}ns`;
  if (ms < 1) return `${digits(ms * 1e3, 3)}${THIN}µs`;
  if (ms < 1_000) return `${ms < 10 ? trim(ms.toFixed(1)) : ms.toFixed(0)}${THIN}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)}${THIN}s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}${THIN}m ${seconds % 60}${THIN}s`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}${THIN}h ${Math.round((seconds % 3_600) / 60)}${THIN}m`;
  return `${Math.round(seconds / 86_400)}${THIN}days`;
};
export const seconds: Format = (value) => duration(known(value) ? value * 1_000 : null);
export const microseconds: Format = (value) => duration(known(value) ? value / 1_000 : null);

export const bytes: Format = (value) => {
  if (!known(value)) return MISSING;
  for (const [size, unit] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]] as const)
    if (value >= size) return `${digits(value / size, 3)}${THIN}${unit}`;
  return `${grouped(value)}${THIN}B`;
};

const dateTime = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const dateOnly = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const moment = (ms: Maybe): string => (known(ms) ? dateTime.format(ms) : MISSING);
export const day = (ms: Maybe): string => (known(ms) ? dateOnly.format(ms) : MISSING);
/** A UTC day as the roll-ups name it. */
export const utcDay = (ms: number): string =>
  new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" }).format(ms);
export const utc = (ms: Maybe): string => (known(ms) ? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC` : "");

/** How long ago, in one unit. */
export function ago(ms: Maybe, now = Date.now()): string {
  if (!known(ms)) return "never";
  const passed = Math.max(0, now - ms) / 1_000;
  if (passed < 5) return "just now";
  for (const [size, unit] of [[86_400, "d"], [3_600, "h"], [60, "min"]] as const)
    if (passed >= size) return `${Math.floor(passed / size)}${THIN}${unit} ago`;
  return `${Math.floor(passed)}${THIN}s ago`;
}

/** The change against an earlier value, or null when there is nothing to compare with. */
export function change(now: Maybe, before: Maybe): number | null {
  return known(now) && known(before) && before !== 0 ? (now - before) / Math.abs(before) : null;
}

/** A bucket or a UTC day of an answer in milliseconds. */
export const instant = (text: string): number => Date.parse(text.length === 10 ? `${text}T00:00:00Z` : /Z|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);

export const shortRepo = (repo: string): string => repo.replace(/^https?:\/\/|\.git$/g, "").split("/").slice(-2).join("/");

export const words = (name: string): string => {
  const text = name.replaceAll(/[_-]+/g, " ").trim();
  return text ? text.charAt(0).toUpperCase() + text.slice(1) : text;
};
