/** Product: who uses it, where they fail, who comes back. */
import type { UseQueryResult } from "@tanstack/preact-query";
import { useRead, type ApiError, type Rows } from "../lib/api";
import { download } from "../lib/csv";
import { filtersOf, learn, setFilter } from "../lib/filters";
import { compact, count, MISSING, rate, seconds, utcDay, words } from "../lib/format";
import { usePeriod } from "../lib/period";
import { go } from "../lib/place";
import { pivot } from "../lib/series";
import { newVersions } from "../lib/versions";
import { Bars } from "../ui/bars";
import { Card, IconButton, Segments, States } from "../ui/card";
import { ChartCard, fileName, type Marker } from "../ui/chart";
import { Figure, Figures } from "../ui/figures";
import { Screen } from "../ui/screen";
import { cells, DataTable, type Column } from "../ui/table";
import { ConnectOr } from "./connect";
import { FILTERS_OF } from "./filters";

type Active = Extract<Rows<"/api/analytics/active-users">[number], { pairs: number }>;
type Module = { module: string; events: number; errors: number; installations: number };
type Problem = Rows<"/api/analytics/errors">[number];
type Cohort = Rows<"/api/analytics/retention">[number];
type Turns = Extract<Rows<"/api/analytics/sessions">[number], { turns: number; ended: number }>;
type Stop = Extract<Rows<"/api/analytics/sessions">[number], { stop_reason: string }>;
type Tool = Extract<Rows<"/api/analytics/sessions">[number], { tool_name: string }>;
type Step = Extract<Rows<"/api/analytics/funnel">[number], { seen: number }>;

const FILTERS = FILTERS_OF["/product"]!;
const VIEWS = [["contract", "As the client counts"], ["corrected", "Corrected"]] as const;
const AUDIENCES = [["all", "All"], ["ordinary", "Own chats"], ["always_on", "Always on"]] as const;
const dayOf = (text: string): number => Date.parse(`${text}T00:00:00Z`);

export default function Product() {
  const period = usePeriod();
  const { query } = period.place;
  const view = (query.get("view") ?? "contract") as "contract" | "corrected";
  const audience = (query.get("audience") ?? "all") as "all" | "ordinary" | "always_on";
  const filters = { ...filtersOf(period.place, FILTERS), ...(audience === "all" ? {} : { audience }) };
  const params = { ...period.wire, ...filters, limit: 5_000 };
  const before = { ...period.before, ...filters };
  const daily = useRead("/api/analytics/active-users", { ...params, period: "day" });
  const whole = useRead("/api/analytics/active-users", { ...params, period: "window" });
  const past = useRead("/api/analytics/active-users", { ...before, period: "window" }, { enabled: period.compare });
  const total = useRead("/api/analytics/sessions", { ...params, view, by: "total" });
  const totalBefore = useRead("/api/analytics/sessions", { ...before, view, by: "total" }, { enabled: period.compare });

  const byDay = useRead("/api/analytics/sessions", { ...params, view, by: "day" });
  const versions = useRead("/api/analytics/versions", { limit: 500 }, { poll: 60_000 });
  const markers = newVersions((versions.data?.data ?? []).map((one) => ({ label: one.version, at: dayOf(one.first_day) })), period.since, period.until);

  const now = whole.data?.data[0] as Active | undefined;
  const was = period.compare ? (past.data?.data[0] as Active | undefined) : undefined;
  const turns = total.data?.data[0] as Turns | undefined;
  const turnsWere = period.compare ? (totalBefore.data?.data[0] as Turns | undefined) : undefined;
  const nothing = daily.data && total.data && !daily.data.data.length && !total.data.data.length && !Object.keys(filters).length;
  const loading = !whole.data && !whole.error;
  const waiting = !total.data && !total.error;

  return (
    <Screen title="Product" filters={FILTERS}>
      {nothing ? (
        <ConnectOr client="analytics" text="No installation has reported in this time range." />
      ) : (
        <>
          <div class="toolbar">
            <Segments label="How to count" value={view} onChange={(next) => go(undefined, { view: next === "contract" ? null : next })} options={VIEWS} />
            <Segments label="Whose use" value={audience} onChange={(next) => go(undefined, { audience: next === "all" ? null : next })} options={AUDIENCES} />
            <span class="dim">{view === "contract" ? "By the contract's own formulas." : "Allows for what the client really sends: each error once, scheduled runs apart."}</span>
          </div>
          <Figures label="Key figures">
            <Figure loading={loading} label="Installations" value={now?.installations ?? 0} before={was?.installations} format={compact} exact={count} more="good" note={now && `${count(now.instances)} instances`} spark={((daily.data?.data ?? []) as Active[]).map((one) => one.installations)} meaning="Different installation ids. Too low where many machines report one id." />
            <Figure loading={waiting} label="Sessions" value={turns?.sessions ?? 0} before={turnsWere?.sessions} format={compact} exact={count} more="good" note={turns && `${compact(turns.turns)} turns`} />
            <Figure loading={waiting} label="Turns completed" value={turns?.success_rate} before={turnsWere?.success_rate} format={rate} more="good" note={`of ${count(turns?.ended)}`} />
            <Figure loading={waiting} label="Tool errors" value={turns?.tool_error_rate} before={turnsWere?.tool_error_rate} format={rate} more="bad" note={`of ${compact(turns?.tool_calls)}`} />
            <Figure loading={waiting} label="Median turn" value={turns?.seconds_p50} before={turnsWere?.seconds_p50} format={seconds} more="bad" note={`95 % within ${seconds(turns?.seconds_p95)}`} />
          </Figures>
          <ActiveChart daily={daily} period={period} markers={markers} />
          <Variants whole={whole} past={past} compare={period.compare} />
          <FailureChart daily={byDay} period={period} markers={markers} />
          <Funnel params={params} />
          <Modules params={{ ...params, view }} />
          <Errors params={{ ...params, view }} />
          <Retention params={{ ...params, view }} />
          <Versions params={{ ...params, view }} />
          <StopReasons params={{ ...params, view }} />
          <Tools params={{ ...params, view }} />
        </>
      )}
    </Screen>
  );
}

type Params = Readonly<Record<string, string | number>>;
type ActiveRead = ReturnType<typeof useRead<"/api/analytics/active-users">>;

const VARIANTS = [
  ["installations", "Installations", "Different installation ids: the contract's number. Too low where many machines share one id."],
  ["unshared", "Without shared ids", "Installations without the ids that are known to be shared by many machines."],
  ["pairs", "Installation and instance", "Different pairs of installation and instance."],
  ["instances", "Instances", "Different instance ids: the contract's number."],
  ["shared_sessions", "Sessions behind shared ids", "At least one user stands for the first of them."],
  ["all_versions", "Every version", "Installations with any event of any version of the format."],
] as const;

interface OverTime {
  period: ReturnType<typeof usePeriod>;
  markers: readonly Marker[];
}

function ActiveChart({ daily, period, markers }: { daily: ActiveRead } & OverTime) {
  const rows = (daily.data?.data ?? []) as Active[];
  if (!rows.length)
    return (
      <Card title="Active installations" span={8}>
        <States of={daily} height={220} isEmpty={() => true} empty="No installation was active in this time range.">
          {() => null}
        </States>
      </Card>
    );
  const shown = VARIANTS.filter(([key]) => key === "installations" || key === "unshared" || key === "pairs");
  const data = pivot(rows.flatMap((row) => shown.map(([key, label]) => ({ at: dayOf(row.period), key, label, n: row[key] }))), { at: (one) => one.at, key: (one) => one.key, label: (one) => one.label, value: (one) => one.n, step: 86_400, since: period.since, until: period.until });
  return <ChartCard title="Active installations" span={8} meaning="Per UTC day, counted three ways: as the contract says, without ids that many machines share, and by pairs of installation and instance." kind="line" format={count} markers={markers} {...data} series={data.series.map((one) => (one.key === "installations" ? one : { ...one, dashed: true }))} />;
}

const RATES = [["tools", "Tool calls that failed"], ["turns", "Turns not completed"]] as const;

function FailureChart({ daily, period, markers }: { daily: ReturnType<typeof useRead<"/api/analytics/sessions">> } & OverTime) {
  const rows = (daily.data?.data ?? []) as Turns[];
  if (!rows.length) return null;
  const points = rows.flatMap((row) => RATES.map(([key, label]) => ({ at: dayOf(row.key), key, label, n: key === "tools" ? row.tool_error_rate : row.success_rate === null ? null : 1 - row.success_rate })));
  const data = pivot(points, { at: (one) => one.at, key: (one) => one.key, label: (one) => one.label, value: (one) => one.n, step: 86_400, since: period.since, until: period.until, missing: null });
  return <ChartCard title="Failures over time" meaning="Per UTC day. Dashed marks: the first day of a new version." kind="line" height={180} format={rate} markers={markers} {...data} />;
}

function Variants({ whole, past, compare }: { whole: ActiveRead; past: ActiveRead; compare: boolean }) {
  return (
    <Card title="Counted in every way" span={4} flush meaning="The same time range, counted in every honest way, side by side.">
      <States of={whole} height={220} isEmpty={(page) => !page.data.length}>
        {(page) => {
          const now = page.data[0] as Active;
          const before = compare ? (past.data?.data[0] as Active | undefined) : undefined;
          return (
            <table>
              <thead>
                <tr>
                  <th scope="col">Variant</th>
                  <th scope="col" class="num">Now</th>
                  {before && <th scope="col" class="num">Before</th>}
                </tr>
              </thead>
              <tbody>
                {VARIANTS.map(([key, label, meaning]) => (
                  <tr key={key} title={meaning}>
                    <td>{label}</td>
                    <td class="num">{count(now[key])}</td>
                    {before && <td class="num dim">{count(before[key])}</td>}
                  </tr>
                ))}
              </tbody>
            </table>
          );
        }}
      </States>
    </Card>
  );
}

function Funnel({ params }: { params: Params }) {
  const funnel = useRead("/api/analytics/funnel", { ...params, by: "session" });
  return (
    <Card title="Steps of a session" span={6} meaning="How many sessions came through each step of the agent loop and all steps before it.">
      <States of={funnel} isEmpty={(page) => !page.data.length}>
        {(page) => {
          const steps = page.data as Step[];
          const first = steps[0]?.sessions || 1;
          return (
            <div class="steps" role="table" aria-label="Steps of a session">
              {steps.map((step, index) => {
                const lost = index ? steps[index - 1]!.sessions - step.sessions : 0;
                return (
                  <div class="step" role="row" key={step.loop_stage} title={`${count(step.seen)} sessions had this step at all`}>
                    <span role="cell">{words(step.loop_stage)}</span>
                    <span class="track" role="presentation">
                      <div style={{ width: `${(100 * step.sessions) / first}%` }} />
                    </span>
                    <span role="cell" class="loss">
                      {count(step.sessions)} · {rate(step.conversion)}
                      {lost > 0 && <span> · −{count(lost)}</span>}
                    </span>
                  </div>
                );
              })}
            </div>
          );
        }}
      </States>
    </Card>
  );
}

function Modules({ params }: { params: Params }) {
  const modules = useRead("/api/analytics/modules", params);
  const rows = (modules.data?.data ?? []) as Module[];
  learn("module", rows.map((one) => [one.module, one.module]));
  return (
    <Card title="Modules" span={6} meaning="Events of each module. A click filters." tools={<IconButton icon="download" label="Download CSV" onClick={() => download("modules", ["module", "events", "errors", "installations"], rows.map((one) => [one.module, one.events, one.errors, one.installations]))} />}>
      <States of={modules} isEmpty={(page) => !page.data.length}>
        {() => <Bars rows={rows.map((one) => ({ key: one.module, label: one.module || "not named", value: one.events, title: `${count(one.installations)} installations, ${count(one.errors)} errors` }))} format={compact} onPick={(row) => setFilter("module", row.key)} />}
      </States>
    </Card>
  );
}

const ERRORS: readonly Column<Problem>[] = [
  { id: "category", title: "Category", value: (one) => one.error_category, show: (one) => words(one.error_category) || MISSING },
  { id: "code", title: "Code", value: (one) => one.code, show: (one) => <code>{one.code || MISSING}</code> },
  { id: "module", title: "Module", value: (one) => one.module },
  { id: "provider", title: "Provider", value: (one) => one.provider, show: (one) => one.provider || MISSING },
  { id: "model", title: "Model", value: (one) => one.model, show: (one) => one.model || MISSING },
  { id: "errors", title: "Errors", numeric: true, value: (one) => one.errors, show: (one) => count(one.errors) },
  { id: "installations", title: "Installations", numeric: true, value: (one) => one.installations, show: (one) => count(one.installations) },
];

function Listed<T>({ title, meaning, read, rows, columns, sort, rowKey, span = 12, empty }: { title: string; meaning: string; read: UseQueryResult<{ data: readonly unknown[] }, ApiError>; rows: readonly T[]; columns: readonly Column<T>[]; sort: string; rowKey: (row: T) => string; span?: 6 | 12; empty?: string }) {
  return (
    <Card title={title} span={span} flush meaning={meaning} tools={<IconButton icon="download" label="Download CSV" onClick={() => download(fileName(title), columns.map((one) => one.title), cells(columns, rows))} />}>
      <States of={read} isEmpty={(page) => !page.data.length} {...(empty ? { empty } : {})}>
        {() => <DataTable label={title} rows={rows} columns={columns} rowKey={rowKey} sort={sort} page={8} />}
      </States>
    </Card>
  );
}

function Errors({ params }: { params: Params }) {
  const errors = useRead("/api/analytics/errors", params);
  return <Listed title="Errors" meaning="What goes wrong, most frequent first." read={errors} rows={errors.data?.data ?? []} columns={ERRORS} sort="-errors" rowKey={(one) => [one.error_category, one.code, one.module, one.provider, one.model].join("\0")} empty="No error in this time range." />;
}

function Retention({ params }: { params: Params }) {
  const retention = useRead("/api/analytics/retention", params);
  return (
    <Card title="Who comes back" span={12} meaning="Of the installations first seen in a week, the share that was active that many weeks later." tools={<IconButton icon="download" label="Download CSV" onClick={() => download("retention", ["cohort", "week", "size", "active", "rate"], (retention.data?.data ?? []).map((one) => [one.cohort, one.week, one.size, one.active, one.rate]))} />}>
      <States of={retention} isEmpty={(page) => !page.data.length} empty="No installation was first seen in this time range. A longer range shows more weeks.">
        {(page) => <Cohorts rows={page.data} />}
      </States>
    </Card>
  );
}

function Cohorts({ rows }: { rows: readonly Cohort[] }) {
  const weeks = Math.max(...rows.map((one) => one.week)) + 1;
  const cohorts = [...new Set(rows.map((one) => one.cohort))];
  const at = new Map(rows.map((one) => [`${one.cohort} ${one.week}`, one]));
  return (
    <div class="grid-scroll" tabIndex={0} role="region" aria-label="Retention by week">
      <table class="cohorts">
        <thead>
          <tr>
            <th scope="col">First seen in the week of</th>
            <th scope="col">Size</th>
            {Array.from({ length: weeks }, (_, week) => (
              <th scope="col" key={week}>{week ? `+${week}` : "week 0"}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {cohorts.map((cohort) => (
            <tr key={cohort}>
              <th scope="row">{utcDay(dayOf(cohort))}</th>
              <td>{count(at.get(`${cohort} 0`)?.size)}</td>
              {Array.from({ length: weeks }, (_, week) => {
                const one = at.get(`${cohort} ${week}`);
                const future = dayOf(cohort) + week * 7 * 86_400_000 > Date.now();
                if (future) return <td key={week} />;
                const share = one?.rate ?? 0;
                return (
                  <td key={week}>
                    <span title={`${count(one?.active ?? 0)} of ${count(at.get(`${cohort} 0`)?.size)}`} style={{ background: `color-mix(in srgb, var(--heat-1) ${Math.round(share * 100)}%, var(--heat-0))`, color: share > 0.5 ? "var(--on-accent)" : "var(--text)" }}>
                      {Math.round(share * 100)}
                    </span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const VERSIONS: readonly Column<Turns>[] = [
  { id: "key", title: "Version", value: (one) => one.key, show: (one) => (one.key ? <button type="button" class="link" onClick={() => setFilter("version", one.key)}>{one.key}</button> : <span class="dim">not named</span>) },
  { id: "installations", title: "Installations", numeric: true, value: (one) => one.installations, show: (one) => count(one.installations) },
  { id: "turns", title: "Turns", numeric: true, value: (one) => one.turns, show: (one) => count(one.turns) },
  { id: "success", title: "Completed", numeric: true, value: (one) => one.success_rate, show: (one) => rate(one.success_rate) },
  { id: "tools", title: "Tool errors", numeric: true, value: (one) => one.tool_error_rate, show: (one) => rate(one.tool_error_rate) },
  { id: "p50", title: "Median turn", numeric: true, value: (one) => one.seconds_p50, show: (one) => seconds(one.seconds_p50) },
];

function Versions({ params }: { params: Params }) {
  const versions = useRead("/api/analytics/sessions", { ...params, by: "version" });
  const rows = (versions.data?.data ?? []) as Turns[];
  learn("version", rows.map((one) => [one.key, one.key]));
  return <Listed title="Versions" span={12} meaning="How each release of the application does." read={versions} rows={rows} columns={VERSIONS} sort="-installations" rowKey={(one) => one.key} />;
}

function StopReasons({ params }: { params: Params }) {
  const reasons = useRead("/api/analytics/sessions", { ...params, by: "stop_reason" });
  return (
    <Card title="Why turns end" span={6} meaning="Stop reasons of turns that say one.">
      <States of={reasons} isEmpty={(page) => !page.data.length}>
        {(page) => <Bars rows={(page.data as Stop[]).map((one) => ({ key: one.stop_reason, label: words(one.stop_reason), value: one.turns, share: one.share }))} format={count} />}
      </States>
    </Card>
  );
}

const TOOLS: readonly Column<Tool>[] = [
  { id: "tool", title: "Tool", value: (one) => one.tool_name },
  { id: "calls", title: "Calls", numeric: true, value: (one) => one.calls, show: (one) => count(one.calls) },
  { id: "errors", title: "Errors", numeric: true, value: (one) => one.errors, show: (one) => count(one.errors) },
  { id: "rate", title: "Error rate", numeric: true, value: (one) => one.error_rate, show: (one) => rate(one.error_rate) },
];

function Tools({ params }: { params: Params }) {
  const tools = useRead("/api/analytics/sessions", { ...params, by: "tool" });
  return <Listed title="Tools" span={6} meaning="Calls of each tool and how many failed." read={tools} rows={(tools.data?.data ?? []) as Tool[]} columns={TOOLS} sort="-calls" rowKey={(one) => one.tool_name} />;
}
