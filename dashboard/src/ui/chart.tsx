/** Series over time: hover shows values, a brush zooms, every chart has a table twin, CSV and a sentence for readers. */
import type { ComponentChildren } from "preact";
import { lazy, Suspense } from "preact/compat";
import { useState } from "preact/hooks";
import { download } from "../lib/csv";
import { moment, utc, type Format } from "../lib/format";
import { Card, IconButton, Skeleton } from "./card";
import { DataTable, type Column } from "./table";

export interface Series {
  key: string;
  label: string;
  values: readonly (number | null)[];
  /** Drawn hatched: unattributed or estimated. */
  uncertain?: boolean;
  color?: string;
  dashed?: boolean;
}

export interface ChartData {
  /** Seconds since 1970, ascending. */
  x: readonly number[];
  series: readonly Series[];
  /** Seconds from one point to the next; the last bucket ends that much later. */
  step?: number;
}

export interface Marker {
  at: number;
  label: string;
}

export interface ChartProps extends ChartData {
  kind: "bars" | "line" | "area";
  format: Format;
  height?: number;
  /** When versions were first seen, in seconds. */
  markers?: readonly Marker[];
  /** Where x is not a time. */
  xFormat?: (x: number) => string;
  zoom?: boolean;
  levels?: readonly { at: number; label: string }[];
}

export const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"] as const;

const Plot = lazy(() => import("./plot"));

export function Chart(props: ChartProps) {
  return (
    <Suspense fallback={<Skeleton height={props.height ?? 220} />}>
      <Plot {...props} />
    </Suspense>
  );
}

interface ChartCardProps extends ChartProps {
  title: string;
  meaning?: string;
  note?: ComponentChildren;
  tools?: ComponentChildren;
  span?: 4 | 6 | 8 | 12;
}

/** A chart in a card with its table twin. */
export function ChartCard({ title, meaning, note, tools, span = 12, ...chart }: ChartCardProps) {
  const [twin, setTwin] = useState(false);
  return (
    <Card title={title} meaning={meaning} note={note} span={span} tools={<>{tools}<TwinTools name={title} chart={chart} twin={twin} setTwin={setTwin} /></>}>
      <p class="sr">{summary(title, chart)}</p>
      {twin ? <Twin label={title} {...chart} /> : <Chart {...chart} />}
    </Card>
  );
}

function TwinTools({ name, chart, twin, setTwin }: { name: string; chart: ChartProps; twin: boolean; setTwin: (twin: boolean) => void }) {
  const save = (): void =>
    download(fileName(name), [chart.xFormat ? "x" : "time", ...chart.series.map((one) => one.label)], chart.x.map((x, index) => [chart.xFormat ? x : new Date(x * 1_000).toISOString(), ...chart.series.map((one) => one.values[index])]));
  return (
    <>
      <IconButton icon={twin ? "chart" : "table"} label={twin ? "Show as chart" : "Show as table"} aria-pressed={twin} onClick={() => setTwin(!twin)} />
      <IconButton icon="download" label="Download CSV" onClick={save} />
    </>
  );
}

export const fileName = (title: string): string => title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");

function Twin({ label, x, series, format, xFormat }: ChartProps & { label: string }) {
  const columns: Column<number>[] = [
    { id: "x", title: xFormat ? "" : "Time", value: (index) => x[index]!, show: (index) => (xFormat ? xFormat(x[index]!) : <span title={utc(x[index]! * 1_000)}>{moment(x[index]! * 1_000)}</span>) },
    ...series.map((one): Column<number> => ({ id: one.key || "-", title: one.label, numeric: true, value: (index) => one.values[index], show: (index) => format(one.values[index]) })),
  ];
  return <DataTable label={label} rows={x.map((_, index) => index)} columns={columns} rowKey={String} sort="-x" page={12} />;
}

function summary(title: string, { x, series, format, markers = [] }: ChartProps): string {
  if (!x.length) return `${title}: no data.`;
  const news = markers.length ? ` New versions: ${markers.map((one) => `${one.label} on ${moment(one.at * 1_000)}`).join(", ")}.` : "";
  const parts = series.slice(0, 7).map((one) => {
    const known = one.values.filter((value): value is number => value !== null);
    return known.length ? `${one.label} from ${format(Math.min(...known))} to ${format(Math.max(...known))}, last ${format(known.at(-1))}` : `${one.label} without data`;
  });
  return `${title}, ${x.length} points: ${parts.join("; ")}.${news}`;
}

