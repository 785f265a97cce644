/** Flags: how fast resolves are, why they end as they do, and which resolver or version is to blame. */
import { useRead, type Rows } from "../lib/api";
import { filtersOf, learn, setFilter } from "../lib/filters";
import { ago, compact, count, microseconds, rate, words } from "../lib/format";
import { usePeriod, zoomTo } from "../lib/period";
import { pivot, spark, tally } from "../lib/series";
import { newVersions } from "../lib/versions";
import { Bars, type BarRow } from "../ui/bars";
import { Card, Segments, States } from "../ui/card";
import { ChartCard } from "../ui/chart";
import { Figure, Figures } from "../ui/figures";
import { HeatMap } from "../ui/heat";
import { Screen } from "../ui/screen";
import { DataTable, type Column } from "../ui/table";
import { go } from "../lib/place";
import { ConnectOr } from "./connect";
import { FILTERS_OF } from "./filters";

type Latency = Rows<"/api/flags/latency">[number];
type Resolves = Rows<"/api/flags/resolves">[number];
type Counted = Rows<"/api/flags/counts">[number];

const FILTERS = FILTERS_OF["/flags"]!;
const HOUR = 3_600_000;
const when = (row: { at: string }): number => Date.parse(row.at);

/** A percentile over several steps, from their histograms. */
export function quantile(rows: readonly Latency[], q: number): number | null {
  const buckets = new Map<number, number>();
  for (const row of rows) for (const bucket of row.buckets) buckets.set(bucket.below_us, (buckets.get(bucket.below_us) ?? 0) + bucket.count);
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const total = sorted.reduce((sum, [, n]) => sum + n, 0);
  let below = 0;
  for (const [bound, n] of sorted) if ((below += n) >= q * total) return total ? bound : null;
  return null;
}

const sum = (rows: readonly Resolves[]): { resolves: number; errors: number } => rows.reduce((all, row) => ({ resolves: all.resolves + row.resolves, errors: all.errors + row.errors }), { resolves: 0, errors: 0 });
const errorRate = ({ resolves, errors }: { resolves: number; errors: number }): number | null => (resolves ? errors / resolves : null);

export default function Flags() {
  const period = usePeriod();
  const filters = filtersOf(period.place, FILTERS);
  const by = (period.place.query.get("by") ?? "resolver") as "resolver" | "sdk" | "version";
  const params = { ...period.wire, ...filters, limit: 20_000 };
  const past = { ...period.before, ...filters, limit: 20_000 };
  const latency = useRead("/api/flags/latency", params);
  const latencyBefore = useRead("/api/flags/latency", past, { enabled: period.compare });
  const resolves = useRead("/api/flags/resolves", params);
  const resolvesBefore = useRead("/api/flags/resolves", past, { enabled: period.compare });
  const each = useRead("/api/flags/latency", { ...params, by });
  const eachResolves = useRead("/api/flags/resolves", { ...params, by });
  const counts = useRead("/api/flags/counts", { limit: 100 });
  const versions = useRead("/api/flags/versions", { limit: 500 }, { poll: 60_000 });

  const points = latency.data?.data ?? [];
  const rows = resolves.data?.data ?? [];
  const total = sum(rows);
  const before = period.compare && resolvesBefore.data ? sum(resolvesBefore.data.data) : null;
  const slow = (q: number): number | null => (period.compare && latencyBefore.data ? quantile(latencyBefore.data.data, q) : null);
  const step = stepSeconds(period);
  const frame = { step, since: period.since, until: period.until, at: when };
  const seen = (versions.data?.data ?? []).map((one) => ({ label: one.key.split(" ").at(-1) ?? one.key, at: Date.parse(one.first_at) }));
  const markers = newVersions(seen, period.since, period.until);
  const began = Math.min(...seen.map((one) => one.at));
  const nothing = latency.data && resolves.data && !points.length && !rows.length && !Object.keys(filters).length;

  learn("resolver", by === "resolver" ? (each.data?.data ?? []).map((row) => [row.key, row.key]) : []);
  learn("sdk", by === "sdk" ? (each.data?.data ?? []).map((row) => [row.key, row.key]) : []);

  return (
    <Screen title="Flags" filters={FILTERS}>
      {nothing ? (
        <ConnectOr client="confidence,prometheus" text="No flag resolver has reported in this time range." />
      ) : (
        <>
          <Figures label="Key figures">
            <Figure loading={!resolves.data && !resolves.error} label="Resolves" value={total.resolves} before={before?.resolves} format={compact} exact={count} spark={spark(rows, period.since, period.until, when, (row) => row.resolves)} />
            <Figure loading={!resolves.data && !resolves.error} label="Error rate" value={errorRate(total)} before={before && errorRate(before)} format={rate} more="bad" note={`${count(total.errors)} failed`} spark={spark(rows, period.since, period.until, when, (row) => row.errors)} meaning="Resolves whose reason means that something is wrong. No match and an archived flag are ordinary." />
            <Figure loading={!latency.data && !latency.error} label="Median" value={quantile(points, 0.5)} before={slow(0.5)} format={microseconds} more="bad" meaning="Half of all resolves were faster. Upper end of the histogram's bucket." />
            <Figure loading={!latency.data && !latency.error} label="90 % within" value={quantile(points, 0.9)} before={slow(0.9)} format={microseconds} more="bad" />
            <Figure loading={!latency.data && !latency.error} label="99 % within" value={quantile(points, 0.99)} before={slow(0.99)} format={microseconds} more="bad" note={`n = ${compact(points.reduce((all, row) => all + row.count, 0))}`} />
          </Figures>
          {points.length > 0 && began < period.until && period.until - began < (period.until - period.since) / 8 && (
            <p class="dim">
              Resolvers were first heard of {ago(began)}.{" "}
              <button type="button" class="link" onClick={() => zoomTo(began / 1_000 - 60, period.until / 1_000)}>
                Look at that time only
              </button>
            </p>
          )}
          <HeatMap title="Latency" read={latency} rows={points} frame={frame} markers={markers} />
          {rows.length > 0 ? (
            <>
              <ChartCard span={6} title="Resolves by reason" meaning="How resolves ended." kind="bars" format={compact} markers={markers} {...pivot(rows.flatMap((row) => Object.entries(row.reasons).map(([reason, n]) => ({ at: row.at, reason, n }))), { ...frame, key: (one) => one.reason, label: (one) => words(one.reason.replace("RESOLVE_REASON_", "").toLowerCase()), value: (one) => one.n })} />
              <ChartCard span={6} title="Error rate" meaning="Share of resolves that failed." kind="line" format={rate} markers={markers} {...pivot(rows, { ...frame, missing: null, key: () => "rate", label: () => "Error rate", value: (row) => row.error_rate })} />
            </>
          ) : (
            <Card title="Resolves by reason">
              <States of={resolves} isEmpty={() => true} empty="No resolve in this time range.">
                {() => null}
              </States>
            </Card>
          )}
          <Card title="Who is slow" flush meaning="Latency and errors by resolver, SDK or version. A click filters." tools={<Segments label="By" value={by} onChange={(value) => go(undefined, { by: value === "resolver" ? null : value })} options={[["resolver", "Resolver"], ["sdk", "SDK"], ["version", "Version"]]} />}>
            <States of={each} isEmpty={(page) => !page.data.length}>
              {(page) => <Each latency={page.data} resolves={eachResolves.data?.data ?? []} by={by} />}
            </States>
          </Card>
          <Card title="Variants given" meaning="Since counting began; totals never expire. Shares are of all that the same flag gave.">
            <States of={counts} isEmpty={(page) => !page.data.length} empty="No variant was counted yet.">
              {(page) => <Bars rows={variants(page.data)} format={compact} />}
            </States>
          </Card>
        </>
      )}
    </Screen>
  );
}

/** The variants of a flag stand together, the flag given most first. */
function variants(rows: readonly Counted[]): BarRow[] {
  const given = new Map(tally(rows, (one) => one.flag, (one) => one.count).map((one) => [one.key, one.value]));
  return [...given.keys()].flatMap((flag) =>
    rows.filter((one) => one.flag === flag).map((one) => ({ key: `${flag} ${one.name}`, label: `${short(flag)} → ${short(one.name)}`, value: one.count, share: one.count / given.get(flag)!, title: `${flag} → ${one.name}` })),
  );
}

const short = (name: string): string => name.split("/").at(-1) ?? name;

function stepSeconds({ since, until }: { since: number; until: number }): number {
  const span = until - since;
  return span <= 6 * HOUR + 60_000 ? 60 : span <= 14 * 24 * HOUR + 60_000 ? 3_600 : 86_400;
}

interface EachRow {
  key: string;
  rows: Latency[];
  count: number;
  resolves: number;
  errors: number;
}

function Each({ latency, resolves, by }: { latency: readonly Latency[]; resolves: readonly Resolves[]; by: "resolver" | "sdk" | "version" }) {
  const keys = [...new Set([...latency, ...resolves].map((row) => row.key))];
  const rows = keys.map((key): EachRow => {
    const own = latency.filter((row) => row.key === key);
    return { key, rows: own, count: own.reduce((all, row) => all + row.count, 0), ...sum(resolves.filter((row) => row.key === key)) };
  });
  const columns: readonly Column<EachRow>[] = [
    { id: "key", title: words(by), value: (row) => row.key, show: (row) => (by === "version" ? row.key : <button type="button" class="link" onClick={() => setFilter(by, row.key)}>{row.key || "not named"}</button>) },
    { id: "count", title: "Measured", numeric: true, value: (row) => row.count, show: (row) => count(row.count) },
    ...([0.5, 0.9, 0.99] as const).map((q): Column<EachRow> => ({ id: `p${q}`, title: q === 0.5 ? "Median" : `${q * 100} % within`, numeric: true, value: (row) => quantile(row.rows, q), show: (row) => microseconds(quantile(row.rows, q)) })),
    { id: "resolves", title: "Resolves", numeric: true, value: (row) => row.resolves, show: (row) => count(row.resolves) },
    { id: "errors", title: "Error rate", numeric: true, value: (row) => errorRate(row), show: (row) => rate(errorRate(row)) },
  ];
  return <DataTable label="Who is slow" rows={rows} columns={columns} rowKey={(row) => row.key} sort="-count" page={15} />;
}
