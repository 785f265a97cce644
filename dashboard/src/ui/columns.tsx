/** A histogram: few bins, each with its value on hover, and the same as a hidden table. */
import { useState } from "preact/hooks";
import type { Format } from "../lib/format";

export interface Bin {
  label: string;
  value: number;
  color?: string;
}

export function Columns({ label, bins, axis, format }: { label: string; bins: readonly Bin[]; axis: readonly string[]; format: Format }) {
  const [at, setAt] = useState<number | null>(null);
  const top = Math.max(...bins.map((bin) => bin.value), 1);
  const shown = at === null ? null : bins[at];
  return (
    <div class="chart">
      <div class="cols" aria-hidden="true" onPointerLeave={() => setAt(null)}>
        {bins.map((bin, index) => (
          <div key={bin.label} data-n={bin.value} style={{ height: bin.value ? `max(2px, ${(100 * bin.value) / top}%)` : "100%", background: bin.value ? `var(${bin.color ?? "--c1"})` : "none" }} onPointerEnter={() => setAt(index)} />
        ))}
      </div>
      <div class="cols-axis" aria-hidden="true">
        {axis.map((text) => (
          <span key={text}>{text}</span>
        ))}
      </div>
      {shown && (
        <div class="tip" style={{ top: 0, ...(at! > bins.length / 2 ? { left: 0 } : { right: 0 }) }}>
          <div class="when">{shown.label}</div>
          <strong>{format(shown.value)}</strong>
        </div>
      )}
      <table class="sr">
        <caption>{label}</caption>
        <tbody>
          {bins.filter((bin) => bin.value).map((bin) => (
            <tr key={bin.label}>
              <th scope="row">{bin.label}</th>
              <td>{format(bin.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
