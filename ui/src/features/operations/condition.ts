import type { Signal } from "../../design/State";
import { t } from "../../i18n";
import type { Command, CommandSummary, Kind, Limit, Machine } from "../../lib/types";

/** What a machine is now, in one word that people act on. The first that applies wins. */
export type Condition =
  "waiting" | "blocked" | "unknown" | "stopped" | "working" | "hold" | "offline" | "queued" | "ready";

export const signalOfCondition: Record<Condition, Signal> = {
  waiting: "waiting",
  blocked: "quiet",
  unknown: "unknown",
  stopped: "fault",
  working: "work",
  hold: "waiting",
  offline: "quiet",
  queued: "work",
  ready: "ready",
};

/** Readings older than this are drawn as stale and no longer forbid anything. */
export const STALE_S = 20;

export function conditionOf(machine: Machine): Condition {
  if (machine.admission === "waiting") return "waiting";
  if (machine.admission === "blocked") return "blocked";
  if (machine.running?.state === "unknown") return "unknown";
  if (machine.online && machine.sensors?.estop === true) return "stopped";
  if (machine.running) return "working";
  if (machine.hold.held) return "hold";
  if (!machine.online) return "offline";
  if (machine.head) return "queued";
  return "ready";
}

export function nameOf(machine: Pick<Machine, "name" | "machine_id">): string {
  return machine.name || machine.machine_id;
}

/** A reason as people read it: the kind's own sentence for a code, otherwise what someone typed. */
export function reasonText(reason: string | null | undefined, kind: Kind | undefined): string {
  if (!reason) return "";
  const refusal = kind?.refusals.find((one) => one.code === reason);
  if (refusal) return refusal.text;
  const own = t.queueReason(reason);
  if (own) return own;
  return /^[a-z0-9]+(_[a-z0-9]+)*$/.test(reason) ? t.commandWord(reason) : reason;
}

/** A limit's field without the object it sits in: "recipe.volume_ml" is `volume_ml`. */
export function bareField(field: string): string {
  return field.replace(/^(recipe|payload)\./, "");
}

/** The limits a person fills in for this command; where a field has several, the one for this capsule system. */
export function formLimits(limits: Limit[], capsuleType: string | undefined): Limit[] {
  const chosen = new Map<string, Limit>();
  for (const limit of limits) {
    const field = bareField(limit.field);
    if (field.includes(".")) continue; // calibration and actuator sequences are for programs
    if (limit.capsule_type !== undefined && limit.capsule_type !== capsuleType) continue;
    if (!chosen.has(field) || limit.capsule_type !== undefined) chosen.set(field, { ...limit, field });
  }
  const order = ["volume_ml", "temperature_c", "pre_infusion_ms"];
  const rank = (field: string) => (order.includes(field) ? order.indexOf(field) : order.length);
  return [...chosen.values()].sort((a, b) => rank(a.field) - rank(b.field));
}

export function numberIn(object: Record<string, unknown> | null | undefined, key: string): number | null {
  const value = object?.[key];
  return typeof value === "number" ? value : null;
}

export function textIn(object: Record<string, unknown> | null | undefined, key: string): string | null {
  const value = object?.[key];
  return typeof value === "string" ? value : null;
}

export function recipeOf(command: Command | CommandSummary): Record<string, unknown> | null {
  return command.recipe ?? command.payload ?? null;
}

/** What is asked for, in one line: "espresso, 40 ml, 92 °C". */
export function recipeLine(command: Command | CommandSummary): string {
  const recipe = recipeOf(command);
  if (!recipe) return "";
  const parts: string[] = [];
  const variant = textIn(recipe, "capsule_variant");
  if (variant) parts.push(t.capsuleName(variant));
  for (const [key, value] of Object.entries(recipe)) {
    if (key === "pre_infusion_ms" || typeof value !== "number") continue;
    parts.push(`${value.toLocaleString()} ${t.unit(key)}`.trim());
  }
  return parts.join(" · ");
}

/** Keys under which a finished command says how much really came out. */
export function measuredVolume(command: Command): number | null {
  const meta = command.meta;
  return numberIn(meta, "actual_volume_ml") ?? numberIn(meta, "volume_ml") ?? numberIn(meta, "measured_ml");
}

/** Steps that are a part of every command of the kind; others are detours, and shown once they were taken. */
const ALWAYS: Record<string, string[]> = { window: ["moving", "complete"] };

/** Steps of a command, as the rail shows them: without the waiting before and the fault outside. */
export function railSteps(kind: Kind | undefined, seen: string[] = []): string[] {
  const always = kind && ALWAYS[kind.kind];
  return (kind?.steps ?? []).filter(
    (step) => !["idle", "polling", "error"].includes(step) && (!always || always.includes(step) || seen.includes(step)),
  );
}

export function modelRefusesVertuo(machine: Machine): boolean {
  return (
    textIn(machine.config, "model") === "original_only" || textIn(machine.capabilities, "model") === "original_only"
  );
}
