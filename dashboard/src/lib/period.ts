/** The time range of a view and the one before it, as the API wants them. */
import { go, usePlace, type Place } from "./place";

export interface Period {
  readonly preset: string | null;
  readonly label: string;
  readonly since: number;
  readonly until: number;
  /** Parameters of a read. Presets are left to the server's clock. */
  readonly wire: Readonly<Record<string, string>>;
  readonly before: Readonly<Record<string, string>>;
  readonly compare: boolean;
}

export const PRESETS = [
  ["1h", "Last hour", 1],
  ["24h", "Last 24 hours", 24],
  ["7d", "Last 7 days", 168],
  ["30d", "Last 30 days", 720],
  ["90d", "Last 90 days", 2160],
] as const;

const HOUR = 3_600_000;

export function periodOf(query: URLSearchParams, now = Date.now()): Period {
  const compare = query.get("compare") !== "off";
  const since = Date.parse(query.get("since") ?? "");
  if (Number.isFinite(since)) {
    const given = Date.parse(query.get("until") ?? "");
    const until = Number.isFinite(given) && given > since ? given : Math.max(now, since + 60_000);
    const iso = (ms: number): string => new Date(ms).toISOString();
    return {
      preset: null,
      label: customLabel(since, until),
      since,
      until,
      wire: { since: iso(since), until: iso(until) },
      before: { since: iso(since - (until - since)), until: iso(since) },
      compare,
    };
  }
  const [preset, label, hours] = PRESETS.find(([name]) => name === query.get("range")) ?? PRESETS[2];
  return {
    preset,
    label,
    since: now - hours * HOUR,
    until: now,
    wire: { since: preset },
    before: { since: `${hours * 2}h`, until: `${hours}h` },
    compare,
  };
}

/** The period of the address, and the address itself. */
export function usePeriod(): Period & { readonly place: Place } {
  const place = usePlace();
  return { ...periodOf(place.query), place };
}

function customLabel(since: number, until: number): string {
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  if (until - since < 36 * HOUR) return `${day.format(since)} ${time.format(since)} – ${time.format(until)}`;
  return `${day.format(since)} – ${day.format(until)}`;
}

/** A brushed range goes into the address, and beside it the one to come back to: that from before the first brush. */
export function zoomTo(fromSeconds: number, toSeconds: number): void {
  const query = new URLSearchParams(location.search);
  const iso = (seconds: number): string => new Date(Math.round(seconds) * 1_000).toISOString().replace(".000Z", "Z");
  const custom = query.has("since") ? [query.get("since"), query.get("until")].filter(Boolean).join(",") : null;
  const back = query.get("back") ?? custom ?? periodOf(query).preset;
  go(undefined, { range: null, since: iso(fromSeconds), until: iso(toSeconds), back });
}

/** Back to the range from before the first brush. */
export function unzoom(): void {
  const back = new URLSearchParams(location.search).get("back");
  if (!back) return;
  const [since, until = null] = back.split(",");
  const preset = PRESETS.some(([name]) => name === back);
  go(undefined, { range: preset ? back : null, since: preset ? null : since!, until: preset ? null : until, back: null });
}

/** A bucket that gives a readable number of points. */
export function stepOf(period: Period): { readonly name: "hour" | "day"; readonly ms: number } {
  return period.until - period.since <= 3 * 24 * HOUR ? { name: "hour", ms: HOUR } : { name: "day", ms: 24 * HOUR };
}
