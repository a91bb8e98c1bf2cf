import type { LiveEvent } from "./types";

/**
 * The server's events over one WebSocket. A lost connection is made again after 0.5 to 10 s with jitter; when events
 * may have been missed (a gap in the numbers, any reconnection) `onGap` says: ask for everything again.
 */

export type LinkState = "connecting" | "live" | "lost";

export interface LiveHandlers {
  onEvent(event: LiveEvent): void;
  onGap(): void;
  onState(state: LinkState): void;
}

/** What a test replaces. */
export interface LiveSurroundings {
  open(url: string): WebSocketLike;
  random(): number;
  setTimer(run: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}

export interface WebSocketLike {
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  close(): void;
}

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 10_000;
const WELCOME_MS = 8_000;

const browser: LiveSurroundings = {
  open: (url) => new WebSocket(url) as WebSocketLike,
  random: Math.random,
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer as number),
};

export class Live {
  #socket: WebSocketLike | undefined;
  #timer: unknown;
  #failures = 0;
  #seq: number | undefined;
  #closed = false;

  constructor(
    readonly url: string,
    readonly handlers: LiveHandlers,
    readonly around: LiveSurroundings = browser,
  ) {
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.around.clearTimer(this.#timer);
    this.#drop();
  }

  /** The network came back, or the page is looked at again: do not wait for the back-off. */
  hurry(): void {
    if (this.#closed || this.#socket) return;
    this.around.clearTimer(this.#timer);
    this.#connect();
  }

  #connect(): void {
    this.handlers.onState("connecting");
    let socket: WebSocketLike;
    try {
      socket = this.around.open(this.url);
    } catch {
      this.#lost();
      return;
    }
    this.#socket = socket;
    this.#timer = this.around.setTimer(() => this.#lost(), WELCOME_MS); // connected to something that never greets
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = () => this.#lost();
    socket.onerror = () => this.#lost();
  }

  #receive(data: unknown): void {
    const event = parseEvent(data);
    if (!event) return;
    if (event.type === "welcome") {
      this.around.clearTimer(this.#timer);
      this.#failures = 0;
      // A connection has numbers of its own, so nothing says what was sent while nobody listened.
      const missed = this.#seq !== undefined;
      this.#seq = event.seq;
      this.handlers.onState("live");
      if (missed) this.handlers.onGap();
      return;
    }
    const gap = this.#seq !== undefined && event.seq > this.#seq + 1;
    if (this.#seq === undefined || event.seq > this.#seq) this.#seq = event.seq;
    this.handlers.onEvent(event);
    if (gap) this.handlers.onGap();
  }

  #lost(): void {
    if (this.#closed) return;
    this.around.clearTimer(this.#timer);
    this.#drop();
    this.handlers.onState("lost");
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 10);
    const wait = ceiling / 2 + (this.around.random() * ceiling) / 2;
    this.#timer = this.around.setTimer(() => this.#connect(), Math.max(BACKOFF_MIN_MS, wait));
  }

  #drop(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }
}

/** Events of a type we do not know (a newer server) still carry their number, so they are kept, not dropped. */
export function parseEvent(data: unknown): LiveEvent | null {
  if (typeof data !== "string") return null;
  try {
    const event = JSON.parse(data) as unknown;
    if (event === null || typeof event !== "object") return null;
    const { seq, type } = event as { seq?: unknown; type?: unknown };
    return typeof seq === "number" && typeof type === "string" ? (event as LiveEvent) : null;
  } catch {
    return null;
  }
}
