/** A button with something that opens under it; closes on Esc, on a click elsewhere and after a choice. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface MenuProps {
  button: ComponentChildren;
  label: string;
  align?: "left" | "end";
  plain?: boolean;
  children: (close: () => void) => ComponentChildren;
}

export function Menu({ button, label, align = "left", plain = false, children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const close = (): void => setOpen(false);
  useLayoutEffect(() => {
    if (!open) return;
    root.current?.querySelector<HTMLElement>(".menu-list button, .menu-list select, .menu-list input")?.focus();
    const outside = (event: Event): void => {
      if (!root.current?.contains(event.target as Node)) close();
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      close();
      root.current?.querySelector("button")?.focus();
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const items = [...(root.current?.querySelectorAll<HTMLElement>(".menu-list .menu-item") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    if (at < 0) return;
    event.preventDefault();
    items[(at + (event.key === "ArrowDown" ? 1 : items.length - 1)) % items.length]?.focus();
  };
  return (
    <div class="menu" ref={root} onKeyDown={onKey}>
      <button type="button" class={plain ? "icon-button" : "button"} aria-label={label} aria-expanded={open} onClick={() => setOpen(!open)}>
        {button}
      </button>
      {open && <div class={align === "end" ? "menu-list end" : "menu-list left"}>{children(close)}</div>}
    </div>
  );
}
