/** How long ago something was, with the exact time on hover. */
import { ago, utc } from "../lib/format";

export function Ago({ at }: { at: string | null }) {
  return at ? <span title={utc(Date.parse(at))}>{ago(Date.parse(at))}</span> : <>never</>;
}
