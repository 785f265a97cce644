/** The command palette: every place, range and known filter value by name. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { signOut } from "../lib/api";
import { offered, setFilter } from "../lib/filters";
import { PRESETS } from "../lib/period";
import { go, screenOf, usePlace } from "../lib/place";
import { choose } from "../lib/theme";
import { SCREENS } from "../screens";
import { FILTERS_OF } from "../screens/filters";
import { Icon, type IconName } from "./icons";

interface Command {
  readonly group: string;
  readonly label: string;
  readonly icon: IconName;
  readonly keys?: string;
  readonly run: () => void;
}

function commands(path: string): Command[] {
  const filters = FILTERS_OF[screenOf(path)] ?? [];
  return [
    ...SCREENS.map((screen): Command => ({ group: "Go to", label: screen.title, icon: screen.icon, keys: `g ${screen.key}`, run: () => go(screen.path) })),
    ...PRESETS.map(([name, label]): Command => ({ group: "Time range", label, icon: "calendar", run: () => go(undefined, { range: name, since: null, until: null }) })),
    ...filters.flatMap(({ key, label }) => offered(key).slice(0, 50).map(([value, name]): Command => ({ group: "Filter", label: `${label}: ${name}`, icon: "plus", run: () => setFilter(key, value) }))),
    { group: "View", label: "Light theme", icon: "theme", run: () => choose("light") },
    { group: "View", label: "Dark theme", icon: "theme", run: () => choose("dark") },
    { group: "View", label: "Theme of the system", icon: "theme", run: () => choose("system") },
    { group: "More", label: "API documentation", icon: "open", run: () => void open("/docs") },
    { group: "More", label: "Copy a link to this view", icon: "open", run: () => void navigator.clipboard?.writeText(location.href) },
    { group: "More", label: "Sign out", icon: "close", run: () => void signOut() },
  ];
}

export default function Palette({ close }: { close: () => void }) {
  const place = usePlace();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    input.current?.focus();
    return () => before?.focus?.();
  }, []);
  const terms = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = commands(place.path).filter((one) => terms.every((term) => `${one.group} ${one.label}`.toLowerCase().includes(term)));
  const chosen = Math.min(at, found.length - 1);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const run = (command: Command | undefined): void => {
    if (!command) return;
    close();
    command.run();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(1, found.length));
    else if (event.key === "ArrowUp") setAt((chosen + found.length - 1) % Math.max(1, found.length));
    else if (event.key === "Enter") run(found[chosen]);
    else if (event.key === "Escape") close();
    else if (event.key !== "Tab") return;
    event.preventDefault();
  };
  return (
    <div class="veil" onClick={(event) => event.target === event.currentTarget && close()}>
      <div class="dialog palette" role="dialog" aria-modal="true" aria-label="Command palette" onKeyDown={onKey}>
        <input ref={input} role="combobox" aria-expanded="true" aria-controls="commands" aria-activedescendant={found.length ? `command-${chosen}` : undefined} aria-label="Search commands" placeholder="Where to, or what to do" value={text} onInput={(event) => (setText(event.currentTarget.value), setAt(0))} />
        <ul id="commands" role="listbox" aria-label="Commands" ref={list}>
          {found.map((command, index) => (
            <li key={`${command.group}${command.label}`} id={`command-${index}`} role="option" aria-selected={index === chosen} class="menu-item" onPointerMove={() => setAt(index)} onClick={() => run(command)}>
              <Icon name={command.icon} />
              {command.label}
              <span class="end">{command.keys ? <kbd>{command.keys}</kbd> : command.group}</span>
            </li>
          ))}
        </ul>
        {!found.length && <p class="empty">Nothing is called that.</p>}
      </div>
    </div>
  );
}
