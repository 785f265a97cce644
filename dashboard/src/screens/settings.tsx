/** Settings: tokens, members, clients to connect, customers. */
import { useState } from "preact/hooks";
import { useAct } from "../lib/act";
import { send, signOut, useRead, type Answer } from "../lib/api";
import { day, utc } from "../lib/format";
import { Card, Segments, States } from "../ui/card";
import { Ago } from "../ui/ago";
import { Confirm } from "../ui/confirm";
import { Screen } from "../ui/screen";
import { choose, chosen, useTheme, type Theme } from "../lib/theme";
import { DataTable, type Column } from "../ui/table";
import { ConnectCards, Snippet } from "./connect";
import { Customers } from "./customers";

type Token = Answer<"/api/tokens">[number];
type Member = Answer<"/api/members">[number];

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
      {me.data?.operator && <Customers own={me.data.customer} />}
      {me.data && !admin && <p class="dim">Tokens, members and connections are managed by admins.</p>}
    </Screen>
  );
}

function ThemeChoice() {
  useTheme();
  return <Segments<Theme> label="Theme" value={chosen()} onChange={choose} options={[["system", "System"], ["light", "Light"], ["dark", "Dark"]]} />;
}

const STATE: Readonly<Record<string, string>> = { valid: "good", expired: "warn", revoked: "bad" };

const EXPIRY = [[0, "never"], [7, "after 7 days"], [30, "after 30 days"], [90, "after 90 days"], [365, "after a year"]] as const;

function Tokens() {
  const tokens = useRead("/api/tokens");
  const { said, act } = useAct();
  const [issued, setIssued] = useState<string | null>(null);
  const [asking, setAsking] = useState<Token | null>(null);
  const [making, setMaking] = useState(false);
  const issue = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const made = await act(() => send<{ token: string }>("POST", "/api/tokens", { label: String(form.get("label")), scopes: form.getAll("scope"), expires_days: Number(form.get("expires")) || null }));
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
          {one.expires_at && one.state !== "revoked" && (
            <span class="dim" title={utc(Date.parse(one.expires_at))}>
              {one.state === "valid" ? "until" : "since"} {day(Date.parse(one.expires_at))}
            </span>
          )}
        </span>
      ),
    },
    { id: "used", title: "Last used", value: (one) => one.last_used_at, show: (one) => <Ago at={one.last_used_at} /> },
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
          <label class="field">
            Ends
            <select class="input" name="expires">
              {EXPIRY.map(([days, text]) => (
                <option key={days} value={days}>
                  {text}
                </option>
              ))}
            </select>
          </label>
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
    { id: "since", title: "Since", value: (one) => one.created_at, show: (one) => <Ago at={one.created_at} /> },
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
