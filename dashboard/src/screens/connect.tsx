/** Settings to paste into a client, with the real address and a fresh token, and a line that turns green by itself. */
import { useState } from "preact/hooks";
import type { components } from "../api";
import { ApiError, send, useRead, type Answer } from "../lib/api";
import { ago } from "../lib/format";
import { href } from "../lib/place";
import { Card, Segments, States } from "../ui/card";

type Shown = Answer<"/api/connections">[number];
type Connected = components["schemas"]["Connected"];

/** In place of a screen that has no data yet: how to send some. */
export function ConnectOr({ client, text }: { client: string; text: string }) {
  return (
    <>
      <p class="dim">
        {text} Connect a client, or{" "}
        <a class="link" href={href(undefined, { range: "90d", since: null, until: null, back: null })}>
          look at the last 90 days
        </a>
        .
      </p>
      <ConnectCards only={client.split(",")} />
    </>
  );
}

export function ConnectCards({ only }: { only?: readonly string[] }) {
  const connections = useRead("/api/connections", {}, { poll: false });
  if (connections.error?.status === 403) return <p class="dim">Only an admin may connect clients.</p>;
  return (
    <States of={connections} height={240} isEmpty={(list) => !list.some((one) => !only || only.includes(one.client))} empty="This server has no ready-made settings for such a client; see its documentation.">
      {(list) => (
        <div class="connect">
          {list
            .filter((one) => !one.family && (!only || only.includes(one.client)))
            .map((one) => (
              <ConnectCard key={one.client} connection={one} />
            ))}
        </div>
      )}
    </States>
  );
}

function ConnectCard({ connection }: { connection: Shown }) {
  const [made, setMade] = useState<Connected | null>(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const connect = async (): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      setMade(await send<Connected>("POST", `/api/connections/${encodeURIComponent(connection.client)}`));
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : "That did not work.");
    }
    setBusy(false);
  };
  return (
    <Card title={connection.title} note={connection.form} tools={!made && <button type="button" class="button" disabled={busy} onClick={() => void connect()}>{busy ? "Issuing…" : "Show settings"}</button>}>
      {made ? (
        <>
          <Parts parts={made.parts} />
          <FirstEvent token={made.token_id} />
        </>
      ) : (
        <p class="dim">Issues a token that may {connection.scope === "read" ? "read" : "only send"} and shows what to paste.</p>
      )}
      {problem && (
        <p class="delta bad" role="alert">
          {problem}
        </p>
      )}
    </Card>
  );
}

const SHELL = /Win/.test(navigator.platform) ? "PowerShell" : "bash, zsh";

/** The same settings for each shell; what this machine most likely runs is shown first. */
function Parts({ parts }: Pick<Connected, "parts">) {
  const [name, setName] = useState((parts.length > 1 && parts[0]!.notes === "" && parts.find((one) => one.name === SHELL)?.name) || parts[0]!.name);
  const shown = parts.find((one) => one.name === name)!;
  const label = (one: Connected["parts"][number]): string => (one.notes ? "Settings file" : one.name);
  return (
    <>
      {parts.length > 1 && <Segments label="Form" value={name} onChange={setName} options={parts.map((one) => [one.name, label(one)] as const)} />}
      {shown.notes && <p class="notes">{shown.notes}</p>}
      <Snippet text={shown.text} />
    </>
  );
}

export function Snippet({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <div class="snippet">
      <pre tabIndex={0}>{text}</pre>
      <button type="button" class="button" onClick={() => void copy()}>
        {copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}

/** Asks often while somebody waits, and stops once the token was used. */
function FirstEvent({ token }: { token: string }) {
  const [seen, setSeen] = useState(false);
  const system = useRead("/api/system", {}, { poll: seen ? false : 2_000 });
  const used = system.data?.clients.find((one) => one.token_id === token)?.last_used_at;
  if (used && !seen) setSeen(true);
  return (
    <p class={used ? "waiting-line good" : "waiting-line"} role="status">
      <span class={used ? "dot good" : "dot waiting"} />
      {used ? `The first event arrived ${ago(Date.parse(used))}.` : "Waiting for the first event… The token is shown only now."}
    </p>
  );
}
