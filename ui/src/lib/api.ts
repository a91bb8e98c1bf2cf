import { t } from "../i18n";

/** An answer that is not the one hoped for: the server's problem document, or `offline` when none came. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly field?: string,
    readonly requestId?: string,
    readonly retryAfterS?: number,
  ) {
    super(detail || title);
  }

  /** No answer came: what was asked for may or may not have happened. */
  get offline(): boolean {
    return this.status === 0;
  }
}

const TIMEOUT_MS = 15_000;

let csrfToken: string | undefined;
let clockOffsetMs = 0;
const signedOutListeners = new Set<() => void>();

export function setCsrfToken(token: string | undefined): void {
  csrfToken = token;
}

/** Called when the server no longer knows who we are. Returns the function that ends listening. */
export function onSignedOut(listener: () => void): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

/** The server's clock, as far as its Date header (whole seconds) lets us know. Ages are counted on this clock. */
export function serverNow(): number {
  return Date.now() + clockOffsetMs;
}

function noteClock(response: Response, sentAt: number): void {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date)) return;
  const offset = date + 500 - (sentAt + Date.now()) / 2;
  clockOffsetMs = Math.abs(offset) < 1500 ? 0 : offset; // within the header's precision the clocks agree
}

interface Asking {
  body?: unknown;
  /** Made once per press, and kept over retries of the same press. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export async function call<T>(method: Method, path: string, asking: Asking = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (asking.body !== undefined) headers["Content-Type"] = "application/json";
  if (asking.idempotencyKey) headers["Idempotency-Key"] = asking.idempotencyKey;
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;

  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const sentAt = Date.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: asking.signal ? AbortSignal.any([asking.signal, timeout]) : timeout,
      ...(asking.body === undefined ? {} : { body: JSON.stringify(asking.body) }),
    });
    text = await response.text();
  } catch (error) {
    if (asking.signal?.aborted) throw error;
    throw new Problem(0, "offline", t.problem.offline, t.problem.offlineDetail);
  }
  noteClock(response, sentAt);
  if (response.ok) return (text ? JSON.parse(text) : undefined) as T;

  const problem = problemFrom(response, text);
  if (problem.status === 401 && !path.startsWith("/api/session")) signedOutListeners.forEach((listener) => listener());
  throw problem;
}

export function problemFrom(response: Pick<Response, "status" | "statusText" | "headers">, text: string): Problem {
  let document: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed !== null && typeof parsed === "object") document = parsed as Record<string, unknown>;
  } catch {
    // A proxy's page, or nothing: the status has to do.
  }
  const word = (key: string): string | undefined => {
    const value = document[key];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const retryAfter = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return new Problem(
    response.status,
    word("code") ?? `http_${response.status}`,
    word("title") ?? (response.statusText || t.problem.unexpected),
    word("detail") ?? word("title") ?? t.problem.unexpectedDetail(response.status),
    word("field"),
    word("request_id") ?? response.headers.get("X-Request-Id") ?? undefined,
    Number.isFinite(retryAfter) ? retryAfter : undefined,
  );
}

/** Anything thrown, as something a person can be shown. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(-1, "page_fault", t.problem.pageFault, error instanceof Error ? error.message : String(error));
}

export function query(params: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}

/**
 * One key for one intention. The same body asks with the same key until an answer came, so that pressing again after
 * a lost answer orders once; after an answer, or with another body, the next press is a new intention.
 */
export class PressKey {
  #body: string | undefined;
  #key: string | undefined;

  for(body: unknown): string {
    const text = JSON.stringify(body);
    if (this.#key === undefined || this.#body !== text) {
      this.#body = text;
      this.#key = randomKey();
    }
    return this.#key;
  }

  answered(): void {
    this.#key = undefined;
    this.#body = undefined;
  }
}

function randomKey(): string {
  // randomUUID needs a secure context; a cafe's own network may be plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
