/** Settings: tokens, members, clients to connect, customers. */
import { useQueryClient } from "@tanstack/preact-query";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError, send, signOut, useRead, type Answer } from "../lib/api";
import { ago, moment, utc, words } from "../lib/format";
import { Card, Segments, States } from "../ui/card";
import { Confirm } from "../ui/confirm";
import { Screen } from "../ui/screen";
import { choose, chosen, useTheme, type Theme } from "../lib/theme";
import { DataTable, type Column } from "../ui/table";
import { ConnectCards, Snippet } from "./connect";

type Token = Answer<"/api/tokens">[number];
type Member = Answer<"/api/members">[number];
type Customer = Answer<"/api/customers">[number];

export default function Settings() {
  const me = useRead("/api/me", {}, { poll: false });
  const admin = me.data?.scopes.includes("admin");
  return (
    <Screen title="Settings" timed={false}>
      <Card title="You">
        <States of={me} height={96}>
          {(who) => (
            <dl class="facts">
              <dt>Customer</dt>
              <dd>
                {who.customer_name} <code class="dim">{who.customer}</code>
              </dd>
              <dt>Signed in</dt>
              <dd>
                {who.email ?? "with a token"}, may {who.scopes.join(", ")}
              </dd>
              <dt>Theme</dt>
              <dd>
                <ThemeChoice />
              </dd>
              <dt>Session</dt>
              <dd>
                <button type="button" class="button" onClick={() => void signOut()}>
                  Sign out
                </button>
              </dd>
            </dl>
          )}
        </States>
      </Card>
      {admin && <Tokens />}
      {admin && <Members />}
      {admin && (
        <section aria-labelledby="connect">
          <h2 id="connect" class="section">
            Connect a client
          </h2>
          <ConnectCards />
        </section>
      )}
      {me.data?.operator && <Customers />}
      {me.data && !admin && <p class="dim">Tokens, members and connections are managed by admins.</p>}
    </Screen>
  );
}

function ThemeChoice() {
  useTheme();
  return <Segments<Theme> label="Theme" value={chosen()} onChange={choose} options={[["system", "System"], ["light", "Light"], ["dark", "Dark"]]} />;
}

/** Something is sent, what came back is said, lists are asked again. */
function useAct(): { said: string; act: <T>(work: () => Promise<T>) => Promise<T | null> } {
  const client = useQueryClient();
  const [said, setSaid] = useState("");
  const act = async <T,>(work: () => Promise<T>): Promise<T | null> => {
    try {
      const done = await work();
      setSaid("");
      return done;
    } catch (error) {
      setSaid(error instanceof ApiError ? `${error.message} (${error.code})` : "That did not work.");
      return null;
    } finally {
      await client.invalidateQueries();
    }
  };
  return { said, act };
}

const when = (text: string | null): ComponentChildren => (text ? <span title={utc(Date.parse(text))}>{ago(Date.parse(text))}</span> : "never");
const STATE: Readonly<Record<string, string>> = { valid: "good", expired: "warn", revoked: "bad" };

function Tokens() {
  const tokens = useRead("/api/tokens");
  const { said, act } = useAct();
  const [issued, setIssued] = useState<string | null>(null);
  const [asking, setAsking] = useState<Token | null>(null);
  const [making, setMaking] = useState(false);
  const issue = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const made = await act(() => send<{ token: string }>("POST", "/api/tokens", { label: String(form.get("label")), scopes: form.getAll("scope") }));
    if (made) setIssued(made.token);
    if (made) setMaking(false);
  };
  const columns: readonly Column<Token>[] = [
    { id: "label", title: "Label", value: (one) => one.label, show: (one) => one.label || <span class="dim">none</span> },
    { id: "id", title: "Id", value: (one) => one.token_id, show: (one) => <code class="dim">{one.token_id}</code> },
    { id: "scopes", title: "May", value: (one) => one.scopes.join(", ") },
    {
      id: "state",
      title: "State",
      value: (one) => one.state,
      show: (one) => (
        <span class="state">
          <span class={`dot ${STATE[one.state] ?? ""}`} />
          {one.state}
          {one.expires_at && one.state === "valid" && <span class="dim">until {moment(Date.parse(one.expires_at))}</span>}
        </span>
      ),
    },
    { id: "used", title: "Last used", value: (one) => one.last_used_at, show: (one) => when(one.last_used_at) },
    {
      id: "act",
      title: "",
      value: () => "",
      show: (one) =>
        one.state === "valid" && (
          <span class="actions">
            <button type="button" class="button" onClick={() => void act(() => send<{ token: string }>("POST", `/api/tokens/${one.token_id}/rotate`, {})).then((made) => made && setIssued(made.token))}>
              Rotate
            </button>
            <button type="button" class="button danger" onClick={() => setAsking(one)}>
              Revoke
            </button>
          </span>
        ),
    },
  ];
  return (
    <Card title="Tokens" flush note={said} meaning="What clients send with. Give each client its own." tools={<button type="button" class="button" onClick={() => setMaking(!making)}>New token</button>}>
      {issued && (
        <div class="card-body">
          <p class="dim">The new token, shown only now:</p>
          <Snippet text={issued} />
        </div>
      )}
      {making && (
        <form class="row-form" onSubmit={(event) => void issue(event)}>
          <label class="field">
            Label <input class="input" name="label" maxLength={200} required />
          </label>
          <fieldset>
            <legend class="dim">May</legend>
            {["ingest", "read", "admin"].map((scope) => (
              <label key={scope}>
                <input type="checkbox" name="scope" value={scope} defaultChecked={scope === "ingest"} /> {scope}
              </label>
            ))}
          </fieldset>
          <button type="submit" class="button primary">
            Issue
          </button>
        </form>
      )}
      <States of={tokens}>{(list) => <DataTable label="Tokens" rows={list} columns={columns} rowKey={(one) => one.token_id} page={12} />}</States>
      {asking && (
        <Confirm title="Revoke a token" text={`Clients that send with “${asking.label || asking.token_id}” are refused from now on, and what they send is lost.`} word={asking.label || asking.token_id} act="Revoke" onDone={(yes) => (setAsking(null), yes && void act(() => send("POST", `/api/tokens/${asking.token_id}/revoke`)))} />
      )}
    </Card>
  );
}

function Members() {
  const members = useRead("/api/members");
  const { said, act } = useAct();
  const [link, setLink] = useState<string | null>(null);
  const [asking, setAsking] = useState<Member | null>(null);
  const path = (one: Member): string => `/api/members/${encodeURIComponent(one.email)}`;
  const add = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const values = new FormData(form);
    if (await act(() => send("POST", "/api/members", { email: String(values.get("email")), role: String(values.get("role")) }))) form.reset();
  };
  const columns: readonly Column<Member>[] = [
    { id: "email", title: "E-mail", value: (one) => one.email },
    {
      id: "role",
      title: "Role",
      value: (one) => one.role,
      show: (one) => (
        <select class="input" aria-label={`Role of ${one.email}`} value={one.role} onChange={(event) => void act(() => send("PUT", path(one), { role: event.currentTarget.value }))}>
          <option value="member">member</option>
          <option value="admin">admin</option>
        </select>
      ),
    },
    { id: "since", title: "Since", value: (one) => one.created_at, show: (one) => when(one.created_at) },
    {
      id: "act",
      title: "",
      value: () => "",
      show: (one) => (
        <span class="actions">
          <button type="button" class="button" onClick={() => void act(() => send<{ url: string }>("POST", `${path(one)}/signin-link`)).then((made) => made && setLink(made.url))}>
            Sign-in link
          </button>
          <button type="button" class="button danger" onClick={() => setAsking(one)}>
            Remove
          </button>
        </span>
      ),
    },
  ];
  return (
    <Card title="Members" flush note={said} meaning="Who may sign in. Pass a sign-in link on; it works once.">
      {link && (
        <div class="card-body">
          <p class="dim">Works once; pass it on to the member:</p>
          <Snippet text={link} />
        </div>
      )}
      <form class="row-form" onSubmit={(event) => void add(event)}>
        <label class="field">
          E-mail <input class="input" type="email" name="email" required />
        </label>
        <label class="field">
          Role
          <select class="input" name="role">
            <option value="member">member</option>
            <option value="admin">admin</option>
          </select>
        </label>
        <button type="submit" class="button">
          Add member
        </button>
      </form>
      <States of={members} height={80} isEmpty={(list) => !list.length} empty="No member yet: only tokens can sign in.">
        {(list) => <DataTable label="Members" rows={list} columns={columns} rowKey={(one) => one.email} page={12} />}
      </States>
      {asking && <Confirm title="Remove a member" text={`${asking.email} is signed out everywhere and cannot sign in again.`} word={asking.email} act="Remove" onDone={(yes) => (setAsking(null), yes && void act(() => send("DELETE", path(asking))))} />}
    </Card>
  );
}

const CUSTOMERS: readonly Column<Customer>[] = [
  { id: "name", title: "Name", value: (one) => one.name },
  { id: "id", title: "Id", value: (one) => one.customer_id, show: (one) => <code class="dim">{one.customer_id}</code> },
  { id: "tier", title: "Tier", value: (one) => one.tier, show: (one) => words(one.tier) },
  { id: "since", title: "Since", value: (one) => one.created_at, show: (one) => when(one.created_at) },
  { id: "seen", title: "Last seen", value: (one) => one.last_seen_at, show: (one) => when(one.last_seen_at) },
];

function Customers() {
  const customers = useRead("/api/customers");
  return (
    <Card title="Customers" flush meaning="All customers of this installation. Their data is seen only by themselves.">
      <States of={customers}>{(list) => <DataTable label="Customers" rows={list} columns={CUSTOMERS} rowKey={(one) => one.customer_id} page={12} />}</States>
    </Card>
  );
}
