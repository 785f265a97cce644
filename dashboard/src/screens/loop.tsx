/** One loop beside the list: its facts, and error and gain of each iteration where the client sends them. */
import type { components } from "../api";
import { useAnswer } from "../lib/api";
import { count, decimal, MISSING, moment, utc } from "../lib/format";
import { href } from "../lib/place";
import { States } from "../ui/card";
import { Chart } from "../ui/chart";
import { Outcome } from "../ui/outcome";
import { Side } from "../ui/side";

type OneEvent = components["schemas"]["OneEvent"];
type Detail = OneEvent["event"];

export function LoopSide({ id, ids }: { id: string; ids: readonly string[] }) {
  const one = useAnswer<OneEvent>(`/v1/event/${encodeURIComponent(id)}`, {}, { poll: false });
  const position = ids.indexOf(id);
  const at = (index: number): string | undefined => (position >= 0 && ids[index] ? href(`/loops/${ids[index]}`) : undefined);
  return (
    <Side title={one.data?.event.workload_id ?? "Loop"} close={href("/loops")} previous={at(position - 1)} next={at(position + 1)}>
      <States of={one} height={320}>
        {({ event }) => <Facts loop={event} />}
      </States>
    </Side>
  );
}

function Facts({ loop }: { loop: Detail }) {
  const steps = loop.per_iteration;
  return (
    <>
      <dl class="facts">
        <dt>Outcome</dt>
        <dd>
          <Outcome name={loop.outcome} />
        </dd>
        <dt>Hour of the run</dt>
        <dd title={utc(loop.timestamp_hour * 1_000)}>{moment(loop.timestamp_hour * 1_000)}</dd>
        <dt>Arrived</dt>
        <dd title={utc(loop.received_at * 1_000)}>{moment(loop.received_at * 1_000)}</dd>
        <dt>Iterations</dt>
        <dd>
          {count(loop.iterations_used)}, {count(loop.savings_vs_fixed_cap)} fewer than the cap
        </dd>
        <dt>Rollback</dt>
        <dd>{loop.rollback_triggered ? "yes, to an earlier result" : "no"}</dd>
        <dt>Aβ min · median · max</dt>
        <dd>
          {decimal(loop.profile_min)} · {decimal(loop.profile_median)} · {decimal(loop.profile_max)} <span class="dim">n = {count(loop.profile_samples)}</span>
        </dd>
        <dt>Framework</dt>
        <dd>{[loop.framework, loop.loop_type].filter(Boolean).join(" · ") || MISSING}</dd>
        <dt>Team</dt>
        <dd>{loop.team ?? MISSING}</dd>
        <dt>Library</dt>
        <dd>
          {loop.library_version}, smoothing over {count(loop.smoothing_window)}
        </dd>
      </dl>
      {steps ? <Iterations loop={loop} steps={steps} /> : <p class="dim">Only the summary of this loop was kept. Errors and gains of single iterations are stored when the server is set to keep them.</p>}
    </>
  );
}

function Iterations({ loop, steps }: { loop: Detail; steps: NonNullable<Detail["per_iteration"]> }) {
  const numbered = (values: readonly unknown[], from: number): number[] => values.map((_, index) => index + from);
  const iteration = (x: number): string => `Iteration ${x}`;
  return (
    <>
      <h3>Loop gain</h3>
      <Chart
        kind="line"
        height={200}
        x={numbered(steps.convergence_profile, 2)}
        series={[{ key: "gain", label: "Aβ", values: steps.convergence_profile as (number | null)[] }]}
        format={decimal}
        xFormat={iteration}
        levels={[
          { at: loop.threshold_converging, label: `converging below ${decimal(loop.threshold_converging)}` },
          { at: loop.threshold_oscillating_upper, label: `diverging above ${decimal(loop.threshold_oscillating_upper)}` },
        ]}
      />
      <h3>Error</h3>
      <Chart kind="line" height={160} x={numbered(steps.error_history, 1)} series={[{ key: "error", label: "Error", values: steps.error_history as (number | null)[], color: "--c6" }]} format={decimal} xFormat={iteration} />
      {steps.truncated && <p class="dim">The client sent the first {count(steps.cap)} iterations only.</p>}
    </>
  );
}
