/** Latency as a heat map with logarithmic buckets, percentiles as lines over it. */
import type { UseQueryResult } from "@tanstack/preact-query";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../lib/api";
import { download } from "../lib/csv";
import { count, microseconds, moment, utc } from "../lib/format";
import { unzoom, zoomTo } from "../lib/period";
import { token, useTheme } from "../lib/theme";
import { timeTick, timeTicks } from "../lib/ticks";
import { placed } from "../lib/versions";
import { Card, IconButton, States } from "./card";
import type { Marker } from "./chart";
import { DataTable, type Column } from "./table";

interface Row {
  at: string;
  count: number;
  p50_us: number | null;
  p90_us: number | null;
  p99_us: number | null;
  buckets: { below_us: number; count: number }[];
}

interface Frame {
  /** Seconds. */
  step: number;
  /** Milliseconds. */
  since: number;
  until: number;
}

const HEIGHT = 240;
const LEFT = 64;
const BOTTOM = 20;
const PER_OCTAVE = 2;
const level = (us: number): number => Math.floor(Math.log2(Math.max(us, 0.01)) * PER_OCTAVE);
const LINES = [["p50_us", "median", []], ["p90_us", "90 %", [5, 3]], ["p99_us", "99 %", [2, 2]]] as const;

const COLUMNS: readonly Column<Row>[] = [
  { id: "at", title: "Time", value: (row) => row.at, show: (row) => <span title={utc(Date.parse(row.at))}>{moment(Date.parse(row.at))}</span> },
  { id: "n", title: "Measured", numeric: true, value: (row) => row.count, show: (row) => count(row.count) },
  ...LINES.map(([key, name]): Column<Row> => ({ id: key, title: name, numeric: true, value: (row) => row[key], show: (row) => microseconds(row[key]) })),
];

interface HeatProps {
  rows: readonly Row[];
  frame: Frame;
  markers: readonly Marker[];
}

export function HeatMap<T>({ title, read, ...heat }: { title: string; read: UseQueryResult<T, ApiError> } & HeatProps) {
  const { rows } = heat;
  const [twin, setTwin] = useState(false);
  return (
    <Card
      title={title}
      meaning="How many resolves took how long, over time: the darker, the more. Lines: median, 90 % and 99 %."
      tools={
        <>
          <IconButton icon={twin ? "chart" : "table"} label={twin ? "Show as chart" : "Show as table"} aria-pressed={twin} onClick={() => setTwin(!twin)} />
          <IconButton icon="download" label="Download CSV" onClick={() => download("latency", ["time", "count", "p50_us", "p90_us", "p99_us"], rows.map((row) => [row.at, row.count, row.p50_us, row.p90_us, row.p99_us]))} />
        </>
      }
    >
      <States of={read} height={HEIGHT} isEmpty={() => !rows.length} empty="No latency was measured in this time range.">
        {() => (twin ? <DataTable label={title} rows={rows} columns={COLUMNS} rowKey={(row) => row.at} sort="-at" page={12} /> : <Heat {...heat} />)}
      </States>
    </Card>
  );
}

interface Scale {
  low: number;
  high: number;
  left: (ms: number) => number;
  top: (us: number) => number;
  cell: number;
  width: number;
}

/** Milliseconds at which the first step begins. */
const startOf = ({ step, since }: Pick<Frame, "step" | "since">): number => Math.floor(since / 1_000 / step) * step * 1_000;

function scaleOf(rows: readonly Row[], { step, since, until }: Frame, width: number): Scale {
  const bounds = rows.flatMap((row) => row.buckets.map((bucket) => level(bucket.below_us)));
  const low = Math.min(...bounds) - 1;
  const high = Math.max(...bounds) + 1;
  const start = startOf({ step, since });
  const inner = width - LEFT;
  return {
    low,
    high,
    width,
    cell: Math.max(1, (inner * step * 1_000) / (until - start)),
    left: (ms) => LEFT + (inner * (ms - start)) / (until - start),
    top: (us) => (HEIGHT - BOTTOM) * (1 - (Math.log2(Math.max(us, 0.01)) * PER_OCTAVE - low) / (high - low)),
  };
}

function Heat({ rows, frame, markers }: HeatProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [hover, setHover] = useState<{ row: Row; left: number } | null>(null);
  const [brush, setBrush] = useState<{ from: number; to: number } | null>(null);
  const theme = useTheme();
  useEffect(() => {
    const resize = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    resize.observe(canvas.current!.parentElement!);
    return () => resize.disconnect();
  }, []);
  useEffect(() => {
    if (width && canvas.current) draw(canvas.current, rows, frame, scaleOf(rows, frame, width));
  }, [rows, frame.since, frame.until, frame.step, width, theme]);
  const timeAt = (left: number): number => (startOf(frame) + ((left - LEFT) / (width - LEFT)) * (frame.until - startOf(frame))) / 1_000;
  const move = (event: PointerEvent): void => {
    if (brush) setBrush({ ...brush, to: event.offsetX });
    const at = timeAt(event.offsetX);
    const row = rows.find((one) => Date.parse(one.at) / 1_000 <= at && at < Date.parse(one.at) / 1_000 + frame.step);
    setHover(row ? { row, left: event.offsetX } : null);
  };
  const up = (): void => {
    if (brush && Math.abs(brush.to - brush.from) > 6) zoomTo(timeAt(Math.max(LEFT, Math.min(brush.from, brush.to))), timeAt(Math.max(brush.from, brush.to)));
    setBrush(null);
  };
  return (
    <div class="chart" onDblClick={unzoom}>
      <canvas ref={canvas} class="heat" height={HEIGHT} aria-hidden="true" onPointerMove={move} onPointerLeave={() => setHover(null)} onPointerDown={(event) => setBrush({ from: event.offsetX, to: event.offsetX })} onPointerUp={up} />
      {width > 0 &&
        rows.length > 0 &&
        placed(markers, (at) => scaleOf(rows, frame, width).left(at * 1_000), width).map((one) => (
          <i class="marker" key={one.label} style={{ left: one.left, height: HEIGHT - BOTTOM }}>
            {one.label}
          </i>
        ))}
      {brush && <div class="brush" style={{ left: Math.min(brush.from, brush.to), width: Math.abs(brush.to - brush.from), height: HEIGHT - BOTTOM }} />}
      {hover && (
        <div class="tip" style={{ top: 8, ...(hover.left > width / 2 ? { right: width - hover.left + 12 } : { left: hover.left + 12 }) }}>
          <div class="when">{moment(Date.parse(hover.row.at))}</div>
          <dl>
            {LINES.map(([key, name]) => [<i key={key} />, <dt key={`${key}t`}>{name}</dt>, <dd key={`${key}d`}>{microseconds(hover.row[key])}</dd>])}
            <i />
            <dt>n</dt>
            <dd>{count(hover.row.count)}</dd>
          </dl>
        </div>
      )}
      <div class="legend" aria-hidden="true">
        <span class="dim">fewer</span>
        <span class="ramp" />
        <span class="dim">more resolves</span>
        <span class="dim">— median · – – 90 % · ·· 99 %</span>
      </div>
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, rows: readonly Row[], frame: Frame, scale: Scale): void {
  const ratio = devicePixelRatio;
  canvas.width = scale.width * ratio;
  canvas.height = HEIGHT * ratio;
  canvas.style.height = `${HEIGHT}px`;
  const ctx = canvas.getContext("2d");
  if (!ctx) return;
  ctx.scale(ratio, ratio);
  const [colour, line, dim, text] = [token("--c1"), token("--line"), token("--dim"), token("--text")];
  const rowHeight = (HEIGHT - BOTTOM) / (scale.high - scale.low);
  const top = Math.max(...rows.flatMap((row) => row.buckets.map((bucket) => bucket.count)), 1);
  ctx.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  ctx.fillStyle = dim;
  ctx.strokeStyle = line;
  ctx.textAlign = "right";
  for (let us = 10 ** Math.ceil(Math.log10(2 ** (scale.low / PER_OCTAVE))); level(us) < scale.high; us *= 10) {
    const y = scale.top(us);
    ctx.fillText(microseconds(us), LEFT - 8, y + 4);
    ctx.beginPath();
    ctx.moveTo(LEFT, y);
    ctx.lineTo(scale.width, y);
    ctx.stroke();
  }
  ctx.fillStyle = colour;
  for (const row of rows) {
    const left = scale.left(Date.parse(row.at));
    const cells = new Map<number, number>();
    for (const bucket of row.buckets) cells.set(level(bucket.below_us), (cells.get(level(bucket.below_us)) ?? 0) + bucket.count);
    for (const [cell, n] of cells) {
      ctx.globalAlpha = 0.12 + 0.78 * Math.sqrt(n / top);
      ctx.fillRect(left, (HEIGHT - BOTTOM) * (1 - (cell + 1 - scale.low) / (scale.high - scale.low)), Math.max(1, scale.cell - 1), Math.max(1, rowHeight - 1));
    }
  }
  ctx.globalAlpha = 1;
  ctx.strokeStyle = text;
  ctx.lineWidth = 1.5;
  for (const [key, , dash] of LINES) {
    ctx.setLineDash([...dash]);
    ctx.beginPath();
    let previous = -Infinity;
    for (const row of rows) {
      const us = row[key];
      if (us === null) continue;
      const at = Date.parse(row.at);
      const x = scale.left(at) + scale.cell / 2;
      // A step without a neighbour is drawn as wide as it is: a line needs two of them.
      if (at - previous > frame.step * 1_500) {
        ctx.moveTo(x - scale.cell / 2, scale.top(us));
        ctx.lineTo(x, scale.top(us));
      }
      ctx.lineTo(x, scale.top(us));
      if (scale.cell > 4) ctx.lineTo(x + scale.cell / 2, scale.top(us));
      previous = at;
    }
    ctx.stroke();
  }
  ctx.setLineDash([]);
  ctx.fillStyle = dim;
  ctx.textAlign = "left";
  const ticks = timeTicks(frame.since, frame.until, scale.width / 96);
  for (const at of ticks) {
    const text = timeTick(at, ticks);
    ctx.fillText(text, Math.min(scale.left(at), scale.width - ctx.measureText(text).width), HEIGHT - 4);
  }
}
