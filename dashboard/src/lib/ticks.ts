/** Round times for axes, in the viewer's zone. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY];

/** At most so many round times between two, in milliseconds. */
export function timeTicks(since: number, until: number, most = 8): number[] {
  const step = STEPS.find((one) => (until - since) / one <= most) ?? 90 * DAY;
  const offset = new Date(since).getTimezoneOffset() * MINUTE;
  const first = Math.ceil((since - offset) / step) * step + offset;
  return Array.from({ length: Math.max(0, Math.floor((until - first) / step) + 1) }, (_, index) => first + index * step);
}

/** A tick as text: days where they are days apart, else times, and the day at midnight. */
export function timeTick(ms: number, ticks: readonly number[]): string {
  const at = new Date(ms);
  const wide = (ticks.at(-1) ?? ms) - (ticks[0] ?? ms) > 2 * DAY;
  if (wide || (at.getHours() === 0 && at.getMinutes() === 0)) return at.toLocaleDateString(undefined, { month: "short", day: "numeric" });
  return at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

/** All ticks as texts; of several that read the same only the first has one. */
export function timeLabels(ticks: readonly number[]): string[] {
  const texts = ticks.map((tick) => (tick ? timeTick(tick, ticks) : ""));
  return texts.map((text, index) => (text === texts[index - 1] ? "" : text));
}
