/** A detail beside its list: Esc closes, ↑ and ↓ move, the address changes. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { visit } from "../lib/place";
import { IconButton } from "./card";

interface SideProps {
  title: string;
  close: string;
  previous?: string | undefined;
  next?: string | undefined;
  full?: string;
  children: ComponentChildren;
}

export function Side({ title, close, previous, next, full, children }: SideProps) {
  const panel = useRef<HTMLElement>(null);
  // Before the first paint: whoever sees the panel can use its keys.
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    panel.current?.focus({ preventScroll: true });
    return () => before?.focus?.({ preventScroll: true });
  }, []);
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || (event.target as Element).closest("input, textarea, select, [role=dialog][aria-modal]")) return;
      if (event.key === "Escape") visit(close);
      else if (event.key === "ArrowUp" && previous) visit(previous, "replace");
      else if (event.key === "ArrowDown" && next) visit(next, "replace");
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [close, previous, next]);
  return (
    <aside class="side" role="dialog" aria-label={title} tabIndex={-1} ref={panel}>
      <header>
        <h2>{title}</h2>
        <IconButton icon="up" label="Previous (↑)" disabled={!previous} onClick={() => previous && visit(previous, "replace")} />
        <IconButton icon="down" label="Next (↓)" disabled={!next} onClick={() => next && visit(next, "replace")} />
        {full && <IconButton icon="open" label="Full page" onClick={() => visit(full)} />}
        <IconButton icon="close" label="Close (Esc)" onClick={() => visit(close)} />
      </header>
      <div class="side-body">{children}</div>
    </aside>
  );
}
