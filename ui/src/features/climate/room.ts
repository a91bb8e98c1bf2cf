import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";
import type { Climate, ClimateWindow, Kind, Limit, Machine, Reading } from "../../lib/types";

/** A reading older than this is drawn as stale. */
export const STALE_S = 120;

/** What a room shows, in this order. */
export const SIGNALS = ["temperature", "humidity", "sound_volume"] as const;
export type SignalName = (typeof SIGNALS)[number];

export const DIGITS: Record<string, number> = {
  temperature: 1,
  humidity: 0,
  sound_volume: 3,
  sound_dbfs: 0,
  position: 0,
  co2: 0,
  pressure: 0,
};

export interface Room {
  machine: Machine;
  window: ClimateWindow | undefined;
  readings: Reading[];
}

/** Window machines with what is known of them, in the order of their names. */
export function roomsOf(machines: Machine[], climate: Climate | undefined, readings: Reading[]): Room[] {
  return machines
    .filter((machine) => machine.kind === "window")
    .map((machine) => ({
      machine,
      window: climate?.items.find((one) => one.machine_id === machine.machine_id),
      readings: readings.filter((one) => one.machine_id === machine.machine_id),
    }))
    .sort((a, b) => nameOf(a.machine).localeCompare(nameOf(b.machine)));
}

export function nameOf(machine: Machine): string {
  return machine.name || machine.machine_id;
}

/**
 * Where the window is: what its own sensor says, else the last position that a command confirmed. A window that has lost
 * the ends of its travel since then probably still stands there, and nobody measured it.
 */
export function positionOf(room: Room): { value: number; at: string | null; provenance: Reading["provenance"] } | null {
  const told = room.readings.find((one) => one.type === "position");
  const lost =
    room.machine.sensors?.["calibrated"] === false && told !== undefined && (room.machine.sensors_at ?? "") > told.at;
  if (told) return lost ? { ...told, provenance: "estimated" } : told;
  const sensed = room.machine.sensors?.["position"];
  if (typeof sensed === "number" && room.machine.sensors_at)
    return {
      value: sensed,
      at: room.machine.sensors_at,
      provenance: room.machine.sensors?.provenance === "simulated" ? "simulated" : "measured",
    };
  return room.window?.position ?? null;
}

/** The server's own range for a position, from the kind's table. */
export function positionLimit(kind: Kind | undefined): Limit | undefined {
  const command = kind?.commands.find((one) => one.command === "set_position");
  const limit = command?.limits.find((one) => one.field.replace(/^payload\./, "") === "position");
  return limit ? { ...limit, unit: limit.unit || "%" } : undefined;
}

/** Why this window cannot be moved by hand now; undefined when it can. */
export function whyNotMove(machine: Machine, signedIn: boolean): string | undefined {
  if (!signedIn) return t.why.signIn;
  if (machine.admission === "waiting") return t.why.notAdmitted;
  if (machine.admission === "blocked") return t.why.blocked;
  if (machine.running?.state === "unknown") return t.climate.whyUnknown;
  if (machine.sensors?.estop === true) return t.why.estop;
  if (!machine.online) return t.climate.whyOffline;
  return undefined;
}

/** Why the window is where it is, as one sentence. */
export function decisionText(window: ClimateWindow, confidenceMin: number): string {
  const answer = window.answer;
  const confidence = answer ? formatNumber(answer.confidence, 2) : "";
  switch (window.decision) {
    case "commanded":
      return t.climate.decision.commanded(answer ? formatNumber(answer.position) : "");
    case "held_low_confidence":
      return t.climate.decision.lowConfidence(confidence, formatNumber(confidenceMin, 2));
    case "held_manual":
      // Also while it decides by itself: what a person set is left alone for a time.
      return (window.mode === "auto" ? t.climate.decision.lately : t.climate.decision.manual)(
        answer ? formatNumber(answer.position) : "",
      );
    case "no_change":
      return t.climate.decision.noChange;
    case "no_answer":
      return t.climate.decision.noAnswer;
    case "refused":
      return t.climate.decision.refused;
    case null:
      return t.climate.decision.none;
    default:
      return t.commandWord(window.decision);
  }
}

export function becauseText(because: string | null): string {
  if (because === "change" || because === "age" || because === "start") return t.climate.because[because];
  return because ? t.commandWord(because) : "";
}

export type Comfort = "good" | "fair" | "poor" | "unknown";

/** How a moment felt, by the two ranges the band below the day shows (docs/window.md says where they come from). */
export function comfortOf(temperatureC: number | null, humidityPct: number | null): Comfort {
  if (temperatureC === null) return "unknown";
  const off = Math.max(0, 20.5 - temperatureC, temperatureC - 24);
  const damp = humidityPct === null ? 0 : Math.max(0, 30 - humidityPct, humidityPct - 60);
  if (off === 0 && damp === 0) return "good";
  return off <= 1.5 && damp <= 10 ? "fair" : "poor";
}
