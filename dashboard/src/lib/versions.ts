/** New versions as markers on charts over time. */
import type { Marker } from "../ui/chart";

export interface FirstSeen {
  readonly label: string;
  /** Milliseconds. */
  readonly at: number;
}

/** Whatever is first heard of so soon after everything began was there before. */
const BEGINNING_MS = 900_000;

/** Versions that appeared in a range, oldest first. */
export function newVersions(seen: readonly FirstSeen[], since: number, until: number): Marker[] {
  const began = Math.min(...seen.map((one) => one.at));
  return seen
    .filter(({ at }) => at > began + BEGINNING_MS && at >= since && at < until)
    .map(({ at, label }) => ({ at: at / 1_000, label }))
    .sort((a, b) => a.at - b.at);
}

export interface Placed {
  readonly left: number;
  readonly label: string;
}

const CLOSE_PX = 44;

/** Where markers stand, those that would cover each other's names as one. */
export function placed(markers: readonly Marker[], leftOf: (seconds: number) => number, width: number): Placed[] {
  const found: Placed[] = [];
  for (const { at, label } of markers) {
    const left = Math.round(leftOf(at));
    const last = found.at(-1);
    if (left < 0 || left > width) continue;
    if (last && left - last.left < CLOSE_PX) found[found.length - 1] = { left: last.left, label: `${last.label}, ${label}` };
    else found.push({ left, label });
  }
  return found;
}
