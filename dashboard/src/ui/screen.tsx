/** The frame of a screen: title, time range, filters as chips, comparison, freshness. */
import { useIsFetching } from "@tanstack/preact-query";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useRead } from "../lib/api";
import { filtersOf, labelOf, offered, setFilter, type FilterKey } from "../lib/filters";
import { ago, utc, zone } from "../lib/format";
import { PRESETS, unzoom, usePeriod, type Period } from "../lib/period";
import { go, href, usePlace } from "../lib/place";
import { Icon } from "./icons";
import { Menu } from "./menu";
import { openPalette } from "./palette-state";

interface ScreenProps {
  title: string;
  filters?: readonly FilterKey[];
  timed?: boolean;
  back?: { readonly to: string; readonly label: string };
  children: ComponentChildren;
}

export function Screen({ title, filters = [], timed = true, back, children }: ScreenProps) {
  const period = usePeriod();
  // What was there before stays until the answer for the new range or filter is here; it should not pass for that.
  const asking = useIsFetching({ predicate: (query) => query.state.data === undefined }) > 0;
  useEffect(() => {
    document.title = `${title} · Raingauge`;
  }, [title]);
  return (
    <div class="page">
      <header class="topbar">
        {back && (
          <a class="icon-button" href={href(back.to)} aria-label={back.label} title={back.label}>
            <Icon name="back" />
          </a>
        )}
        <h1>{title}</h1>
        {timed && <RangeMenu period={period} />}
        {timed && period.place.query.has("back") && (
          <button type="button" class="icon-button" onClick={unzoom} aria-label="Zoom out" title="Back to the range before (double-click in a chart)">
            <Icon name="zoomOut" />
          </button>
        )}
        {timed && (
          <button type="button" class="button hide-phone" aria-pressed={period.compare} onClick={() => go(undefined, { compare: period.compare ? "off" : null })} title="Compare with the period before">
            Compare
          </button>
        )}
        <Chips filters={filters} />
        <span class="spread" />
        <Live />
        <button type="button" class="button hide-phone" onClick={openPalette} aria-label="Open the command palette">
          <Icon name="search" /> <kbd>{/Mac|iP/.test(navigator.platform) ? "⌘K" : "Ctrl K"}</kbd>
        </button>
      </header>
      <Offline />
      <main class={asking ? "content asking" : "content"} id="main" tabIndex={-1} aria-busy={asking}>
        {children}
        <p class="footnote">
          Times in {zone}. Days of daily sums begin at 00:00 UTC.
        </p>
      </main>
    </div>
  );
}

function RangeMenu({ period }: { period: Period }) {
  return (
    <Menu label={`Time range: ${period.label}`} button={<><Icon name="calendar" /> {period.label} <Icon name="down" /></>}>
      {(close) => (
        <>
          {PRESETS.map(([name, label]) => (
            <button type="button" class="menu-item" key={name} onClick={() => (go(undefined, { range: name, since: null, until: null, back: null }), close())}>
              {label}
              {period.preset === name && <span class="end"><Icon name="check" /></span>}
            </button>
          ))}
          <CustomRange period={period} close={close} />
        </>
      )}
    </Menu>
  );
}

const local = (ms: number): string => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

function CustomRange({ period, close }: { period: Period; close: () => void }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const [since, until] = [Date.parse(String(form.get("since"))), Date.parse(String(form.get("until")))];
    if (!(since < until)) return;
    go(undefined, { range: null, since: new Date(since).toISOString(), until: new Date(until).toISOString(), back: null });
    close();
  };
  return (
    <form class="menu-form" onSubmit={submit}>
      <label>
        From <input class="input" type="datetime-local" name="since" defaultValue={local(period.since)} required />
      </label>
      <label>
        To <input class="input" type="datetime-local" name="until" defaultValue={local(period.until)} required />
      </label>
      <button type="submit" class="button">
        Apply
      </button>
    </form>
  );
}

function Chips({ filters }: { filters: readonly FilterKey[] }) {
  const place = usePlace();
  if (!filters.length) return null;
  const set = filtersOf(place, filters);
  return (
    <div class="chips" role="group" aria-label="Filters">
      {filters.filter(({ key }) => key in set).map(({ key, label }) => (
        <span class="chip" key={key}>
          {label} <b title={set[key]}>{set[key]!.split(",").map((value) => labelOf(key, value)).join(" or ")}</b>
          <button type="button" aria-label={`Remove the filter ${label}`} onClick={() => setFilter(key, null)}>
            <Icon name="close" />
          </button>
        </span>
      ))}
      <Menu label="Add a filter" button={<><Icon name="plus" /> Filter</>}>
        {(close) => <FilterForm filters={filters} close={close} />}
      </Menu>
    </div>
  );
}

function FilterForm({ filters, close }: { filters: readonly FilterKey[]; close: () => void }) {
  const [key, setKey] = useState(filters[0]!.key);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget as HTMLFormElement).get("value")).trim();
    const value = offered(key).find(([, label]) => label === typed)?.[0] ?? typed;
    if (value) setFilter(key, value);
    close();
  };
  return (
    <form class="menu-form" onSubmit={submit}>
      <label>
        Filter by
        <select class="input" value={key} onChange={(event) => setKey(event.currentTarget.value)}>
          {filters.map((one) => (
            <option key={one.key} value={one.key}>
              {one.label}
            </option>
          ))}
        </select>
      </label>
      <label>
        Value
        <input class="input" name="value" list="offered" autocomplete="off" required />
      </label>
      <datalist id="offered">
        {offered(key).map(([value, label]) => (
          <option key={value} value={label} />
        ))}
      </datalist>
      <button type="submit" class="button">
        Add filter
      </button>
    </form>
  );
}

/** How fresh the reads are: the age of the oldest accepted message that no read can see yet. */
function Live() {
  const system = useRead("/api/system");
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 5_000);
    return () => clearInterval(timer);
  }, []);
  if (!system.data) return null;
  const fresh = system.dataUpdatedAt - system.data.lag_seconds * 1_000;
  const late = Date.now() - fresh > 60_000;
  const tone = system.data.problems.length ? "bad" : late || system.error ? "warn" : "good";
  const text = system.data.problems.length ? system.data.problems.join("; ") : `Fresh as of ${ago(fresh)}`;
  return (
    <span class="live" title={`Everything accepted before ${utc(fresh)} is in these numbers`}>
      <span class={`dot ${tone}`} />
      {text}
    </span>
  );
}

function Offline() {
  const [offline, setOffline] = useState(!navigator.onLine);
  const system = useRead("/api/system");
  useEffect(() => {
    const see = (): void => setOffline(!navigator.onLine);
    addEventListener("online", see);
    addEventListener("offline", see);
    return () => {
      removeEventListener("online", see);
      removeEventListener("offline", see);
    };
  }, []);
  if (!offline && !(system.error?.status === 0)) return null;
  return (
    <div class="banner" role="status">
      The server cannot be reached. What you see stays; it is asked again by itself.
    </div>
  );
}
