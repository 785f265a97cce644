/** System: does everything that was received end somewhere, how deep is the queue, what is kept. */
import { useState } from "preact/hooks";
import { useAct } from "../lib/act";
import { send, useRead, type Answer } from "../lib/api";
import { download } from "../lib/csv";
import { ago, bytes, count, duration, MISSING, seconds, utc, words } from "../lib/format";
import { go, href, usePlace } from "../lib/place";
import { Card, Empty, IconButton, States } from "../ui/card";
import { Confirm } from "../ui/confirm";
import { Figure, Figures } from "../ui/figures";
import { Screen } from "../ui/screen";
import { cells, DataTable, type Column } from "../ui/table";
import { fileName } from "../ui/chart";
import { People } from "./people";

type Report = Answer<"/api/system">;
type Installation = NonNullable<Report["installation"]>;
type Letter = Answer<"/api/dead-letters">["dead_letters"][number];
type StoredTable = Answer<"/api/stored">["tables"][number];

export default function System() {
  const system = useRead("/api/system", {}, { poll: 5_000 });
  const admin = useRead("/api/me", {}, { poll: false }).data?.scopes.includes("admin");
  const installation = system.data?.installation;
  return (
    <Screen title="System" timed={false}>
      <Figures label="Key figures">
        <Figure loading={!system.data && !system.error} label="Lag" value={system.data ? system.data.lag_seconds * 1_000 : null} format={duration} state={(system.data?.lag_seconds ?? 0) > 60 ? "bad" : undefined} meaning="Age of the oldest accepted message that no read can see yet." />
        {installation && (
          <>
            <Figure label="Queued" value={installation.queue_messages} format={count} note={bytes(installation.queue_bytes)} meaning="Messages on disk that are not stored as rows yet." />
            <Figure label="Oldest waiting" value={installation.queue_messages ? installation.queue_oldest_seconds * 1_000 : null} format={duration} meaning="Age of the message that has waited longest in the queue." />
            <Figure label="Dead letters" value={installation.dead_letters} format={count} state={installation.dead_letters ? "bad" : undefined} meaning="Messages that could not be stored after all tries." />
            <Figure label="Stored" value={installation.storage.reduce((sum, one) => sum + one.bytes, 0)} format={bytes} note={`${count(installation.storage.reduce((sum, one) => sum + one.rows, 0))} rows`} />
          </>
        )}
        {system.data && <Figure label="Problems" value={system.data.problems.length} format={(value) => (value ? count(value) : "none")} state={system.data.problems.length ? "bad" : "good"} note={system.data.problems.join("; ")} />}
      </Figures>
      {!system.data ? (
        <Card title="System">
          <States of={system} height={280}>
            {() => null}
          </States>
        </Card>
      ) : installation ? (
        <>
          <Accounting installation={installation} />
          <Rejects installation={installation} />
          <Timings installation={installation} />
          <DeadLetters />
        </>
      ) : (
        <p class="dim">Accounting, queue and storage concern all customers together; they are shown to operators of this installation.</p>
      )}
      {admin && <People />}
      <Stored installation={installation ?? null} />
      <p class="footnote">Raingauge {system.data?.version}</p>
    </Screen>
  );
}

interface Account {
  contract: string;
  received: number;
  stored: number;
  duplicate: number;
  rejected: number;
  quarantined: number;
}

function accounts(installation: Installation): Account[] {
  const found = new Map<string, Account>();
  for (const line of installation.accounting) {
    const one = found.get(line.contract) ?? { contract: line.contract, received: 0, stored: 0, duplicate: 0, rejected: 0, quarantined: 0 };
    one[line.outcome as Exclude<keyof Account, "contract">] += line.items;
    found.set(line.contract, one);
  }
  return [...found.values()];
}

const open = (one: Account): number => one.received - one.stored - one.duplicate - one.rejected - one.quarantined;

const ACCOUNTS: readonly Column<Account>[] = [
  { id: "contract", title: "Contract", value: (one) => one.contract },
  ...(["received", "stored", "duplicate", "rejected", "quarantined"] as const).map((name): Column<Account> => ({ id: name, title: words(name), numeric: true, value: (one) => one[name], show: (one) => count(one[name]) })),
  {
    id: "open",
    title: "Balance",
    numeric: true,
    value: open,
    show: (one) => (
      <span class="state">
        <span class={open(one) ? "dot warn" : "dot good"} />
        {open(one) ? `${count(open(one))} open` : "balanced"}
      </span>
    ),
  },
];

function Accounting({ installation }: { installation: Installation }) {
  const rows = accounts(installation);
  return (
    <Card title="Accounting" flush meaning="Once the queue is empty, received = stored + duplicate + rejected + quarantined. Since the data directory was made." tools={<Csv name="Accounting" columns={ACCOUNTS} rows={rows} />}>
      {rows.length ? <DataTable label="Accounting" rows={rows} columns={ACCOUNTS} rowKey={(one) => one.contract} /> : <Empty>Nothing has been received yet.</Empty>}
    </Card>
  );
}

function Csv<T>({ name, columns, rows }: { name: string; columns: readonly Column<T>[]; rows: readonly T[] }) {
  return <IconButton icon="download" label="Download CSV" onClick={() => download(fileName(name), columns.map((one) => one.title), cells(columns, rows))} />;
}

type Counted = Installation["accounting"][number];
const REJECTS: readonly Column<Counted>[] = [
  { id: "reason", title: "Reason", value: (one) => one.reason, show: (one) => words(one.reason) },
  { id: "contract", title: "Contract", value: (one) => one.contract },
  { id: "outcome", title: "Ended as", value: (one) => one.outcome },
  { id: "items", title: "Items", numeric: true, value: (one) => one.items, show: (one) => count(one.items) },
];

function Rejects({ installation }: { installation: Installation }) {
  const rows = installation.accounting.filter((one) => (one.outcome === "rejected" || one.outcome === "quarantined") && one.items);
  return (
    <Card title="Not stored, and why" span={6} flush meaning="Items that were refused or set aside, by reason.">
      {rows.length ? <DataTable label="Not stored, and why" rows={rows} columns={REJECTS} rowKey={(one) => `${one.contract} ${one.outcome} ${one.reason}`} sort="-items" page={8} /> : <Empty>Everything that was received was stored.</Empty>}
    </Card>
  );
}

const STEPS: Readonly<Record<string, string>> = { commit: "Commit to disk", decode: "Decode a batch", insert: "Insert rows", visible: "Until visible", query: "Answer a read" };
type Timing = Installation["timings"][number];
const atMost = (value: number | null, one: Timing): string => (value !== null ? `≤ ${seconds(value)}` : one.count ? `> ${seconds(one.scale_seconds)}` : MISSING);
const TIMINGS: readonly Column<Timing>[] = [
  { id: "step", title: "Step", value: (one) => one.step, show: (one) => STEPS[one.step] ?? one.step },
  { id: "mean", title: "Mean", numeric: true, value: (one) => one.mean_seconds, show: (one) => seconds(one.mean_seconds) },
  { id: "p50", title: "Half within", numeric: true, value: (one) => one.p50_at_most_seconds, show: (one) => atMost(one.p50_at_most_seconds, one) },
  { id: "p99", title: "99 % within", numeric: true, value: (one) => one.p99_at_most_seconds, show: (one) => atMost(one.p99_at_most_seconds, one) },
  { id: "n", title: "n", numeric: true, value: (one) => one.count, show: (one) => count(one.count) },
];

function Timings({ installation }: { installation: Installation }) {
  return (
    <Card title="Times of the data path" span={6} flush meaning="Since this process started.">
      <DataTable label="Times of the data path" rows={installation.timings} columns={TIMINGS} rowKey={(one) => one.step} />
    </Card>
  );
}

function DeadLetters() {
  const letters = useRead("/api/dead-letters");
  const [asking, setAsking] = useState(false);
  const { said, act: write } = useAct();
  const act = (what: "retry" | "purge", ids: number[] | null): Promise<unknown> =>
    write(() => send<{ messages: number }>("POST", `/api/dead-letters/${what}`, { message_ids: ids }), (done) => `${count(done.messages)} ${what === "retry" ? "queued again" : "deleted"}.`);
  const columns: readonly Column<Letter>[] = [
    { id: "received", title: "Received", value: (one) => one.received_at, show: (one) => <span title={utc(Date.parse(one.received_at))}>{ago(Date.parse(one.received_at))}</span> },
    { id: "intake", title: "Intake", value: (one) => one.intake },
    { id: "reason", title: "Last reason", value: (one) => one.failures.at(-1)?.reason ?? "", show: (one) => <span title={one.failures.at(-1)?.detail}>{words(one.failures.at(-1)?.reason ?? "")}</span> },
    { id: "tries", title: "Tries", numeric: true, value: (one) => one.failures.length },
    { id: "size", title: "Size", numeric: true, value: (one) => one.size_bytes, show: (one) => bytes(one.size_bytes) },
    { id: "expires", title: "Expires", value: (one) => one.expires_at, show: (one) => utc(Date.parse(one.expires_at)) },
    {
      id: "act",
      title: "",
      value: () => "",
      show: (one) => (
        <button type="button" class="button" onClick={() => void act("retry", [one.message_id])}>
          Retry
        </button>
      ),
    },
  ];
  const list = letters.data?.dead_letters ?? [];
  return (
    <Card
      title="Dead letters"
      flush
      note={said}
      meaning="Messages that could not be decoded or stored. They are kept encrypted until they expire."
      tools={
        list.length > 0 && (
          <>
            <button type="button" class="button" onClick={() => void act("retry", null)}>
              Retry all
            </button>
            <button type="button" class="button danger" onClick={() => setAsking(true)}>
              Delete all
            </button>
          </>
        )
      }
    >
      <States of={letters} isEmpty={(data) => !data.dead_letters.length} empty="None. Every message so far could be stored or was counted with a reason.">
        {(data) => <DataTable label="Dead letters" rows={data.dead_letters} columns={columns} rowKey={(one) => String(one.message_id)} page={10} />}
      </States>
      {asking && (
        <Confirm title="Delete all dead letters" text={`${count(list.length)} messages and what they carried will be lost for good.`} word="delete" act="Delete all" onDone={(yes) => (setAsking(false), yes && void act("purge", null))} />
      )}
    </Card>
  );
}

function Stored({ installation }: { installation: Installation | null }) {
  const stored = useRead("/api/stored", {}, { poll: false });
  const place = usePlace();
  const shown = place.query.get("table");
  const sizes = new Map((installation?.storage ?? []).map((one) => [one.table, one]));
  const columns: readonly Column<StoredTable>[] = [
    { id: "table", title: "Table", value: (one) => one.table, show: (one) => <code>{one.table}</code> },
    { id: "title", title: "Contract", value: (one) => one.title },
    { id: "kind", title: "Holds", value: (one) => (one.sums ? "daily sums" : "single facts") },
    { id: "columns", title: "Columns", numeric: true, value: (one) => one.columns.length },
    { id: "rows", title: "Rows", numeric: true, value: (one) => sizes.get(one.table)?.rows, show: (one) => count(sizes.get(one.table)?.rows) },
    { id: "bytes", title: "Size", numeric: true, value: (one) => sizes.get(one.table)?.bytes, show: (one) => bytes(sizes.get(one.table)?.bytes) },
    { id: "kept", title: "Kept", numeric: true, value: (one) => one.retention_days ?? Infinity, show: (one) => <span title={one.retention_setting}>{one.retention_days ? `${count(one.retention_days)} days` : "no limit"}</span> },
  ];
  return (
    <>
      <Card title="What is stored" flush meaning="Made from the table definitions: what has no column here is kept nowhere. A click shows a table's columns." tools={stored.data && <Csv name="What is stored" columns={columns} rows={stored.data.tables} />}>
        <States of={stored} height={280}>
          {(data) => <DataTable label="What is stored" rows={data.tables} columns={columns} rowKey={(one) => one.table} selected={shown ?? undefined} open={(one) => href("/system", { table: one.table === shown ? null : one.table })} />}
        </States>
      </Card>
      {shown && stored.data && <Columns table={stored.data.tables.find((one) => one.table === shown)} everywhere={stored.data.everywhere} />}
      <p class="footnote">
        People appear under a keyed hash; their readable names stand apart, encrypted. <code>raingauge forget</code> removes a person. IP addresses are never written.
      </p>
    </>
  );
}

const WHY: readonly Column<StoredTable["columns"][number]>[] = [
  { id: "name", title: "Column", value: (one) => one.name, show: (one) => <code>{one.name}</code> },
  { id: "why", title: "Why it is kept", value: (one) => one.why },
  { id: "type", title: "Type", value: (one) => one.type, show: (one) => <code class="dim">{one.type}</code> },
];

function Columns({ table, everywhere }: { table: StoredTable | undefined; everywhere: StoredTable["columns"] }) {
  if (!table) return null;
  return (
    <Card title={`Columns of ${table.table}`} flush tools={<IconButton icon="close" label="Close" onClick={() => go(undefined, { table: null })} />}>
      <DataTable label={`Columns of ${table.table}`} rows={table.sums ? table.columns : [...table.columns, ...everywhere]} columns={WHY} rowKey={(one) => one.name} page={100} />
    </Card>
  );
}
