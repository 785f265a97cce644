/** Where we are. The address holds the whole view, so that a link reproduces it. */
import { useEffect, useState } from "preact/hooks";

export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

export type Changes = Readonly<Record<string, string | null>>;

/** What stays when another screen is opened. Filters are a screen's own. */
const KEPT = ["range", "since", "until", "back", "compare"];

const read = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });
let current = read();
const watchers = new Set<() => void>();

function settle(): void {
  current = read();
  for (const watcher of watchers) watcher();
}

addEventListener("popstate", settle);

export function usePlace(): Place {
  const [seen, see] = useState(current);
  useEffect(() => {
    const watcher = (): void => see(current);
    watchers.add(watcher);
    watcher();
    return () => void watchers.delete(watcher);
  }, []);
  return seen;
}

/** The address of a path with some parameters changed; null removes one. */
export function href(path: string = current.path, changes: Changes = {}): string {
  const samePath = screenOf(path) === screenOf(current.path);
  const query = new URLSearchParams();
  for (const [name, value] of current.query) if (samePath || KEPT.includes(name)) query.set(name, value);
  for (const [name, value] of Object.entries(changes)) value === null ? query.delete(name) : query.set(name, value);
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `${path}?${text}` : path;
}

/** Go to a path with some parameters changed. */
export function go(path?: string, changes: Changes = {}): void {
  visit(href(path, changes));
}

/** Go to an address as it is, such as `href` makes them. */
export function visit(address: string, how: "push" | "replace" = "push"): void {
  const before = screenOf(current.path);
  history[how === "push" ? "pushState" : "replaceState"](null, "", address);
  if (screenOf(location.pathname) !== before) scrollTo(0, 0);
  settle();
}

/** The first part of a path: `/loops/17` belongs to the screen `/loops`. */
export const screenOf = (path: string): string => `/${path.split("/")[1] ?? ""}`;

/** Links stay links: only a plain click is handled here. */
export function follow(event: MouseEvent): void {
  const link = (event.target as Element).closest("a");
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || link.hasAttribute("data-plain")) return;
  event.preventDefault();
  visit(link.href);
}
