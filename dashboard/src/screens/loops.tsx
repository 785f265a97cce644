/** Loops: how they end, how they converge, what they waste. All numbers are sums over the list that the API gives. */
import { useMemo, useState } from "preact/hooks";
import type { components } from "../api";
import { useRead } from "../lib/api";
import { download } from "../lib/csv";
import { filtersOf, learn, setFilter } from "../lib/filters";
import { compact, count, day, decimal, dollars, dollarsShort, fixed, moment, rate, utc } from "../lib/format";
import { stepOf, usePeriod } from "../lib/period";
import { href } from "../lib/place";
import { pivot, spark, tally } from "../lib/series";
import { Bars } from "../ui/bars";
import { Card, Empty, IconButton, Segments, States } from "../ui/card";
import { ChartCard } from "../ui/chart";
import { Columns } from "../ui/columns";
import { Figure, Figures } from "../ui/figures";
import { Outcome, outcomeColor } from "../ui/outcome";
import { Screen } from "../ui/screen";
import { cells, DataTable, type Column } from "../ui/table";
import { ConnectOr } from "./connect";
import { FILTERS_OF } from "./filters";
import { LoopSide } from "./loop";

type Loop = components["schemas"]["EventRow"];

const FILTERS = FILTERS_OF["/loops"]!;
const LIMIT = 50_000;
/** Ends that somebody should look at. */
const FAILED = new Set(["diverged", "oscillating", "stalled", "max_iterations"]);

export const failed = (loop: Pick<Loop, "outcome">): boolean => FAILED.has(loop.outcome);
export const at = (loop: { timestamp_hour: number }): number => loop.timestamp_hour * 1_000;
const pastBest = (loop: Loop): number => (loop.best_index === null ? 0 : Math.max(0, loop.iterations_used - 1 - loop.best_index));

/** What the figures say about one period. */
export function sums(loops: readonly Loop[]) {
  const add = (value: (loop: Loop) => number | null): number => loops.reduce((sum, loop) => sum + (value(loop) ?? 0), 0);
  const known = (value: (loop: Loop) => number | null): number => loops.filter((loop) => value(loop) !== null).length;
  const gains = loops.map((loop) => loop.profile_max).filter((gain): gain is number => gain !== null).sort((a, b) => a - b);
  const iterationsWithBest = loops.reduce((sum, loop) => sum + (loop.best_index === null ? 0 : loop.iterations_used), 0);
  return {
    loops: loops.length,
    converged: loops.filter((loop) => loop.outcome === "converged").length,
    failed: loops.filter(failed).length,
    rollbacks: add((loop) => loop.rollback_triggered),
    iterations: add((loop) => loop.iterations_used),
    saved: add((loop) => loop.savings_vs_fixed_cap),
    wasted: add(pastBest),
    iterationsWithBest,
    spent: known((loop) => loop.actual_dollars_spent) ? add((loop) => loop.actual_dollars_spent) : null,
    dollarsSaved: known((loop) => loop.actual_dollars_saved) ? add((loop) => loop.actual_dollars_saved) : null,
    withSpend: known((loop) => loop.actual_dollars_spent),
    gain: gains.length ? (gains[Math.floor((gains.length - 1) / 2)]! + gains[Math.floor(gains.length / 2)]!) / 2 : null,
    gains,
  };
}

const share = (part: number, whole: number): number | null => (whole ? part / whole : null);

export default function Loops() {
  const period = usePeriod();
  const { outcome, ...filters } = filtersOf(period.place, FILTERS);
  const rollbacksOnly = period.place.query.get("rollbacks") === "only";
  const length = period.until - period.since;
  const reach = period.compare ? length : 0;
  const hours = Math.ceil((Date.now() - period.since + reach) / 3_600_000) + 1;
  const events = useRead("/v1/events", { ...filters, since_hours: hours, limit: LIMIT });

  const { now, before } = useMemo(() => {
    const chosen = (events.data?.events ?? []).filter((loop) => (!outcome || outcome.split(",").includes(loop.outcome)) && (!rollbacksOnly || loop.rollback_triggered));
    // An hour belongs to the period when it ends in it: times are cut to the hour.
    const within = (loop: Loop, since: number, until: number): boolean => at(loop) + 3_600_000 > since && at(loop) + 3_600_000 <= until + 3_600_000 && at(loop) < until;
    return {
      now: chosen.filter((loop) => within(loop, period.since, period.until)),
      before: chosen.filter((loop) => at(loop) + 3_600_000 <= period.since && at(loop) + 3_600_000 > period.since - length),
    };
  }, [events.data, outcome, rollbacksOnly, period.since, period.until]);

  learn("workload_id", now.map((loop) => [loop.workload_id ?? "", loop.workload_id ?? ""]));
  learn("framework", now.map((loop) => [loop.framework ?? "", loop.framework ?? ""]));
  learn("loop_type", now.map((loop) => [loop.loop_type ?? "", loop.loop_type ?? ""]));
  learn("team", now.map((loop) => [loop.team ?? "", loop.team ?? ""]));
  learn("outcome", now.map((loop) => [loop.outcome, loop.outcome]));

  const sum = useMemo(() => sums(now), [now]);
  const past = useMemo(() => sums(before), [before]);
  const was = <T,>(value: T): T | null => (period.compare && before.length ? value : null);
  const loading = events.data === undefined;
  const lines = (value: (loop: Loop) => number): number[] => spark(now, period.since, period.until, at, value);
  const step = stepOf(period);
  const shared = { step: step.ms / 1_000, since: period.since, until: period.until };
  const id = period.place.path.split("/")[2];

  return (
    <Screen title="Loops" filters={FILTERS}>
      {events.error && !events.data ? (
        <Card title="Loops">
          <States of={events}>{() => null}</States>
        </Card>
      ) : !loading && !events.data.events.length && !Object.keys(filters).length ? (
        <ConnectOr client="loopgain" text="No loop has reported in this time range." />
      ) : (
        <>
          <Figures label="Key figures">
            <Figure loading={loading} label="Loops" value={sum.loops} before={was(past.loops)} format={compact} exact={count} spark={lines(() => 1)} meaning="Finished loops that reported, each once. Calibration runs are left out unless their team is chosen." />
            <Figure loading={loading} label="Converged" value={share(sum.converged, sum.loops)} before={was(share(past.converged, past.loops))} format={rate} more="good" note={`of ${count(sum.loops)}`} spark={lines((loop) => Number(loop.outcome === "converged"))} />
            <Figure loading={loading} label="Ended badly" value={sum.failed} before={was(past.failed)} format={compact} exact={count} more="bad" state={sum.failed ? "bad" : undefined} spark={lines((loop) => Number(failed(loop)))} meaning="Loops that diverged, oscillated, stalled or ran into the cap of iterations." />
            <Figure loading={loading} label="Past the best" value={share(sum.wasted, sum.iterationsWithBest)} before={was(share(past.wasted, past.iterationsWithBest))} format={rate} more="bad" note={`${count(sum.wasted)} iterations`} meaning="Share of iterations that ran after the best result was already there." />
            <Figure loading={loading} label="Rollbacks" value={sum.rollbacks} before={was(past.rollbacks)} format={compact} exact={count} more="bad" spark={lines((loop) => loop.rollback_triggered)} meaning="Loops that were taken back to an earlier result." />
            <Figure loading={loading} label="Saved" value={sum.dollarsSaved} before={was(past.dollarsSaved)} format={dollarsShort} exact={dollars} more="good" note={`${count(sum.saved)} iterations`} meaning="Dollars as the callers measured them, for loops that say so, against always running to the cap." />
          </Figures>
          {!loading && !now.length ? (
            <Card title="Outcomes">
              <Empty>No loop matches these filters in this time range.</Empty>
            </Card>
          ) : (
            <>
              {loading ? (
                <Card title="Outcomes over time">
                  <States of={events} height={240}>{() => null}</States>
                </Card>
              ) : (
                <ChartCard
                  title="Outcomes over time"
                  meaning="Loops by the hour in which they ran and how they ended."
                  kind="bars"
                  format={count}
                  {...colored(pivot(now, { ...shared, at, key: (loop) => loop.outcome, value: () => 1 }))}
                />
              )}
              <Card title="Outcomes" span={4} meaning="How loops ended. A click filters.">
                <States of={events}>{() => <OutcomeBars loops={now} />}</States>
              </Card>
              <Gains loops={now} loading={loading} />
              <Waste loops={now} loading={loading} />
              {!loading && (
                <>
                  <ChartCard
                    span={6}
                    title="Loop gain over time"
                    meaning="Median of each loop's largest Aβ. Below 1 errors shrink, above 1 they grow."
                    kind="line"
                    format={decimal}
                    levels={[{ at: 1, label: "Aβ = 1" }]}
                    {...medians(now, shared)}
                  />
                  <ChartCard
                    span={6}
                    title="Rollbacks and waste over time"
                    meaning="Rollbacks, and iterations that ran after the best result."
                    kind="line"
                    format={count}
                    {...pivot(
                      now.flatMap((loop) => [{ loop, kind: "Iterations past the best", n: pastBest(loop) }, { loop, kind: "Rollbacks", n: loop.rollback_triggered }]),
                      { ...shared, at: ({ loop }) => at(loop), key: ({ kind }) => kind, value: ({ n }) => n },
                    )}
                  />
                  <Workloads loops={now} />
                  <LoopTable loops={now} selected={id} truncated={events.data.events.length >= LIMIT} />
                </>
              )}
            </>
          )}
        </>
      )}
      {id && <LoopSide id={id} ids={now.map((loop) => String(loop.id))} />}
    </Screen>
  );
}

function colored(data: ReturnType<typeof pivot>): ReturnType<typeof pivot> {
  return { ...data, series: data.series.map((one) => ({ ...one, label: one.label.replaceAll("_", " "), color: outcomeColor(one.key) })) };
}

function medians(loops: readonly Loop[], { step, since, until }: { step: number; since: number; until: number }) {
  const frame = pivot(loops, { step, since, until, at, key: () => "gain", value: () => 1 });
  const values = frame.x.map((x) => sums(loops.filter((loop) => Math.floor(loop.timestamp_hour / step) * step === x)).gain);
  return { ...frame, series: [{ key: "gain", label: "Median Aβ", values }] };
}

function OutcomeBars({ loops }: { loops: readonly Loop[] }) {
  const rows = tally(loops, (loop) => loop.outcome).map((one) => ({ key: one.key, label: one.key.replaceAll("_", " ") || "no outcome", value: one.value }));
  return <Bars rows={rows} format={count} onPick={(row) => setFilter("outcome", row.key)} />;
}

/** Bands of the library's default thresholds. */
const BANDS = [
  [0.3, "fast"],
  [0.85, "converging"],
  [0.95, "stalling"],
  [1.05, "oscillating"],
] as const;

function Gains({ loops, loading }: { loops: readonly Loop[]; loading: boolean }) {
  const bins = useMemo(() => {
    const edges = Array.from({ length: 31 }, (_, index) => index * 0.05);
    return edges.map((from, index) => {
      const last = index === edges.length - 1;
      const n = loops.filter(({ profile_max: gain }) => gain !== null && gain >= from && (last || gain < from + 0.05)).length;
      return { from, n, label: last ? `Aβ of ${decimal(from)} or more` : `Aβ ${from.toFixed(2)} to ${(from + 0.05).toFixed(2)}` };
    });
  }, [loops]);
  const known = loops.filter((loop) => loop.profile_max !== null).length;
  return (
    <Card span={4} title="Loop gain" meaning="Each loop's largest Aβ. The further left, the faster errors shrink; from 1 on they do not shrink." note={`n = ${count(known)}`}>
      {loading ? <div class="skeleton" style={{ height: 168 }} /> : <Columns label="Loops by largest Aβ" bins={bins.map((bin) => ({ label: bin.label, value: bin.n, color: bin.from < 0.85 ? "--c3" : bin.from < 0.95 ? "--c2" : bin.from < 1.05 ? "--c4" : "--c6" }))} axis={["0", "0.5", "1", "1.5+"]} format={count} />}
      <p class="dim">{BANDS.map(([to, name]) => `${name} < ${to}`).join(" · ")}</p>
    </Card>
  );
}

function Waste({ loops, loading }: { loops: readonly Loop[]; loading: boolean }) {
  const known = loops.filter((loop) => loop.best_index !== null);
  const bins = Array.from({ length: 11 }, (_, past) => ({
    label: past === 10 ? "10 or more iterations past the best" : `${past} past the best`,
    value: known.filter((loop) => (past === 10 ? pastBest(loop) >= 10 : pastBest(loop) === past)).length,
    color: past === 0 ? "--c3" : "--c2",
  }));
  return (
    <Card span={4} title="Waste past the best" meaning="How many iterations loops ran after their best result." note={`n = ${count(known.length)}`}>
      {loading ? <div class="skeleton" style={{ height: 168 }} /> : <Columns label="Loops by iterations past the best" bins={bins} axis={["0", "5", "10+"]} format={count} />}
      <p class="dim">
        {count(known.filter((loop) => pastBest(loop) > 0).length)} of {count(known.length)} loops ran on after their best.
      </p>
    </Card>
  );
}

interface WorkloadRow extends ReturnType<typeof sums> {
  name: string | null;
  last: number;
}

const WORKLOADS: readonly Column<WorkloadRow>[] = [
  { id: "workload", title: "Workload", value: (row) => row.name, show: (row) => row.name ?? <span class="dim">not named</span> },
  { id: "loops", title: "Loops", numeric: true, value: (row) => row.loops, show: (row) => count(row.loops) },
  { id: "converged", title: "Converged", numeric: true, value: (row) => share(row.converged, row.loops), show: (row) => rate(share(row.converged, row.loops)) },
  { id: "failed", title: "Ended badly", numeric: true, value: (row) => row.failed, show: (row) => count(row.failed) },
  { id: "gain", title: "Median Aβ", numeric: true, value: (row) => row.gain, show: (row) => fixed(row.gain) },
  { id: "iterations", title: "Iterations per loop", numeric: true, value: (row) => share(row.iterations, row.loops), show: (row) => fixed(share(row.iterations, row.loops)) },
  { id: "wasted", title: "Past the best", numeric: true, value: (row) => share(row.wasted, row.iterationsWithBest), show: (row) => rate(share(row.wasted, row.iterationsWithBest)) },
  { id: "rollbacks", title: "Rollbacks", numeric: true, value: (row) => row.rollbacks, show: (row) => count(row.rollbacks) },
  { id: "spent", title: "Spent", numeric: true, value: (row) => row.spent, show: (row) => dollars(row.spent) },
  { id: "last", title: "Last", numeric: true, value: (row) => row.last, show: (row) => <span title={utc(row.last)}>{day(row.last)}</span> },
];

function Workloads({ loops }: { loops: readonly Loop[] }) {
  const rows = useMemo(
    () =>
      tally(loops, (loop) => loop.workload_id).map(({ key }): WorkloadRow => {
        const own = loops.filter((loop) => (loop.workload_id ?? "") === key);
        return { ...sums(own), name: key || null, last: Math.max(...own.map(at)) };
      }),
    [loops],
  );
  return (
    <Card title="Workloads" flush meaning="One row per workload. A click filters." tools={<IconButton icon="download" label="Download CSV" onClick={() => download("workloads", WORKLOADS.map((one) => one.title), cells(WORKLOADS, rows))} />}>
      <DataTable label="Workloads" rows={rows} columns={WORKLOADS} rowKey={(row) => row.name ?? ""} sort="-loops" page={10} open={(row) => href(undefined, { workload_id: row.name })} />
    </Card>
  );
}

const LOOPS: readonly Column<Loop>[] = [
  { id: "time", title: "Hour", value: (loop) => new Date(at(loop)).toISOString(), show: (loop) => <span title={utc(at(loop))}>{moment(at(loop))}</span> },
  { id: "workload", title: "Workload", value: (loop) => loop.workload_id, show: (loop) => loop.workload_id ?? <span class="dim">not named</span> },
  { id: "outcome", title: "Outcome", value: (loop) => loop.outcome, show: (loop) => <Outcome name={loop.outcome} /> },
  { id: "team", title: "Team", value: (loop) => loop.team, show: (loop) => loop.team ?? "–" },
  { id: "gain", title: "Largest Aβ", numeric: true, value: (loop) => loop.profile_max, show: (loop) => fixed(loop.profile_max) },
  { id: "iterations", title: "Iterations", numeric: true, value: (loop) => loop.iterations_used, show: (loop) => count(loop.iterations_used) },
  { id: "past", title: "Past the best", numeric: true, value: (loop) => (loop.best_index === null ? null : pastBest(loop)), show: (loop) => count(loop.best_index === null ? null : pastBest(loop)) },
  { id: "rollback", title: "Rollback", value: (loop) => loop.rollback_triggered, show: (loop) => (loop.rollback_triggered ? "yes" : "–") },
  { id: "spent", title: "Spent", numeric: true, value: (loop) => loop.actual_dollars_spent, show: (loop) => dollars(loop.actual_dollars_spent) },
  { id: "version", title: "Library", value: (loop) => loop.library_version },
];

function LoopTable({ loops, selected, truncated }: { loops: readonly Loop[]; selected: string | undefined; truncated: boolean }) {
  const [view, setView] = useState<"all" | "failed" | "rollbacks">("all");
  const rows = loops.filter((loop) => view === "all" || (view === "failed" ? failed(loop) : loop.rollback_triggered));
  return (
    <Card
      title="Loops"
      flush
      note={truncated ? `the newest ${count(LIMIT)}` : count(rows.length)}
      tools={
        <>
          <Segments label="Which loops" value={view} onChange={setView} options={[["all", "All"], ["failed", "Ended badly"], ["rollbacks", "Rolled back"]]} />
          <IconButton icon="download" label="Download CSV" onClick={() => download("loops", ["id", ...LOOPS.map((one) => one.title)], rows.map((loop) => [loop.id, ...cells(LOOPS, [loop])[0]!]))} />
        </>
      }
    >
      {rows.length ? <DataTable label="Loops" rows={rows} columns={LOOPS} rowKey={(loop) => String(loop.id)} sort="-time" page={25} selected={selected} open={(loop) => href(`/loops/${loop.id}`)} /> : <Empty>No such loop in this time range.</Empty>}
    </Card>
  );
}
