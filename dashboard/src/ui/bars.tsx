/** A breakdown: label, bar, value, share. A click filters by the row. */
import { useState } from "preact/hooks";
import { rate, type Format } from "../lib/format";

export interface BarRow {
  key: string;
  label: string;
  value: number;
  share?: number | null;
  /** Drawn hatched and explained: unattributed or estimated. */
  uncertain?: string;
  title?: string;
}

interface BarsProps {
  rows: readonly BarRow[];
  format: Format;
  onPick?: ((row: BarRow) => void) | undefined;
  show?: number;
}

export function Bars({ rows, format, onPick, show = 8 }: BarsProps) {
  const [all, setAll] = useState(false);
  const top = Math.max(...rows.map((row) => row.value), 1e-12);
  const total = rows.reduce((sum, row) => sum + row.value, 0);
  const shown = all ? rows : rows.slice(0, show);
  return (
    <>
      <ul class="bars">
        {shown.map((row) => {
          const share = row.share === undefined ? (total ? row.value / total : null) : row.share;
          const inside = (
            <>
              <span class="fill" style={{ width: `calc(${(100 * Math.max(row.value, 0)) / top}% - ${(8 * Math.max(row.value, 0)) / top}px)` }} />
              <span class="name" title={row.uncertain ?? row.title ?? row.label}>
                {row.label}
              </span>
              <span>{format(row.value)}</span>
              <span class="share">{rate(share)}</span>
            </>
          );
          const look = row.uncertain ? "bar hatched" : "bar";
          return (
            <li key={row.key}>
              {onPick && !row.uncertain ? (
                <button type="button" class={look} onClick={() => onPick(row)} aria-label={`${row.label}, ${format(row.value)}, ${rate(share)}. Filter by it.`}>
                  {inside}
                </button>
              ) : (
                <div class={look}>{inside}</div>
              )}
            </li>
          );
        })}
      </ul>
      {rows.length > show && (
        <button type="button" class="more" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${rows.length}`}
        </button>
      )}
    </>
  );
}
