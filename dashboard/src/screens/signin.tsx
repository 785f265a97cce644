/** Paste a token once; the server keeps it in a cookie that no script can read. */
import { useQueryClient } from "@tanstack/preact-query";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, signIn } from "../lib/api";
import { Logo } from "../ui/icons";

export function SignIn() {
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Sign in · Raingauge";
    input.current?.focus();
  }, []);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      client.clear();
      await signIn(input.current?.value.trim() ?? "");
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : "Signing in failed.");
    }
    setBusy(false);
  };
  return (
    <main class="signin">
      <form onSubmit={(event) => void submit(event)}>
        <Logo />
        <div>
          <h1>Sign in to Raingauge</h1>
          <p class="dim">Open the sign-in link that the server printed when it started, or paste a token that may read.</p>
        </div>
        <label class="field">
          Token
          <input ref={input} class="input" name="token" type="password" autocomplete="current-password" spellcheck={false} placeholder="rgk_…" required aria-invalid={problem !== ""} aria-describedby="signin-problem" />
        </label>
        <p id="signin-problem" role="alert" class={problem ? "delta bad" : "sr"}>
          {problem}
        </p>
        <button type="submit" class="button primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <p class="dim">
          No token? <code>raingauge token issue --name my-team --scope read</code>
        </p>
      </form>
    </main>
  );
}
