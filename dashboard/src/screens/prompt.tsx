/** One prompt: everything it set off, as a tree on a time axis. */
import { useState } from "preact/hooks";
import { useRead } from "../lib/api";
import { compact, count, dollars, duration, moment, utc } from "../lib/format";
import { usePlace } from "../lib/place";
import { Card, States } from "../ui/card";
import { Figure, Figures } from "../ui/figures";
import { Screen } from "../ui/screen";
import { Waterfall, type Node } from "../ui/waterfall";

const LIMIT = 50_000;

export function PromptView({ prompt }: { prompt: string }) {
  const of = usePlace().query.get("of") === "trace" ? "trace" : "prompt";
  const tree = useRead("/api/spans/tree", { [of]: prompt, limit: LIMIT }, { poll: false, large: true });
  const [search, setSearch] = useState("");
  const data = tree.data?.data;
  const roots = (data?.nodes ?? []).filter((node) => node.parent === null);
  const sum = (value: (node: Node) => number): number => roots.reduce((all, node) => all + value(node), 0);
  const waiting = (data?.nodes ?? []).filter((node) => node.kind === "waiting").reduce((all, node) => all + node.duration_ms, 0) || (data?.nodes ?? []).reduce((all, node) => all + node.waiting_ms, 0);
  const started = data?.started_at ? Date.parse(data.started_at) : null;
  return (
    <Screen title="Prompt" timed={false} back={{ to: "/agents", label: "Back to agents" }}>
      <Figures label="Key figures">
        <Figure loading={!data && !tree.error} label="Cost" value={data && sum((node) => node.subtree_cost_usd)} format={dollars} note={data?.user_name} />
        <Figure loading={!data && !tree.error} label="Took" value={data?.duration_ms} format={duration} note={started ? <span title={utc(started)}>{moment(started)}</span> : ""} />
        <Figure loading={!data && !tree.error} label="Waiting for the person" value={data && waiting} format={duration} meaning="Time in which a permission or an answer was awaited." />
        <Figure loading={!data && !tree.error} label="Tokens" value={data && sum((node) => node.subtree_tokens)} format={compact} exact={count} />
        <Figure loading={!data && !tree.error} label="Steps" value={data?.spans} format={count} note={data && `depth ${count(data.nodes.reduce((deep, node) => Math.max(deep, node.depth), 0))}`} />
      </Figures>
      <Card
        title="What it did"
        flush
        meaning="Each row is a step; tokens and cost include all below it. ← folds, → unfolds, z or a double-click shows a step's own time."
        note={data && [data.truncated && `The first ${count(LIMIT)} of ${count(data.spans)} steps`, data.orphans && `${count(data.orphans)} steps without their parent`].filter(Boolean).join(" · ")}
        tools={
          <label>
            <span class="sr">Search in the steps</span>
            <input class="input" type="search" placeholder="Search steps" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
          </label>
        }
      >
        <States of={tree} height={400} isEmpty={(page) => !page.data.nodes.length} empty="No trace of this prompt was kept: its client sends events but no traces, or they are past their retention.">
          {(page) => <Waterfall nodes={page.data.nodes} duration_ms={page.data.duration_ms} search={search} />}
        </States>
      </Card>
      {data && (
        <p class="footnote">
          Prompt <code>{data.prompt || prompt}</code> in session <code>{data.session || "–"}</code>
        </p>
      )}
    </Screen>
  );
}
