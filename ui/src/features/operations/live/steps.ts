import type { CommandState } from "../../../lib/types";

/** `skipped` is only said of a command that is over: before that a step is merely still to come. */
export type StepMark = "passed" | "here" | "stopped" | "quiet" | "open" | "skipped" | "ahead";

interface Seen {
  /** The kind's steps, in order. */
  steps: string[];
  /** Steps that were reported for this command, in the order in which they came. */
  seen: string[];
  state: CommandState;
  /** A step that the record itself names as the one it ended in. */
  endedIn?: string | undefined;
}

/**
 * What is known of each step, or null where a rail would claim more than is known: a command that is over and of which
 * nobody knows the step it ended in. A step is passed only when it was reported; an order of steps proves nothing.
 */
export function stepMarks({ steps, seen, state, endedIn }: Seen): StepMark[] | null {
  if (state === "complete") return marksOfComplete(steps, seen);
  const running = state === "running";
  const known = seen.filter((step) => steps.includes(step));
  const last = endedIn !== undefined && steps.includes(endedIn) ? endedIn : known.at(-1);
  if (last === undefined) return running ? steps.map(() => "ahead") : null;
  const at = steps.indexOf(last);
  const end: StepMark = running ? "here" : state === "unknown" ? "open" : state === "cancelled" ? "quiet" : "stopped";
  return steps.map((step, index) => {
    if (index === at) return end;
    if (known.includes(step)) return "passed";
    // The machine goes through its steps in order up to where it was first heard, never past it.
    if (index < steps.indexOf(known[0] ?? last)) return "passed";
    return running ? "ahead" : "skipped";
  });
}

/** A good end went through everything that comes before it; what comes after it was left out unless it was reported. */
function marksOfComplete(steps: string[], seen: string[]): StepMark[] {
  const end = steps.indexOf("complete");
  return steps.map((step, index) => (end < 0 || index <= end || seen.includes(step) ? "passed" : "skipped"));
}

/** How many stations the rail has: one that did not come to a good end has none after the one it ended in. */
export function railLength(steps: string[], marks: StepMark[], state: CommandState): number {
  const end = marks.findIndex((mark) => mark === "stopped" || mark === "quiet");
  return state === "complete" || end < 0 ? steps.length : end + 1;
}

/** The step that the phone's one line names. */
export function stepShown(steps: string[], marks: StepMark[], state: CommandState): number {
  if (state === "complete") return steps.includes("complete") ? steps.indexOf("complete") : steps.length - 1;
  return marks.findIndex((mark) => ["here", "stopped", "quiet", "open"].includes(mark));
}
