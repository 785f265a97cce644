/** People whose readable names are kept, and how to forget one of them. */
import { useState } from "preact/hooks";
import { useAct } from "../lib/act";
import { send, useRead, type Answer } from "../lib/api";
import { count } from "../lib/format";
import { Card, States } from "../ui/card";
import { Confirm } from "../ui/confirm";
import { DataTable, type Column } from "../ui/table";

type Person = Answer<"/api/people">["people"][number];
type Erased = { names: number; rows: Record<string, number> };

const told = ({ names, rows }: Erased): string => {
  const gone = Object.values(rows).reduce((sum, n) => sum + n, 0);
  return names || gone ? `${count(names)} ${names === 1 ? "name" : "names"} and ${count(gone)} rows deleted.` : "Nothing is kept under that name or hash.";
};

export function People() {
  const people = useRead("/api/people", {}, { poll: 60_000 });
  const { said, act } = useAct();
  const [typed, setTyped] = useState("");
  const [asking, setAsking] = useState<string | null>(null);
  const [facts, setFacts] = useState(false);
  const wanted = typed.trim().toLowerCase();
  const all = people.data?.people ?? [];
  const shown = all.filter((one) => !wanted || one.name.toLowerCase().includes(wanted) || one.key.startsWith(wanted));
  const forget = (yes: boolean): void => {
    const person = asking;
    setAsking(null);
    if (yes && person) void act(() => send<Erased>("POST", "/api/people/forget", { person, facts }), told);
    if (yes) setTyped("");
  };
  const columns: readonly Column<Person>[] = [
    { id: "name", title: "Name", value: (one) => one.name },
    { id: "key", title: "Stands in facts as", value: (one) => one.key, show: (one) => <code class="dim" title={one.key}>{one.key.slice(0, 12)}</code> },
    {
      id: "act",
      title: "",
      numeric: true,
      value: () => "",
      show: (one) => (
        <button type="button" class="button danger" aria-label={`Forget ${one.name}`} onClick={() => setAsking(one.name)}>
          Forget
        </button>
      ),
    },
  ];
  return (
    <Card title="People" flush note={said || (people.data ? `${count(all.length)}${people.data.more ? " and more" : ""} with a readable name` : "")} meaning="Facts hold a keyed hash of each person. The readable names stand apart, encrypted; only admins see this list.">
      <div class="row-form">
        <label class="field">
          Name, address or hash
          <input class="input" type="search" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" />
        </label>
        {wanted && !shown.length && (
          <button type="button" class="button danger" onClick={() => setAsking(typed.trim())}>
            Forget “{typed.trim()}”
          </button>
        )}
      </div>
      <States of={people} height={120} isEmpty={() => !shown.length} empty={wanted ? "Nobody on the list is called that. A person whose name is not kept can be forgotten by address, id or hash." : "No readable name is kept."}>
        {() => <DataTable label="People" rows={shown} columns={columns} rowKey={(one) => one.key} sort="name" page={8} />}
      </States>
      {asking && (
        <Confirm
          title="Forget a person"
          text={`The readable name of ${asking} is deleted for good. While this person's clients go on sending, the name comes back.`}
          word={asking}
          act="Forget"
          onDone={forget}
        >
          <label class="check">
            <input type="checkbox" checked={facts} onChange={(event) => setFacts(event.currentTarget.checked)} /> Also delete every row about this person
          </label>
        </Confirm>
      )}
    </Card>
  );
}
