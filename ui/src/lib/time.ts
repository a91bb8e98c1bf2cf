import { useSyncExternalStore } from "react";
import { t } from "../i18n";
import { serverNow } from "./api";

/** One ticking second for the whole page, which stops when nobody looks. */
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let second = Math.floor(serverNow() / 1000);

function tick(): void {
  const now = Math.floor(serverNow() / 1000);
  if (now === second) return;
  second = now;
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  tick(); // the second may be old if nobody looked for a while
  timer ??= setInterval(tick, 500);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The server's time in whole seconds. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => second);
}

export function ageSeconds(at: string, nowS: number): number {
  return Math.max(0, nowS - Math.floor(Date.parse(at) / 1000));
}

export function formatAge(seconds: number): string {
  if (seconds < 2) return t.time.now;
  if (seconds < 60) return t.time.seconds(seconds);
  if (seconds < 3600) return t.time.minutes(Math.floor(seconds / 60));
  if (seconds < 86_400) return t.time.hours(Math.floor(seconds / 3600));
  return t.time.days(Math.floor(seconds / 86_400));
}

export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return t.time.plainSeconds(seconds);
  return t.time.plainMinutes(Math.floor(seconds / 60), seconds % 60);
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export function formatClock(at: string): string {
  return clock.format(new Date(at));
}

export function formatMoment(at: string): string {
  const date = new Date(at);
  return date.toDateString() === new Date(serverNow()).toDateString() ? clock.format(date) : dayAndClock.format(date);
}
