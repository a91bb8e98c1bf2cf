import { beforeEach, expect, test } from "vitest";
import { Live, parseEvent, type LinkState, type WebSocketLike } from "./live";
import type { LiveEvent } from "./types";

class Socket implements WebSocketLike {
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  close(): void {
    this.closed = true;
  }
  say(event: object): void {
    this.onmessage?.({ data: JSON.stringify(event) });
  }
}

let sockets: Socket[];
let timers: { run: () => void; ms: number; dead: boolean }[];
let states: LinkState[];
let events: LiveEvent[];
let gaps: number;

function start(): Live {
  return new Live(
    "ws://test/ws",
    {
      onEvent: (event) => events.push(event),
      onGap: () => gaps++,
      onState: (state) => states.push(state),
    },
    {
      open: () => {
        const socket = new Socket();
        sockets.push(socket);
        return socket;
      },
      random: () => 1,
      setTimer: (run, ms) => {
        const timer = { run, ms, dead: false };
        timers.push(timer);
        return timer;
      },
      clearTimer: (timer) => {
        if (timer) (timer as { dead: boolean }).dead = true;
      },
    },
  );
}

/** Runs the one timer that is waiting, and says how long it waited. */
function nextTimer(): number {
  const timer = timers.filter((one) => !one.dead).at(-1);
  if (!timer) throw new Error("nothing waits");
  timer.dead = true;
  timer.run();
  return timer.ms;
}

const socket = (): Socket => sockets.at(-1) ?? new Socket();

beforeEach(() => {
  sockets = [];
  timers = [];
  states = [];
  events = [];
  gaps = 0;
});

test("is live after the greeting, not after the handshake", () => {
  start();
  expect(states).toEqual(["connecting"]);
  socket().say({ seq: 7, type: "welcome", server_id: "a" });
  expect(states).toEqual(["connecting", "live"]);
  expect(gaps).toBe(0); // the page has just asked for everything
});

test("a gap in the numbers asks for everything again, after the event itself", () => {
  start();
  socket().say({ seq: 1, type: "welcome", server_id: "a" });
  socket().say({ seq: 2, type: "alert", alert: {} });
  expect(gaps).toBe(0);
  socket().say({ seq: 4, type: "alert", alert: {} });
  expect(gaps).toBe(1);
  expect(events).toHaveLength(2);
});

test("every reconnection asks for everything again", () => {
  start();
  socket().say({ seq: 0, type: "welcome", server_id: "a" });
  socket().onclose?.();
  nextTimer();
  socket().say({ seq: 0, type: "welcome", server_id: "a" });
  expect(gaps).toBe(1);
  expect(states).toEqual(["connecting", "live", "lost", "connecting", "live"]);
});

test("waits longer each time, between half a second and ten, and begins anew after success", () => {
  start();
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    socket().onerror?.();
    waits.push(nextTimer());
  }
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  socket().say({ seq: 1, type: "welcome", server_id: "a" });
  socket().onclose?.();
  expect(nextTimer()).toBe(500);
});

test("one loss is one attempt, whatever the socket reports about it", () => {
  start();
  const first = socket();
  first.onerror?.();
  expect(first.onclose).toBeNull();
  expect(timers.filter((timer) => !timer.dead)).toHaveLength(1);
});

test("a server that never greets is given up", () => {
  start();
  const silent = socket();
  nextTimer(); // the greeting is overdue
  expect(silent.closed).toBe(true);
  expect(states.at(-1)).toBe("lost");
});

test("hurry connects at once while waiting, and not beside a connection", () => {
  const live = start();
  socket().onclose?.();
  live.hurry();
  expect(sockets).toHaveLength(2);
  live.hurry();
  expect(sockets).toHaveLength(2);
});

test("close ends it for good", () => {
  const live = start();
  const last = socket();
  live.close();
  expect(last.closed).toBe(true);
  live.hurry();
  expect(sockets).toHaveLength(1);
  expect(timers.every((timer) => timer.dead)).toBe(true);
});

test("garbage is not an event", () => {
  for (const data of ["", "null", "[]", "{}", '{"seq":"1","type":"x"}', '{"seq":1}', 7, undefined, "{"]) {
    expect(parseEvent(data)).toBeNull();
  }
  expect(parseEvent('{"seq":1,"type":"from the future"}')).not.toBeNull();
});

test("handlers are not called by a socket that was given up", () => {
  start();
  const old = socket();
  const hear = old.onmessage;
  old.onclose?.();
  expect(hear).not.toBeNull();
  expect(old.onmessage).toBeNull();
});
