/** A card and its states: skeleton of the final shape, what failed, why there is nothing, the content. */
import type { UseQueryResult } from "@tanstack/preact-query";
import type { ComponentChildren, JSX } from "preact";
import { ApiError } from "../lib/api";
import { Icon } from "./icons";

interface CardProps {
  title: string;
  /** One sentence of meaning. */
  meaning?: string | undefined;
  note?: ComponentChildren;
  tools?: ComponentChildren;
  span?: 3 | 4 | 5 | 6 | 7 | 8 | 12;
  flush?: boolean;
  children: ComponentChildren;
}

export function Card({ title, meaning, note, tools, span = 12, flush = false, children }: CardProps) {
  return (
    <section class={`card span-${span}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {meaning && <Meaning text={meaning} />}
        {note && <span class="note">{note}</span>}
        {tools && <div class="tools">{tools}</div>}
      </header>
      <div class={flush ? "card-body flush" : "card-body"}>{children}</div>
    </section>
  );
}

export function Meaning({ text }: { text: string }) {
  return (
    <button type="button" class="meaning" aria-label={text}>
      <Icon name="info" />
      <span aria-hidden="true">{text}</span>
    </button>
  );
}

interface StatesProps<T> {
  of: UseQueryResult<T, ApiError>;
  /** Height of the skeleton in pixels. */
  height?: number;
  isEmpty?: (data: T) => boolean;
  empty?: ComponentChildren;
  children: (data: T) => ComponentChildren;
}

/** What a read looks like while it is asked, when it failed, when it found nothing, and otherwise. */
export function States<T>({ of, height = 160, isEmpty, empty, children }: StatesProps<T>) {
  const { data, error, refetch, isFetching } = of;
  if (data === undefined) {
    if (error) return <Failed error={error} retry={() => void refetch()} busy={isFetching} height={height} />;
    return <Skeleton height={height} />;
  }
  if (isEmpty?.(data)) return <Empty>{empty ?? "Nothing in this time range."}</Empty>;
  return <>{children(data)}</>;
}

export function Skeleton({ height }: { height: number }) {
  return <div class="skeleton" style={{ height }} role="status" aria-label="Loading" />;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{typeof children === "string" ? <p>{children}</p> : children}</div>;
}

export function Failed({ error, retry, busy, height = 144 }: { error: ApiError; retry: () => void; busy?: boolean; height?: number }) {
  return (
    <div class="failed" role="alert" style={{ minHeight: Math.min(height, 240) }}>
      <p>
        <strong>This could not be read.</strong> {error.message}
      </p>
      <p>
        <code>{error.code}</code>
      </p>
      <button type="button" class="button" onClick={retry} disabled={busy}>
        {busy ? "Trying…" : "Try again"}
      </button>
    </div>
  );
}

export function Segments<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (value: T) => void }) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([name, text]) => (
        <button type="button" key={name} aria-pressed={name === value} onClick={() => onChange(name)}>
          {text}
        </button>
      ))}
    </div>
  );
}

export function IconButton({ icon, label, ...rest }: { icon: Parameters<typeof Icon>[0]["name"]; label: string } & JSX.ButtonHTMLAttributes) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}
