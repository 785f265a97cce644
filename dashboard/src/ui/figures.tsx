/** The first row of a screen: value, unit, change against the previous period, a line of the last points. */
import type { ComponentChildren } from "preact";
import { change, rate, type Format, type Maybe } from "../lib/format";
import { Meaning } from "./card";

export interface FigureProps {
  label: string;
  value: Maybe;
  format: Format;
  /** The value in full, on hover. */
  exact?: Format;
  before?: Maybe;
  /** Whether more is good, bad or neither. */
  more?: "good" | "bad";
  meaning?: string;
  note?: ComponentChildren;
  spark?: readonly number[];
  state?: "good" | "bad" | undefined;
  loading?: boolean;
}

export function Figures({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <section class="figures" aria-label={label}>
      {children}
    </section>
  );
}

export function Figure({ label, value, format, exact, before, more, meaning, note, spark, state, loading }: FigureProps) {
  return (
    <div class={state ? `figure state-${state}` : "figure"} data-figure={label}>
      <div class="label">
        {label}
        {meaning && <Meaning text={meaning} />}
      </div>
      {loading ? (
        <div class="skeleton" style={{ height: 24, width: 96, margin: "4px 0" }} />
      ) : (
        <div class="value" title={exact?.(value)}>
          {format(value)}
          {spark && spark.length > 1 && spark.some(Boolean) && <Spark values={spark} />}
        </div>
      )}
      <div class="below">
        {!loading && <Change now={value} before={before} more={more} format={exact ?? format} />}
        {note && <span>{note}</span>}
      </div>
    </div>
  );
}

function Change({ now, before, more, format }: { now: Maybe; before: Maybe; more: "good" | "bad" | undefined; format: Format }) {
  const moved = change(now, before);
  if (moved === null) return null;
  const flat = Math.abs(moved) < 0.0005;
  const tone = flat || !more ? "flat" : moved > 0 === (more === "good") ? "good" : "bad";
  const text = Math.abs(moved) >= 9.995 ? `${Math.round(Math.abs(moved) + 1)}×` : rate(Math.abs(moved));
  return (
    <span class={`delta ${tone}`} title={`${format(before)} in the period before`}>
      {flat ? "unchanged" : `${moved > 0 ? "↑" : "↓"} ${text}`}
    </span>
  );
}

const WIDTH = 72;
const HEIGHT = 20;

function Spark({ values }: { values: readonly number[] }) {
  const top = Math.max(...values, 1e-9);
  const step = WIDTH / (values.length - 1);
  const path = values.map((value, index) => `${index ? "L" : "M"}${(index * step).toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path.join("")} fill="none" stroke="var(--c1)" stroke-width="1.5" stroke-linejoin="round" vector-effect="non-scaling-stroke" />
    </svg>
  );
}
