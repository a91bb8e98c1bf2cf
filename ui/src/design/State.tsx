import type { ReactNode } from "react";
import { t } from "../i18n";
import type { CommandState } from "../lib/types";

export type Signal = "ready" | "waiting" | "fault" | "unknown" | "work" | "quiet";

export const signalOfState: Record<CommandState, Signal> = {
  held: "waiting",
  pending: "quiet",
  running: "work",
  complete: "ready",
  failed: "fault",
  rejected: "fault",
  cancelled: "quiet",
  expired: "quiet",
  unknown: "unknown",
};

const ink: Record<Signal, string> = {
  ready: "text-ready",
  waiting: "text-waiting",
  fault: "text-fault",
  unknown: "text-unknown",
  work: "text-copper",
  quiet: "text-espresso-soft",
};

const wash: Record<Signal, string> = {
  ready: "bg-ready-wash",
  waiting: "bg-waiting-wash",
  fault: "bg-fault-wash",
  unknown: "bg-unknown-wash",
  work: "bg-copper-wash",
  quiet: "bg-crema",
};

export const signalInk = (signal: Signal): string => ink[signal];
export const signalWash = (signal: Signal): string => wash[signal];

/** Every state has a shape of its own, so that none is told by colour alone. */
const glyphs: Record<CommandState, ReactNode> = {
  held: <path d="M6 4v8M10 4v8" />,
  pending: <circle cx="8" cy="8" r="4.5" />,
  running: <path d="M8 3.5a4.5 4.5 0 1 1-4.5 4.5M8 8V5.5M8 8l2 1.5" />,
  complete: <path d="m3.5 8.5 3 3 6-7" />,
  failed: <path d="m4.5 4.5 7 7m0-7-7 7" />,
  rejected: <path d="M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M5 11l6-6" />,
  cancelled: <path d="M4 8h8" />,
  expired: <path d="M5 3.5h6M5 12.5h6M5.5 3.5c0 3 5 6 5 9M10.5 3.5c0 3-5 6-5 9" />,
  unknown: (
    <path d="M5.5 6.200c0-1.600 1.100-2.700 2.600-2.700s2.5 1 2.5 2.400c0 1.900-2.5 1.900-2.5 3.600M8.100 12.300v.1" />
  ),
};

export function StateGlyph({ state, size = 16 }: { state: CommandState; size?: number }) {
  return (
    <svg
      viewBox="0 0 16 16"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.9"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {glyphs[state]}
    </svg>
  );
}

export function StateBadge({
  state,
  status = "",
  large = false,
}: {
  state: CommandState;
  status?: string;
  large?: boolean;
}) {
  const signal = signalOfState[state];
  return (
    <span
      title={t.stateMeaning[state]}
      className={`inline-flex items-center gap-1.5 rounded-s font-semibold whitespace-nowrap ${ink[signal]} ${wash[signal]} ${
        large ? "px-3 py-1.5 text-lead" : "px-2 py-0.5 text-note"
      }`}
    >
      <StateGlyph state={state} size={large ? 18 : 14} />
      {t.statusWord(state, status)}
    </span>
  );
}

/** A condition by its name: lit when it allows, crossed when it forbids, hollow when nobody said. */
export function Lamp({ on, label, note }: { on: boolean | null; label: string; note?: ReactNode }) {
  return (
    <span className="inline-flex items-start gap-2">
      <svg
        viewBox="0 0 16 16"
        width="16"
        height="16"
        className={`mt-0.75 shrink-0 ${on === null ? "text-edge" : on ? "text-ready" : "text-fault"}`}
        aria-hidden="true"
      >
        {on === true && <circle cx="8" cy="8" r="5" fill="currentColor" />}
        {on === false && (
          <path
            d="M8 1.5 15 14H1zM8 6v4M8 12v.1"
            fill="none"
            stroke="currentColor"
            strokeWidth="1.7"
            strokeLinejoin="round"
            strokeLinecap="round"
          />
        )}
        {on === null && (
          <circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" strokeWidth="1.5" strokeDasharray="2 2" />
        )}
      </svg>
      <span className={on === false ? "font-semibold text-fault" : on === null ? "text-espresso-soft" : ""}>
        {label}
        {note && <span className="font-normal text-espresso-soft"> {note}</span>}
      </span>
    </span>
  );
}
