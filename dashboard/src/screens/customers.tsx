/** Customers of this installation, for operators: add one with its first admin, delete one with all that is its own. */
import { useState } from "preact/hooks";
import type { components } from "../api";
import { useAct } from "../lib/act";
import { send, useRead, type Answer } from "../lib/api";
import { count, words } from "../lib/format";
import { Ago } from "../ui/ago";
import { Card, States } from "../ui/card";
import { Confirm } from "../ui/confirm";
import { DataTable, type Column } from "../ui/table";
import { Snippet } from "./connect";

type Customer = Answer<"/api/customers">[number];
type Added = components["schemas"]["CustomerAdded"];

export function Customers({ own }: { own: string }) {
  const customers = useRead("/api/customers");
  const { said, act } = useAct();
  const [added, setAdded] = useState<Added | null>(null);
  const [asking, setAsking] = useState<Customer | null>(null);
  const add = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const values = new FormData(form);
    const made = await act(() => send<Added>("POST", "/api/customers", { name: String(values.get("name")), admin_email: String(values.get("email")), tier: String(values.get("tier")) || null }));
    if (!made) return;
    setAdded(made);
    form.reset();
  };
  const drop = (one: Customer): Promise<unknown> =>
    act(() => send<{ tokens: number; rows: number }>("DELETE", `/api/customers/${encodeURIComponent(one.customer_id)}`), (done) => `${one.name}: ${count(done.tokens)} tokens and ${count(done.rows)} rows deleted.`);
  const columns: readonly Column<Customer>[] = [
    { id: "name", title: "Name", value: (one) => one.name },
    { id: "id", title: "Id", value: (one) => one.customer_id, show: (one) => <code class="dim">{one.customer_id}</code> },
    { id: "tier", title: "LoopGain tier", value: (one) => one.tier, show: (one) => words(one.tier) || "–" },
    { id: "since", title: "Since", value: (one) => one.created_at, show: (one) => <Ago at={one.created_at} /> },
    { id: "seen", title: "Last seen", value: (one) => one.last_seen_at, show: (one) => <Ago at={one.last_seen_at} /> },
    {
      id: "act",
      title: "",
      value: () => "",
      show: (one) =>
        one.customer_id !== own && (
          <span class="actions">
            <button type="button" class="button danger" aria-label={`Delete ${one.name}`} onClick={() => setAsking(one)}>
              Delete
            </button>
          </span>
        ),
    },
  ];
  return (
    <Card title="Customers" flush note={said} meaning="All customers of this installation. Each sees its own data only; operators add and delete customers but cannot look into them.">
      {added && (
        <div class="card-body">
          <p class="dim">Signs the first admin of {added.customer.name} in, once; pass it on:</p>
          <Snippet text={added.link.url} />
        </div>
      )}
      <form class="row-form" onSubmit={(event) => void add(event)}>
        <label class="field">
          Name <input class="input" name="name" maxLength={200} required />
        </label>
        <label class="field">
          E-mail of its first admin <input class="input" type="email" name="email" required />
        </label>
        <label class="field">
          LoopGain tier
          <select class="input" name="tier">
            <option value="">none</option>
            {["individual", "team", "enterprise"].map((tier) => (
              <option key={tier}>{tier}</option>
            ))}
          </select>
        </label>
        <button type="submit" class="button">
          Add customer
        </button>
      </form>
      <States of={customers}>{(list) => <DataTable label="Customers" rows={list} columns={columns} rowKey={(one) => one.customer_id} page={12} />}</States>
      {asking && (
        <Confirm title="Delete a customer" text={`Everything of ${asking.name} is deleted for good: its tokens, members, names of people and all its facts. Its clients are refused from now on.`} word={asking.name} act="Delete" onDone={(yes) => (setAsking(null), yes && void drop(asking))} />
      )}
    </Card>
  );
}
