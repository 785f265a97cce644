/** Overview: is data arriving, what was spent, is anything broken. */
import { useRead, type Answer, type Rows } from "../lib/api";
import { ago, compact, count, dollars, dollarsShort, duration, instant, rate, shortRepo, utc, words } from "../lib/format";
import { stepOf, usePeriod, type Period } from "../lib/period";
import { href } from "../lib/place";
import { pivot, spark, tally } from "../lib/series";
import { Card, Empty, States } from "../ui/card";
import { ChartCard } from "../ui/chart";
import { Figure, Figures } from "../ui/figures";
import { Screen } from "../ui/screen";
import { DataTable, type Column } from "../ui/table";
import { ConnectCards } from "./connect";
import { at, failed, sums } from "./loops";

type Client = Answer<"/api/system">["clients"][number];
type Arrived = Rows<"/api/arrivals">[number];
type Spent = Rows<"/api/cost-trend">["points"][number];

const HOUR = 3_600_000;

export default function Overview() {
  const period = usePeriod();
  const system = useRead("/api/system");
  const arrivals = useRead("/api/arrivals", { ...period.wire, limit: 20_000 });
  const before = useRead("/api/arrivals", { ...period.before, limit: 20_000 }, { enabled: period.compare });
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const today = useRead("/api/cost-trend", { since: midnight.toISOString(), step: "hour" });
  const people = useRead("/api/active-users", period.wire);
  const loops = useRead("/v1/events", { since_hours: Math.ceil((Date.now() - period.since) / HOUR) + 1, limit: 50_000 });

  const rows = arrivals.data?.data ?? [];
  const total = rows.reduce((sum, row) => sum + row.items, 0);
  const past = (before.data?.data ?? []).reduce((sum, row) => sum + row.items, 0);
  const inRange = (loops.data?.events ?? []).filter((loop) => at(loop) >= period.since - HOUR && at(loop) < period.until);
  const loopSums = sums(inRange);
  const queue = system.data?.installation?.queue_messages;
  // Only asked where nothing is shown: whether anything has ever arrived.
  const ever = useRead("/api/arrivals", { since: "3650d", step: "day", limit: 1 }, { enabled: arrivals.data !== undefined && !rows.length });
  const never = !rows.length && ever.data?.data.length === 0;
  const spend = useRead("/api/cost-trend", { ...period.wire, by: "repo", step: stepOf(period).name });
  const spent = spend.data?.data.points ?? [];

  return (
    <Screen title="Overview">
      <Figures label="Key figures">
        <Figure loading={!arrivals.data && !arrivals.error} label="Arrived" value={arrivals.data ? total : null} before={period.compare ? past : null} format={compact} exact={count} spark={spark(rows, period.since, period.until, (row) => Date.parse(row.at), (row) => row.items)} meaning="Items that were stored, by the time at which they arrived." note={arrivals.data && `${new Set(rows.map((row) => row.contract)).size} kinds`} />
        <Figure loading={!today.data && !today.error} label="Spend today" value={today.data?.data.total_usd} format={dollarsShort} exact={dollars} note="since midnight" spark={spark(spent, period.since, period.until, (one) => instant(one.bucket), (one) => one.cost_usd)} meaning="Cost that agents reported or that was estimated from prices, since midnight in your zone." />
        <Figure loading={!people.data && !people.error} label="Active users" value={people.data?.data.wau} before={period.compare ? people.data?.data.previous_wau : null} format={count} more="good" note={people.data && `${count(people.data.data.dau)} on the last day`} spark={(people.data?.data.points ?? []).map((one) => one.dau)} meaning="People with any agent activity in the last seven days of the range." />
        <Figure loading={!loops.data && !loops.error} label="Failing loops" value={loops.data ? loopSums.failed : null} format={compact} exact={count} state={loopSums.failed ? "bad" : undefined} spark={spark(inRange.filter(failed), period.since, period.until, at)} note={loops.data && !loopSums.loops ? "no loop reported" : loops.data && `${rate(loopSums.loops ? loopSums.failed / loopSums.loops : null)} of ${count(loopSums.loops)}`} meaning="Loops that diverged, oscillated, stalled or ran into the cap." />
        <Figure loading={!system.data && !system.error} label="Lag" value={system.data ? system.data.lag_seconds * 1_000 : null} format={duration} state={(system.data?.lag_seconds ?? 0) > 60 ? "bad" : undefined} note={queue === undefined ? "" : `${count(queue)} queued`} meaning="Age of the oldest accepted message that no read can see yet." />
      </Figures>
      {system.data?.problems.length ? (
        <Card title="Something is wrong">
          {system.data.problems.map((problem) => (
            <p key={problem} class="state">
              <span class="dot bad" /> {words(problem)}
            </p>
          ))}
        </Card>
      ) : null}
      {never ? (
        <>
          <p class="dim">Nothing has arrived yet. Connect a client; each card issues a token of its own.</p>
          <ConnectCards />
        </>
      ) : (
        <>
          {spent.length > 0 && (
            <ChartCard title="Spend by repo" span={6} meaning="What agents cost, by repository. A click on a name in the legend shows it alone." kind="bars" format={dollarsShort} {...spending(spent, period)} />
          )}
          {arrivals.data?.data.length ? (
            <ChartCard title="What arrived" span={spent.length ? 6 : 12} meaning="Stored items by kind and time of arrival." kind="bars" format={compact} {...arrived(rows, period)} />
          ) : (
            <Card title="What arrived" span={spent.length ? 6 : 12}>
              <States of={arrivals} height={220} isEmpty={(page) => !page.data.length} empty="Nothing arrived in this time range.">
                {() => null}
              </States>
            </Card>
          )}
          <Card title="From whom" span={6} flush meaning="Tokens and when each was last used. One token per client tells clients apart.">
            <States of={system}>{(report) => <Clients clients={report.clients} />}</States>
          </Card>
          <Card title="Loops that end badly" span={6} flush meaning="Workloads with the most loops that diverged, oscillated, stalled or ran into the cap.">
            <States of={loops}>{() => <Failing loops={inRange} />}</States>
          </Card>
          <Card title="Kinds" flush meaning="What arrived by kind, and when the last of it came.">
            <States of={arrivals} isEmpty={(page) => !page.data.length}>
              {() => <Kinds rows={rows} />}
            </States>
          </Card>
        </>
      )}
    </Screen>
  );
}

function arrived(rows: readonly Arrived[], { since, until }: { since: number; until: number }) {
  const span = until - since;
  const step = span <= 6 * HOUR ? 60 : span <= 96 * HOUR ? 3_600 : 86_400;
  return pivot(rows, { at: (row) => Date.parse(row.at), key: (row) => row.contract, label: (row) => row.title, value: (row) => row.items, step, since, until });
}

function spending(rows: readonly Spent[], period: Period) {
  return pivot(rows, { at: (row) => instant(row.bucket), key: (row) => row.key, label: (row) => (row.key ? shortRepo(row.label || row.key) : "No repo"), value: (row) => row.cost_usd, step: stepOf(period).ms / 1_000, since: period.since, until: period.until, uncertain: (key) => key === "" });
}

const CLIENTS: readonly Column<Client>[] = [
  { id: "label", title: "Token", value: (one) => one.label || one.token_id },
  { id: "state", title: "State", value: (one) => one.last_used_at, show: (one) => <Seen at={one.last_used_at} /> },
  { id: "last", title: "Last seen", numeric: true, value: (one) => one.last_used_at, show: (one) => (one.last_used_at ? <span title={utc(Date.parse(one.last_used_at))}>{ago(Date.parse(one.last_used_at))}</span> : "never") },
];

function Seen({ at: when }: { at: string | null }) {
  const age = when ? Date.now() - Date.parse(when) : Infinity;
  const [tone, text] = age < 24 * HOUR ? ["good", "active"] : age < Infinity ? ["warn", "silent for a day"] : ["", "never used"];
  return (
    <span class="state">
      <span class={`dot ${tone}`} />
      {text}
    </span>
  );
}

function Clients({ clients }: { clients: readonly Client[] }) {
  return clients.length ? <DataTable label="Tokens" rows={clients} columns={CLIENTS} rowKey={(one) => one.token_id} sort="-last" page={8} /> : <Empty>No token was issued yet.</Empty>;
}

function Failing({ loops }: { loops: Parameters<typeof sums>[0] }) {
  const rows = tally(loops, (loop) => loop.workload_id)
    .map(({ key }) => ({ key, ...sums(loops.filter((loop) => (loop.workload_id ?? "") === key)) }))
    .filter((row) => row.failed)
    .sort((a, b) => b.failed - a.failed);
  const columns: readonly Column<(typeof rows)[number]>[] = [
    { id: "workload", title: "Workload", value: (row) => row.key, show: (row) => row.key || "not named" },
    { id: "failed", title: "Ended badly", numeric: true, value: (row) => row.failed, show: (row) => count(row.failed) },
    { id: "share", title: "Share", numeric: true, value: (row) => row.failed / row.loops, show: (row) => rate(row.failed / row.loops) },
    { id: "loops", title: "Loops", numeric: true, value: (row) => row.loops, show: (row) => count(row.loops) },
  ];
  if (!rows.length) return <Empty>{loops.length ? "No loop ended badly in this time range." : "No loop reported in this time range."}</Empty>;
  return <DataTable label="Loops that end badly" rows={rows} columns={columns} rowKey={(row) => row.key} sort="-failed" page={8} open={(row) => href("/loops", row.key ? { workload_id: row.key } : {})} />;
}

const SCREEN: Readonly<Record<string, string>> = { otlp: "/agents", loopgain: "/loops", flags: "/flags", analytics: "/product" };

function Kinds({ rows }: { rows: readonly Arrived[] }) {
  const kinds = tally(rows, (row) => row.contract, (row) => row.items).map(({ key, value }) => {
    const own = rows.filter((row) => row.contract === key);
    return { key, value, title: own[0]!.title, last: Math.max(...own.map((row) => Date.parse(row.last_at))) };
  });
  const columns: readonly Column<(typeof kinds)[number]>[] = [
    { id: "title", title: "Kind", value: (row) => row.title },
    { id: "items", title: "Items", numeric: true, value: (row) => row.value, show: (row) => count(row.value) },
    { id: "last", title: "Last arrived", numeric: true, value: (row) => new Date(row.last).toISOString(), show: (row) => <span title={utc(row.last)}>{ago(row.last)}</span> },
  ];
  return <DataTable label="Kinds" rows={kinds} columns={columns} rowKey={(row) => row.key} sort="-items" open={(row) => href(SCREEN[row.key] ?? "/system")} />;
}
