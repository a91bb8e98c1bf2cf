import { useSyncExternalStore } from "react";
import { Live, type LinkState } from "./live";
import { applyEvent, askAgain, queryClient } from "./queries";

/** The page's one live connection. It starts when someone is signed in and ends when they leave. */
let live: Live | undefined;
let state: LinkState = "connecting";
let wasLost = false;
let polling: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

const POLL_MS = 4_000;

function stopPolling(): void {
  clearInterval(polling);
  polling = undefined;
}

function setState(next: LinkState): void {
  if (next === "live" && wasLost) wasLost = false;
  if (next === "lost") wasLost = true;
  state = next;
  if (next === "live") stopPolling();
  else if (next === "lost") polling ??= setInterval(() => askAgain(queryClient), POLL_MS);
  listeners.forEach((listener) => listener());
}

export function startLink(): () => void {
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  live = new Live(url, {
    onEvent: (event) => applyEvent(queryClient, event),
    onGap: () => askAgain(queryClient),
    onState: setState,
  });
  const hurry = () => {
    if (document.visibilityState === "visible") live?.hurry();
  };
  window.addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  return () => {
    window.removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
    live?.close();
    live = undefined;
    wasLost = false;
    stopPolling();
    setState("connecting");
  };
}

/** "connecting" after a loss is still "lost" to a person: the word changes only when it is over. */
export function useLink(): LinkState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => (state === "connecting" && wasLost ? "lost" : state),
  );
}
