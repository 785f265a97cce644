/** Light, dark or as the system says; charts are redrawn when it changes. */
import { useEffect, useState } from "preact/hooks";

export type Theme = "system" | "light" | "dark";

const KEY = "raingauge.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set<() => void>();
const tell = (): void => watchers.forEach((watcher) => watcher());
dark.addEventListener("change", tell);

export const chosen = (): Theme => (document.documentElement.dataset["theme"] as Theme | undefined) ?? "system";
export const shown = (): "light" | "dark" => {
  const theme = chosen();
  return theme === "system" ? (dark.matches ? "dark" : "light") : theme;
};

export function choose(theme: Theme): void {
  if (theme === "system") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(KEY);
  } else {
    document.documentElement.dataset["theme"] = theme;
    localStorage.setItem(KEY, theme);
  }
  tell();
}

/** What is shown now; the caller is drawn again when it changes. */
export function useTheme(): "light" | "dark" {
  const [seen, see] = useState(shown());
  useEffect(() => {
    const watcher = (): void => see(shown());
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }, []);
  return seen;
}

/** A colour of the style sheet as a canvas needs it, resolved for the theme that is shown. */
export function token(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
