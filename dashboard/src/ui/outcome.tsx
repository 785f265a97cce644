/** How a loop ended: a shape and a word, never a colour alone. */
import { words } from "../lib/format";

const LOOKS: Readonly<Record<string, readonly [tone: string, color: string]>> = {
  converged: ["good", "--c3"],
  in_progress: ["", "--c5"],
  stalled: ["warn", "--c2"],
  max_iterations: ["warn", "--c7"],
  oscillating: ["bad", "--c4"],
  diverged: ["bad", "--c6"],
};

export const outcomeColor = (outcome: string): string => LOOKS[outcome]?.[1] ?? "--c8";

export function Outcome({ name }: { name: string }) {
  return (
    <span class="state">
      <span class={`dot ${LOOKS[name]?.[0] ?? ""}`} />
      {words(name) || "No outcome"}
    </span>
  );
}
