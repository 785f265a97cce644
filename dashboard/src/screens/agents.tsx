/** Agents: what they cost, who and what it went to, what people approved, and the prompts that cost most. */
import { useRead, type Rows } from "../lib/api";
import { filtersOf, learn, setFilter } from "../lib/filters";
import { ago, compact, count, day, dollars, dollarsShort, duration, instant, MISSING, moment, rate, shortRepo, utc, words } from "../lib/format";
import { stepOf, usePeriod } from "../lib/period";
import { go, href } from "../lib/place";
import { pivot, spark } from "../lib/series";
import { Bars, type BarRow } from "../ui/bars";
import { Card, Empty, IconButton, Segments, States } from "../ui/card";
import { Chart, ChartCard } from "../ui/chart";
import { Figure, Figures } from "../ui/figures";
import { Screen } from "../ui/screen";
import { cells, DataTable, type Column } from "../ui/table";
import { download } from "../lib/csv";
import { ConnectOr } from "./connect";
import { FILTERS_OF } from "./filters";
import { PromptView } from "./prompt";

type CostBy = "user" | "repo" | "model" | "source" | "query_source" | "effort";
type Prompt = Rows<"/api/top-prompts">[number];
type Person = Rows<"/api/active-users">["users"][number];
type Decision = Rows<"/api/tool-decisions">["rows"][number];
type CacheRow = Rows<"/api/cache-hit">["rows"][number];
type Subagent = Rows<"/api/subagent-stats">["rows"][number];
type Params = Readonly<Record<string, string | number>>;

const FILTERS = FILTERS_OF["/agents"]!;
const BY: readonly (readonly [CostBy, string])[] = [["user", "User"], ["repo", "Repo"], ["model", "Model"], ["source", "Tool"], ["query_source", "Subagent"], ["effort", "Effort"]];
const NOBODY: Readonly<Record<CostBy, string>> = { user: "Unattributed", repo: "No repo", model: "No model", source: "Unknown source", query_source: "Not said", effort: "Not said" };
/** Which filter a row of a breakdown sets. */
const FILTER: Partial<Record<CostBy, string>> = { user: "user", repo: "repo", model: "model", source: "source" };

const HASH = /^[0-9a-f]{32}$/;
/** A person whose readable name is not kept appears under the beginning of a keyed hash. */
const person = (given: string): string => (HASH.test(given) ? given.slice(0, 12) : given);
const label = (by: CostBy, key: string, given: string): string => {
  if (key === "") return NOBODY[by];
  if (by === "user") return person(given || key);
  if (by === "repo") return shortRepo(given);
  return by === "model" ? given || key : words(given || key);
};

export default function Agents() {
  const period = usePeriod();
  const prompt = period.place.path.split("/")[3];
  return period.place.path.startsWith("/agents/prompt/") && prompt ? <PromptView prompt={decodeURIComponent(prompt)} /> : <Everything period={period} />;
}

function Everything({ period }: { period: ReturnType<typeof usePeriod> }) {
  const filters = filtersOf(period.place, FILTERS);
  const params: Params = { ...period.wire, ...filters };
  const by = (period.place.query.get("by") ?? "user") as CostBy;
  const step = stepOf(period);
  const trend = useRead("/api/cost-trend", { ...params, by, step: step.name });
  const cache = useRead("/api/cache-hit", { ...params, by: "user" });
  const decisions = useRead("/api/tool-decisions", { ...params, by: "tool" });
  const active = useRead("/api/active-users", params);
  const cost = trend.data?.data;
  const people = active.data?.data;
  const hit = cache.data?.data;
  const was = <T,>(value: T): T | null => (period.compare ? value : null);
  const spent = cost?.points ?? [];
  const nothing = cost && people && !spent.length && !people.users.length && !Object.keys(filters).length;
  learn("user", (people?.users ?? []).map((one) => [one.user, one.user_name ?? one.user]));
  if (cost && FILTER[by]) learn(FILTER[by], cost.totals.map((one) => [one.key, one.label]));

  return (
    <Screen title="Agents" filters={FILTERS}>
      {nothing ? (
        <ConnectOr client="claude-code,agent-sdk,codex,gemini" text="No agent has reported in this time range." />
      ) : (
        <>
          <Figures label="Key figures">
            <Figure loading={!cost && !trend.error} label="Cost" value={cost?.total_usd} before={was(cost?.previous_total_usd)} format={dollarsShort} exact={dollars} spark={spark(spent, period.since, period.until, (one) => instant(one.bucket), (one) => one.cost_usd)} meaning="As agents reported it; where they report none, estimated from list prices." note={cost?.estimated_usd ? `${rate(cost.estimated_usd / (cost.total_usd || 1))} est.` : ""} />
            <Figure loading={!cost && !trend.error} label="Run rate" value={cost?.run_rate_usd} before={was(cost?.run_rate_previous_usd)} format={dollarsShort} exact={dollars} note="per 30 days" meaning="What 30 days cost at the pace of the last seven full days." />
            <Figure loading={!people && !active.error} label="Active developers" value={people?.wau} before={was(people?.previous_wau)} format={count} more="good" note={people && `${count(people.dau)} on the last day`} spark={(people?.points ?? []).map((one) => one.dau)} meaning="People with any agent activity in the last seven days of the range." />
            <Figure loading={!hit && !cache.error} label="Cache hit" value={hit?.total.rate} format={rate} more="good" note={hit && `of ${compact(hit.total.input_tokens + hit.total.cache_read_tokens + hit.total.cache_creation_tokens)} tokens`} spark={(hit?.points ?? []).map((one) => one.rate ?? 0)} meaning="Share of input tokens that were read from the prompt cache." />
            <Figure loading={!decisions.data && !decisions.error} label="Approved by people" value={decisions.data?.data.total.human_rate} format={rate} note={decisions.data && `n = ${compact(decisions.data.data.total.human_accepted + decisions.data.data.total.human_rejected)}`} meaning="Of the tool calls that a person decided on. Automatic decisions are counted apart." />
            <Figure loading={!cost && !trend.error} label="Unattributed" value={cost?.unattributed_usd} format={dollarsShort} exact={dollars} note={cost && `${rate(cost.total_usd ? cost.unattributed_usd / cost.total_usd : null)} of cost`} meaning="Cost whose sender does not say who it was. It is part of the total." />
          </Figures>
          <CostTrend trend={trend} by={by} period={period} step={step} />
          {(["user", "repo", "model"] as const).map((each) => (
            <CostBars key={each} by={each} params={params} />
          ))}
          {(["source", "query_source"] as const).map((each) => (
            <CostBars key={each} by={each} params={params} span={6} />
          ))}
          <Card title="Cache hit per user" span={6} flush meaning="Who re-reads the prompt cache and who pays for the same input again. The lower, the more there is to save." tools={<IconButton icon="download" label="Download CSV" onClick={() => download("cache-hit", CACHE.map((one) => one.title), cells(CACHE, hit?.rows ?? []))} />}>
            <States of={cache} isEmpty={(page) => !page.data.rows.length}>
              {(page) => <DataTable label="Cache hit per user" rows={page.data.rows} columns={CACHE} rowKey={(row) => row.key} sort="-anew" page={8} />}
            </States>
          </Card>
          <Decisions decisions={decisions} />
          <ActiveDevelopers active={active} period={period} />
          <Subagents params={params} />
          <TopPrompts params={params} />
        </>
      )}
    </Screen>
  );
}

function CostTrend({ trend, by, period, step }: { trend: ReturnType<typeof useRead<"/api/cost-trend">>; by: CostBy; period: ReturnType<typeof usePeriod>; step: ReturnType<typeof stepOf> }) {
  const tools = <Segments label="Split by" value={by} options={BY} onChange={(next) => go(undefined, { by: next === "user" ? null : next })} />;
  const points = trend.data?.data.points ?? [];
  if (!points.length)
    return (
      <Card title="Cost" tools={tools}>
        <States of={trend} height={240} isEmpty={() => true} empty="Nothing was spent in this time range.">
          {() => null}
        </States>
      </Card>
    );
  const data = pivot(points, { at: (one) => instant(one.bucket), key: (one) => one.key, label: (one) => label(by, one.key, one.label), value: (one) => one.cost_usd, step: step.ms / 1_000, since: period.since, until: period.until, uncertain: (key) => key === "" });
  return <ChartCard title="Cost" meaning="Cost over time. What no one is named for is hatched." kind="bars" height={240} format={dollarsShort} tools={tools} {...data} />;
}

function CostBars({ by, params, span = 4 }: { by: CostBy; params: Params; span?: 4 | 6 }) {
  const cost = useRead("/api/cost-trend", { ...params, by, step: "day" });
  const filter = FILTER[by];
  const rows = (cost.data?.data.totals ?? []).map((one): BarRow => ({ key: one.key, label: label(by, one.key, one.label), value: one.cost_usd, share: one.share, title: one.label, ...(one.key === "" ? { uncertain: "Its sender does not say; it is part of the total." } : {}) }));
  if (filter) learn(filter, rows.map((row) => [row.key, row.title ?? row.label]));
  const title = `Cost by ${by === "source" ? "tool" : by === "query_source" ? "main agent and subagents" : by}`;
  return (
    <Card title={title} span={span} tools={<IconButton icon="download" label="Download CSV" onClick={() => download(`cost-by-${by}`, [by, "cost_usd", "previous_usd", "share"], (cost.data?.data.totals ?? []).map((one) => [one.label || one.key, one.cost_usd, one.previous_usd, one.share]))} />}>
      <States of={cost} height={240} isEmpty={(page) => !page.data.totals.length}>
        {() => <Bars rows={rows} format={dollarsShort} onPick={filter ? (row) => setFilter(filter, row.key) : undefined} />}
      </States>
    </Card>
  );
}

const anew = (row: CacheRow): number => row.cache_creation_tokens + row.input_tokens;

const CACHE: readonly Column<CacheRow>[] = [
  { id: "user", title: "User", value: (row) => row.label || row.key, show: (row) => person(row.label) || <span class="dim">Unattributed</span> },
  { id: "rate", title: "Cache hit", numeric: true, value: (row) => row.rate, show: (row) => rate(row.rate) },
  { id: "read", title: "From cache", numeric: true, value: (row) => row.cache_read_tokens, show: (row) => compact(row.cache_read_tokens) },
  { id: "anew", title: "Sent anew", numeric: true, value: anew, show: (row) => <span title={`${compact(row.cache_creation_tokens)} written to the cache, ${compact(row.input_tokens)} past it`}>{compact(anew(row))}</span>, hint: "Input tokens that were not read from the cache" },
];

const DECISIONS: readonly Column<Decision>[] = [
  { id: "tool", title: "Tool", value: (row) => row.label || row.key },
  { id: "automatic", title: "Automatic", numeric: true, value: (row) => row.automatic, show: (row) => count(row.automatic), hint: "Decided by settings or hooks, without a person" },
  { id: "accepted", title: "Approved", numeric: true, value: (row) => row.human_accepted, show: (row) => count(row.human_accepted), hint: "By a person" },
  { id: "rejected", title: "Refused", numeric: true, value: (row) => row.human_rejected, show: (row) => count(row.human_rejected), hint: "By a person" },
  { id: "rate", title: "Approval", numeric: true, value: (row) => row.human_rate, show: (row) => rate(row.human_rate), hint: "Of what a person decided" },
];

function Decisions({ decisions }: { decisions: ReturnType<typeof useRead<"/api/tool-decisions">> }) {
  return (
    <Card title="Tool decisions" span={6} flush meaning="What people approved and refused, apart from what was decided automatically." tools={<IconButton icon="download" label="Download CSV" onClick={() => download("tool-decisions", DECISIONS.map((one) => one.title), cells(DECISIONS, decisions.data?.data.rows ?? []))} />}>
      <States of={decisions} isEmpty={(page) => !page.data.rows.length} empty="No tool call was decided on in this time range.">
        {(page) => <DataTable label="Tool decisions" rows={page.data.rows} columns={DECISIONS} rowKey={(row) => row.key} sort="-automatic" page={8} />}
      </States>
    </Card>
  );
}

const PEOPLE: readonly Column<Person>[] = [
  { id: "user", title: "Developer", value: (one) => one.user_name ?? one.user, show: (one) => <button type="button" class="link" onClick={() => setFilter("user", one.user)}>{one.user_name ?? person(one.user)}</button> },
  { id: "days", title: "Days", numeric: true, value: (one) => one.days, show: (one) => count(one.days) },
  { id: "sessions", title: "Sessions", numeric: true, value: (one) => one.sessions, show: (one) => count(one.sessions) },
  { id: "prompts", title: "Prompts", numeric: true, value: (one) => one.prompts, show: (one) => count(one.prompts) },
  { id: "cost", title: "Cost", numeric: true, value: (one) => one.cost_usd, show: (one) => dollars(one.cost_usd) },
  { id: "seen", title: "Last active", numeric: true, value: (one) => one.last_seen, show: (one) => (one.last_seen.length === 10 ? day(instant(one.last_seen)) : <span title={utc(instant(one.last_seen))}>{ago(instant(one.last_seen))}</span>) },
];

function ActiveDevelopers({ active, period }: { active: ReturnType<typeof useRead<"/api/active-users">>; period: ReturnType<typeof usePeriod> }) {
  return (
    <Card title="Active developers" span={12} meaning="Different people per UTC day, in the 7 and in the 30 days up to it." flush>
      <States of={active} height={320} isEmpty={(page) => !page.data.users.length} empty="No person is named by what arrived.">
        {(page) => (
          <>
            <div class="card-body">
              <Chart kind="line" height={180} format={count} {...pivot(page.data.points.flatMap((one) => (["dau", "wau", "mau"] as const).map((key) => ({ at: instant(one.day), key, n: one[key] }))), { at: (one) => one.at, key: (one) => one.key, label: (one) => ({ dau: "That day", wau: "7 days", mau: "30 days" })[one.key], value: (one) => one.n, step: 86_400, since: period.since, until: period.until, missing: null, ranked: false })} />
            </div>
            <DataTable label="Developers" rows={page.data.users} columns={PEOPLE} rowKey={(one) => one.user} sort="-cost" page={10} />
          </>
        )}
      </States>
    </Card>
  );
}

const SUBAGENTS: readonly Column<Subagent>[] = [
  { id: "key", title: "Agent", value: (row) => row.label || row.key, show: (row) => (row.key && row.key !== "unattributed" ? row.label || row.key : <span class="dim">Unattributed</span>) },
  { id: "prompts", title: "Prompts", numeric: true, value: (row) => row.prompts, show: (row) => count(row.prompts) },
  { id: "subagents", title: "Subagents", numeric: true, value: (row) => row.subagents, show: (row) => count(row.subagents) },
  { id: "mean", title: "Per prompt", numeric: true, value: (row) => row.fan_out_mean, show: (row) => row.fan_out_mean.toFixed(1) },
  { id: "max", title: "At most", numeric: true, value: (row) => row.fan_out_max, show: (row) => count(row.fan_out_max) },
  { id: "depth", title: "Depth", numeric: true, value: (row) => row.depth_max, show: (row) => count(row.depth_max) },
  { id: "cost", title: "Cost", numeric: true, value: (row) => row.cost_usd, show: (row) => dollars(row.cost_usd) },
  { id: "share", title: "Share", numeric: true, value: (row) => row.share, show: (row) => rate(row.share) },
];

function Subagents({ params }: { params: Params }) {
  const stats = useRead("/api/subagent-stats", { ...params, by: "agent" });
  return (
    <>
      <Card title="Subagents" span={8} flush meaning="What prompts handed on, to which agents, and what that cost.">
        <States of={stats} isEmpty={(page) => !page.data.rows.length} empty="No prompt used a subagent in this time range.">
          {(page) => <DataTable label="Subagents" rows={page.data.rows} columns={SUBAGENTS} rowKey={(row) => row.key} sort="-cost" page={8} />}
        </States>
      </Card>
      <Card title="Depth of prompts" span={4} meaning="How many levels of subagents prompts used; 0 is the main agent alone.">
        <States of={stats} isEmpty={(page) => !page.data.depth_histogram.length}>
          {(page) => <Bars rows={page.data.depth_histogram.map((one) => ({ key: String(one.depth), label: one.depth ? `${one.depth} deep` : "No subagent", value: one.prompts }))} format={count} />}
        </States>
      </Card>
    </>
  );
}

const tokensOf = (one: Prompt): number => one.input_tokens + one.output_tokens + one.cache_read_tokens + one.cache_creation_tokens;

const PROMPTS: readonly Column<Prompt>[] = [
  { id: "started", title: "Started", value: (one) => one.started_at, show: (one) => <span title={utc(instant(one.started_at))}>{moment(instant(one.started_at))}</span> },
  { id: "cost", title: "Cost", numeric: true, value: (one) => one.cost_usd, show: (one) => <span title={one.cost_source}>{dollars(one.cost_usd)}{one.cost_source === "estimated" && <span class="dim"> est.</span>}</span> },
  { id: "user", title: "User", value: (one) => one.user_name ?? one.user, show: (one) => one.user_name ?? (one.user.slice(0, 12) || <span class="dim">Unattributed</span>) },
  { id: "repo", title: "Repo", value: (one) => one.repo, show: (one) => (one.repo ? shortRepo(one.repo) : MISSING) },
  { id: "tools", title: "Tools used most", value: (one) => one.tools.map((tool) => `${tool.tool} ${tool.calls}`).join(", "), show: (one) => one.tools.slice(0, 3).map((tool) => `${tool.tool} ×${tool.calls}`).join(", ") || MISSING },
  { id: "subagents", title: "Subagents", numeric: true, value: (one) => one.subagents, show: (one) => <span title={`${count(one.depth)} deep`}>{count(one.subagents)}</span> },
  { id: "errors", title: "Errors", numeric: true, value: (one) => one.errors, show: (one) => (one.errors ? <span class="badge bad">{count(one.errors)}</span> : "0") },
  { id: "duration", title: "Took", numeric: true, value: (one) => one.duration_ms, show: (one) => duration(one.duration_ms) },
  { id: "tokens", title: "Tokens", numeric: true, value: tokensOf, show: (one) => compact(tokensOf(one)) },
];

function TopPrompts({ params }: { params: Params }) {
  const prompts = useRead("/api/top-prompts", { ...params, limit: 200 });
  return (
    <Card title="Prompts that cost most" flush meaning="A click shows what the prompt did, step by step." tools={<IconButton icon="download" label="Download CSV" onClick={() => download("top-prompts", ["prompt", "session", ...PROMPTS.map((one) => one.title)], (prompts.data?.data ?? []).map((one) => [one.prompt, one.session, ...cells(PROMPTS, [one])[0]!]))} />}>
      <States of={prompts} height={320} isEmpty={(page) => !page.data.length} empty={<Empty>No prompt in this time range. Prompts come with traces and events; metrics alone have none.</Empty>}>
        {(page) => <DataTable label="Prompts that cost most" rows={page.data} columns={PROMPTS} rowKey={(one) => `${one.prompt}${one.trace}`} sort="-cost" page={15} open={(one) => href(`/agents/prompt/${encodeURIComponent(one.prompt || one.trace)}`, one.prompt ? {} : { of: "trace" })} />}
      </States>
    </Card>
  );
}
