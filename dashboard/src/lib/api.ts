/** Reads and writes of the server's own API. */
import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/preact-query";
import type { paths } from "../api";
import { signedIn, signedOut } from "./session";

export type Params = Readonly<Record<string, string | number | undefined>>;
/** The paths that can be read, and what each answers. */
export type Readable = { [P in keyof paths]: paths[P] extends { get: { responses: { 200: unknown } } } ? P : never }[keyof paths];
export type Answer<P extends keyof paths> = paths[P] extends {
  get: { responses: { 200: { content: { "application/json": infer T } } } };
}
  ? T
  : never;
export type Rows<P extends keyof paths> = Answer<P> extends { data: infer T } ? T : never;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

const POLL_MS = 15_000;
const POLL_MOST_MS = 300_000;
/** Of its time a poll may keep the server busy for a twentieth. */
const POLL_SHARE = 20;
/** How long each read took the last time. */
const took = new Map<string, number>();

export function address(path: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined && value !== "") query.set(name, String(value));
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

export async function send<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-Raingauge-CSRF"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: "same-origin",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The server cannot be reached.");
  }
  const text = await response.text();
  let answer: unknown = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    answer = null;
  }
  if (!response.ok) {
    const { error, detail } = (answer ?? {}) as { error?: string; detail?: string };
    if (response.status === 401) signedOut();
    throw new ApiError(response.status, error ?? `http_${response.status}`, detail ?? sentence(response.status));
  }
  return answer as T;
}

function sentence(status: number): string {
  if (status === 401) return "You are not signed in, or no longer.";
  if (status === 403) return "Your token may not read this.";
  if (status === 404) return "This server does not have that.";
  if (status === 429) return "Too many requests in a short time.";
  return status >= 500 ? "The server could not answer." : "The server refused the request.";
}

export interface Reading {
  /** Milliseconds, or not at all; without it, as often as the server bears well. */
  readonly poll?: number | false;
  readonly enabled?: boolean;
  /** Too much to compare with what was there before, or to ask for again unasked. */
  readonly large?: boolean;
}

/** A read that stays fresh by itself while the tab is seen, and keeps what it has while it asks again. */
export function useRead<P extends Readable>(path: P, params: Params = {}, options: Reading = {}): UseQueryResult<Answer<P>, ApiError> {
  return useAnswer<Answer<P>>(path, params, options);
}

/** The same for a path with a value in it. */
export function useAnswer<T>(path: string, params: Params = {}, { poll, enabled = true, large = false }: Reading = {}): UseQueryResult<T, ApiError> {
  const url = address(path, params);
  return useQuery<T, ApiError>({
    queryKey: [path, params],
    queryFn: async ({ signal }) => {
      const started = performance.now();
      const answer = await send<T>("GET", url, undefined, signal);
      took.set(url, performance.now() - started);
      return answer;
    },
    enabled,
    placeholderData: keepPreviousData,
    refetchInterval: () => poll ?? Math.max(POLL_MS, Math.min(POLL_MOST_MS, POLL_SHARE * (took.get(url) ?? 0))),
    refetchIntervalInBackground: false,
    ...(large ? { structuralSharing: false, staleTime: Infinity, gcTime: 0 } : {}),
  });
}

/** Exchange a token for a session of this browser. Raises ApiError when the server refuses it. */
export async function signIn(token: string): Promise<void> {
  await send("POST", "/api/session", { token });
  signedIn();
}

export async function signOut(): Promise<void> {
  await send("DELETE", "/api/session");
  signedOut();
}
