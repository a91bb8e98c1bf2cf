import { X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { t } from "../i18n";
import { asProblem } from "../lib/api";

interface Message {
  id: number;
  text: string;
  detail?: string;
  fault: boolean;
}

let messages: readonly Message[] = [];
let nextId = 1;
const listeners = new Set<() => void>();
const SHOWN_MS = 6_000;
const KEPT = 3;

function set(next: readonly Message[]): void {
  messages = next;
  listeners.forEach((listener) => listener());
}

function dismiss(id: number): void {
  set(messages.filter((message) => message.id !== id));
}

export function toast(text: string): void {
  const id = nextId++;
  set([...messages, { id, text, fault: false }].slice(-KEPT));
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/** A failure stays until it is closed: it may be the only trace of what did not happen. */
export function toastProblem(error: unknown): void {
  const problem = asProblem(error);
  // The status line's words ("Conflict") help nobody; what was refused and why is in the detail.
  const text = problem.offline ? problem.title : problem.detail;
  set([...messages, { id: nextId++, text, detail: problem.detail, fault: true }].slice(-KEPT));
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => messages,
  );
  return (
    <div
      className="pointer-events-none fixed inset-x-4 bottom-20 z-50 flex flex-col items-center gap-2 md:bottom-6"
      role="status"
      aria-live="polite"
    >
      {shown.map((message) => (
        <div
          key={message.id}
          className={`pointer-events-auto flex max-w-md items-start gap-3 rounded-l bg-espresso py-2 pr-2 pl-4 text-milk shadow-lift ${
            message.fault ? "border-l-4 border-fault" : ""
          }`}
        >
          <p className="py-2">
            <span className="font-semibold">{message.text}</span>
            {message.detail && message.detail !== message.text && <span className="block">{message.detail}</span>}
          </p>
          <button type="button" className="button px-0" aria-label={t.common.close} onClick={() => dismiss(message.id)}>
            <X size={18} aria-hidden="true" />
          </button>
        </div>
      ))}
    </div>
  );
}
