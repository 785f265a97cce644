/** uPlot, drawn with the style sheet's tokens. Loaded when the first chart is shown. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { moment, utcDay, type Format } from "../lib/format";
import { unzoom, zoomTo } from "../lib/period";
import { token, useTheme } from "../lib/theme";
import { timeLabels } from "../lib/ticks";
import { placed } from "../lib/versions";
import { PALETTE, type ChartProps, type Marker, type Series } from "./chart";

const crosshair = uPlot.sync("page");

interface Hover {
  index: number;
  left: number;
}

export default function Plot(props: ChartProps) {
  const { x, series, kind, height = 220, xFormat, zoom = !xFormat } = props;
  const theme = useTheme();
  const host = useRef<HTMLDivElement>(null);
  const [alone, setAlone] = useState<string | null>(null);
  const [hover, setHover] = useState<Hover | null>(null);
  const shown = series.filter((one) => alone === null || one.key === alone);
  const signature = JSON.stringify([x, shown, kind, props.levels, props.markers]);

  useEffect(() => {
    const element = host.current;
    if (!element || !x.length) return;
    const plot = new uPlot({ ...options(props, shown, series, zoom), width: element.clientWidth, height, plugins: [tracker(setHover), marks(props.markers ?? [])] }, table(props, shown), element);
    const resize = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      plot.destroy();
      setHover(null);
    };
  }, [signature, theme, height, zoom]);

  return (
    <>
      <div class="chart" ref={host} style={{ minHeight: height }} onDblClick={zoom ? unzoom : undefined} aria-hidden="true">
        {hover && x[hover.index] !== undefined && <Tip {...props} shown={shown} hover={hover} width={host.current?.clientWidth ?? 0} />}
      </div>
      {series.length > 1 && (
        <div class="legend">
          {series.map((one) => (
            <button type="button" key={one.key} aria-pressed={alone === null || alone === one.key} onClick={() => setAlone(alone === one.key ? null : one.key)}>
              <i class={one.uncertain ? "swatch hatched" : "swatch"} style={{ background: colourVar(one, series) }} />
              <span>{one.label}</span>
            </button>
          ))}
        </div>
      )}
    </>
  );
}

const colourVar = (one: Series, all: readonly Series[]): string => `var(${one.color ?? PALETTE[all.indexOf(one) % PALETTE.length]!})`;

/** Stacked kinds are drawn as running sums, the whole first, so that each part covers what is not its own. */
function table({ x, kind }: ChartProps, shown: readonly Series[]): uPlot.AlignedData {
  if (kind === "line") return [x as number[], ...shown.map((one) => one.values as (number | null)[])];
  const sums = x.map(() => 0);
  const stacked = shown.map((one) => one.values.map((value, index) => (sums[index]! += value ?? 0)));
  return [x as number[], ...stacked.reverse()];
}

function options({ x, kind, format, xFormat, levels = [], step }: ChartProps, shown: readonly Series[], all: readonly Series[], zoom: boolean): uPlot.Options {
  const grid = token("--line");
  const axis: uPlot.Axis = { stroke: token("--dim"), font: `11px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false }, grid: { stroke: grid, width: 1 } };
  const drawn = kind === "line" ? shown : [...shown].reverse();
  const width = step ?? (x.length > 1 ? x[1]! - x[0]! : 3_600);
  const bars = uPlot.paths.bars!({ size: [0.8, 48], align: kind === "bars" && !xFormat ? 1 : 0, radius: 0 });
  return {
    width: 0,
    height: 0,
    scales: {
      x: { time: !xFormat, ...(kind === "bars" && !xFormat ? { range: (_, min, max): [number, number] => [min, max + width] } : {}) },
      y: { range: (_, min, max) => (kind === "line" && min < 0 ? [min * 1.08, max * 1.08] : [0, Math.max(max, ...levels.map((level) => level.at)) * 1.08 || 1]) },
    },
    axes: [
      { ...axis, size: 28, grid: { show: false }, ...(xFormat ? { values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? xFormat(tick) : "")) } : { values: (_, ticks) => timeLabels(ticks.map((tick) => tick * 1_000)) }), space: 72 },
      { ...axis, size: (_, values) => 16 + 6.4 * Math.max(0, ...(values ?? []).map((text) => text.length)), values: (_, ticks) => ticks.map((tick) => format(tick)), space: 32 },
    ],
    series: [
      {},
      ...drawn.map((one): uPlot.Series => {
        const colour = token(one.color ?? PALETTE[all.indexOf(one) % PALETTE.length]!);
        const fill = one.uncertain ? hatch(colour) : kind === "area" ? token("--panel") : colour;
        if (kind === "line") return { label: one.label, stroke: colour, width: 1.75, spanGaps: false, points: { show: true, size: 5, fill: colour, filter: isolated(one.values) }, ...(one.dashed ? { dash: [5, 4] } : {}) };
        return { label: one.label, stroke: colour, width: kind === "bars" ? 0 : 1.5, fill: kind === "area" && !one.uncertain ? fade(colour) : fill, points: { show: x.length < 2 }, ...(kind === "bars" ? { paths: bars } : {}) };
      }),
    ],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: zoom, y: false, setScale: false }, ...(xFormat ? {} : { sync: { key: crosshair.key } }) },
    hooks: {
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          zoomTo(plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x"));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      draw: [
        (plot) => {
          const { ctx, bbox } = plot;
          ctx.save();
          ctx.lineWidth = devicePixelRatio;
          ctx.setLineDash([3 * devicePixelRatio, 4 * devicePixelRatio]);
          ctx.strokeStyle = ctx.fillStyle = token("--dim");
          ctx.font = `${11 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
          ctx.textAlign = "right";
          for (const level of levels) {
            const y = plot.valToPos(level.at, "y", true);
            ctx.beginPath();
            ctx.moveTo(bbox.left, y);
            ctx.lineTo(bbox.left + bbox.width, y);
            ctx.stroke();
            ctx.fillText(level.label, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
          }
          ctx.restore();
        },
      ],
    },
  };
}

const fade = (colour: string): string => colour.replace(/^rgb\((.+)\)$/, "rgb($1, 0.22)");

function hatch(colour: string): CanvasPattern | string {
  const size = 8;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const ctx = tile.getContext("2d");
  if (!ctx) return colour;
  ctx.fillStyle = token("--panel");
  ctx.fillRect(0, 0, size, size);
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2;
  ctx.beginPath();
  for (const shift of [-size, 0, size]) {
    ctx.moveTo(shift, size);
    ctx.lineTo(shift + size, 0);
  }
  ctx.stroke();
  return ctx.createPattern(tile, "repeat") ?? colour;
}

/** A line is drawn between two points; one that has no neighbour would not be seen. */
function isolated(values: readonly (number | null)[]): () => number[] {
  const found = values.flatMap((value, index) => (value !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null ? [index] : []));
  return () => found;
}

/** Versions as elements over the canvas, which readers of the page's text find too. */
function marks(markers: readonly Marker[]): uPlot.Plugin {
  return {
    hooks: {
      draw: (plot) => {
        plot.over.querySelectorAll(".marker").forEach((old) => old.remove());
        for (const { left, label } of placed(markers, (at) => plot.valToPos(at, "x"), plot.over.clientWidth)) {
          const mark = document.createElement("i");
          mark.className = "marker";
          mark.style.left = `${left}px`;
          mark.append(label);
          plot.over.append(mark);
        }
      },
    },
  };
}

function tracker(see: (hover: Hover | null) => void): uPlot.Plugin {
  return {
    hooks: {
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        const inside = plot.over.matches(":hover");
        see(inside && idx !== null && idx !== undefined && left !== undefined && left >= 0 ? { index: idx, left: left + plot.over.offsetLeft } : null);
      },
    },
  };
}

function Tip({ x, shown, series, kind, format, xFormat, step, hover, width }: ChartProps & { shown: readonly Series[]; hover: Hover; width: number }) {
  const at = x[hover.index]!;
  const listed = shown.filter((one) => one.values[hover.index] !== null && (kind === "line" || one.values[hover.index] !== 0));
  const total = kind === "line" ? null : shown.reduce((sum, one) => sum + (one.values[hover.index] ?? 0), 0);
  const flip = hover.left > width / 2;
  return (
    <div class="tip" style={{ top: 8, ...(flip ? { right: width - hover.left + 12 } : { left: hover.left + 12 }) }}>
      <div class="when">{xFormat ? xFormat(at) : when(at, step)}</div>
      <dl>
        {listed.map((one) => (
          <Line key={one.key} swatch={<i class={one.uncertain ? "swatch hatched" : "swatch"} style={{ background: colourVar(one, series) }} />} label={one.label} value={one.values[hover.index]} format={format} />
        ))}
        {total !== null && shown.length > 1 && <Line swatch={<i />} label="Total" value={total} format={format} />}
      </dl>
    </div>
  );
}

const when = (at: number, step = 0): string => (step >= 86_400 ? `${utcDay(at * 1_000)} (UTC day)` : moment(at * 1_000));

function Line({ swatch, label, value, format }: { swatch: preact.JSX.Element; label: string; value: number | null | undefined; format: Format }) {
  return (
    <>
      {swatch}
      <dt>{label}</dt>
      <dd>{format(value)}</dd>
    </>
  );
}
