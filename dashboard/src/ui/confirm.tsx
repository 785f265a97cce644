/** Before something is lost: what will be lost, and a word to type. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface ConfirmProps {
  title: string;
  text: string;
  /** What has to be typed. */
  word: string;
  act: string;
  onDone: (yes: boolean) => void;
  /** What may be chosen besides. */
  children?: ComponentChildren;
}

export function Confirm({ title, text, word, act, onDone, children }: ConfirmProps) {
  const [typed, setTyped] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => input.current?.focus(), []);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (typed.trim() === word) onDone(true);
  };
  return (
    <div class="veil" onClick={(event) => event.target === event.currentTarget && onDone(false)}>
      <form class="dialog" role="dialog" aria-modal="true" aria-label={title} onSubmit={submit} onKeyDown={(event) => event.key === "Escape" && onDone(false)}>
        <div class="dialog-body">
          <h2>{title}</h2>
          <p>{text}</p>
          {children}
          <label class="field">
            Type {word} to go on
            <input ref={input} class="input" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" />
          </label>
          <div class="actions">
            <button type="button" class="button" onClick={() => onDone(false)}>
              Cancel
            </button>
            <button type="submit" class="button danger" disabled={typed.trim() !== word}>
              {act}
            </button>
          </div>
        </div>
      </form>
    </div>
  );
}
