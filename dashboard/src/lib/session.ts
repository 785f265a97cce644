/** Whether somebody is signed in. The server keeps the session in a cookie that scripts cannot read. */
import { useEffect, useState } from "preact/hooks";

const watchers = new Set<() => void>();
let out = false;

function tell(value: boolean): void {
  if (out === value) return;
  out = value;
  for (const watcher of watchers) watcher();
}

/** The server said that nobody is signed in, or no longer. */
export const signedOut = (): void => tell(true);
export const signedIn = (): void => tell(false);

export function useSignedOut(): boolean {
  const [seen, see] = useState(out);
  useEffect(() => {
    const watcher = (): void => see(out);
    watchers.add(watcher);
    watcher();
    return () => void watchers.delete(watcher);
  }, []);
  return seen;
}
