/** What the server sends. Optional means the server may leave it out; null means it said "none". */

export type CommandState =
  "held" | "pending" | "running" | "complete" | "failed" | "rejected" | "cancelled" | "expired" | "unknown";

export const COMMAND_STATES: readonly CommandState[] = [
  "held",
  "pending",
  "running",
  "unknown",
  "complete",
  "failed",
  "rejected",
  "cancelled",
  "expired",
];

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = Record<string, Json>;

export interface Command {
  command_id: number;
  uid: string;
  machine_id: string;
  kind: string;
  command: string;
  payload: JsonObject;
  recipe?: JsonObject;
  accessory_instructions?: JsonObject;
  execute_allowed: boolean;
  state: CommandState;
  status: string;
  reason: string | null;
  meta: JsonObject | null;
  created_at: string;
  updated_at: string;
  not_after: string | null;
  claimed_at: string | null;
  finished_at: string | null;
  created_by: string;
  settled_by?: string | null;
  evidence?: string | null;
  stop_requested: boolean;
  max_duration_s: number;
  claimed: boolean;
}

export type CommandSummary = Pick<Command, "command_id" | "command" | "state" | "status"> & Partial<Command>;

export interface HistoryEntry {
  history_id: number;
  old_status: string | null;
  new_status: string;
  meta_snapshot: JsonObject | null;
  changed_at: string;
  actor: string;
}

export interface CurveStep {
  step: string;
  t_ms: number;
}

export interface Curve {
  columns: string[];
  samples: (number | null)[][];
  steps: CurveStep[];
}

export type Admission = "waiting" | "admitted" | "blocked";

export interface Sensors {
  magazine_count?: number | null;
  water_ml?: number | null;
  water_low?: boolean | null;
  over_temperature?: boolean | null;
  head_closed?: boolean | null;
  home?: boolean | null;
  estop?: boolean | null;
  temperature_c?: number | null;
  provenance?: string | null;
  [field: string]: Json | undefined;
}

export interface Machine {
  machine_id: string;
  kind: string;
  name: string | null;
  admission: Admission;
  online: boolean;
  last_seen_at: string | null;
  hold: { held: boolean; reason?: string | null; since?: string | null };
  firmware: string | null;
  boot_id: string | null;
  journal_id: string | null;
  capabilities: JsonObject | null;
  config: JsonObject | null;
  step: string | null;
  step_since: string | null;
  sensors: Sensors | null;
  sensors_at: string | null;
  running: CommandSummary | null;
  head: CommandSummary | null;
  pending_count: number;
  failures_in_row: number;
  created_at: string;
  demo: boolean;
  token_count: number;
  /** What staff know about it: where it stands, who serviced it. */
  metadata?: JsonObject | null;
  /** Heard of lately; an inactive machine has an alert. */
  active?: boolean;
  /** Connected over MQTT now. */
  mqtt?: boolean;
}

export interface MachineToken {
  token_id: number | string;
  created_at: string;
  last_used_at: string | null;
}

export interface Limit {
  field: string;
  unit: string | null;
  min: number;
  max: number;
  preset: number;
  integer: boolean;
  /** Where one field has several ranges, the capsule system this one is for. */
  capsule_type?: string;
}

export interface KindCommand {
  command: string;
  word: string;
  limits: Limit[];
}

export interface Capsule {
  capsule_type: string;
  variant: string;
  volume_ml: number;
}

export interface Kind {
  kind: string;
  commands: KindCommand[];
  steps: string[];
  refusals: { code: string; text: string; needs_hands: boolean }[];
  not_after_s: number;
  max_duration_s: number;
  capsules?: Capsule[];
}

export interface Alert {
  alert_id: number;
  machine_id: string | null;
  code: string;
  severity: string;
  message: string;
  command_id?: number | null;
  raised_at: string;
  last_at: string;
  count: number;
  acknowledged_at?: string | null;
  acknowledged_by?: string | null;
  resolved_at?: string | null;
}

export interface AuditEntry {
  audit_id: number;
  at: string;
  actor: string;
  action: string;
  subject: string;
  detail: Json;
  request_id: string | null;
  hash: string;
}

export type AuditVerdict =
  { intact: true; entries: number; head: string } | { intact: false; first_broken: number; why: string };

export type Role = "guest" | "customer" | "staff" | "admin";

export interface Account {
  account_id: number;
  name: string;
  role: Role;
  disabled?: boolean;
  created_at?: string;
}

export interface Session {
  account: Account | null;
  role: Role | null;
  csrf_token?: string;
  open: boolean;
}

export interface ApiToken {
  token_id: number | string;
  name: string;
  role: Role;
  created_at: string;
  last_used_at?: string | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export type ProvenanceWord = "measured" | "simulated" | "estimated" | "predicted";

/** One number from a sensor. */
export interface Reading {
  machine_id: string;
  type: string;
  unit: string | null;
  value: number;
  at: string;
  received_at?: string;
  provenance: ProvenanceWord;
}

export type Resolution = "auto" | "raw" | "5m" | "1h" | "1d";

export interface Series {
  machine_id: string;
  type: string;
  unit: string | null;
  resolution: Exclude<Resolution, "auto">;
  columns: string[];
  /** t_ms, avg, min, max, count */
  rows: number[][];
  more: boolean;
}

export interface ClimateAnswer {
  position: number;
  spread: number;
  confidence: number;
  model_version: string | number | null;
  at: string;
}

/** What a window does, and why. */
export interface ClimateWindow {
  machine_id: string;
  mode: "auto" | "manual";
  position: { value: number; at: string | null; provenance: ProvenanceWord } | null;
  target: number | null;
  features: Record<string, { value: number; at: string } | null>;
  answer: ClimateAnswer | null;
  decision: string | null;
  asked_at: string | null;
  asked_because: string | null;
  command_id: number | null;
}

export interface Climate {
  source: "own" | "external" | "off";
  confidence_min: number;
  items: ClimateWindow[];
}

export interface Prediction {
  prediction_id: number;
  at: string;
  temperature: number;
  humidity: number;
  sound_volume: number;
  position: number | null;
  confidence: number | null;
  decision: string;
  asked_because: string;
  source: string;
  model_version: string | number | null;
  latency_ms: number | null;
  command_id: number | null;
  /** What a person set instead. */
  actual: number | null;
}

export interface ModelInfo {
  version: string | number | null;
  previous_version: string | number | null;
  trained_at: string | null;
  samples: number;
  samples_people: number;
  /** Mean absolute error in percent of opening; null: no setting by hand yet. */
  error: number | null;
  origin: string;
  source: "own" | "external" | "off";
}

export interface ModelErrorPoint {
  at: string;
  version: string | number;
  error: number;
}

export interface Refusal {
  machine_id: string;
  code: string;
  why: string;
  count: number;
  last_at: string;
}

export interface RetentionPolicy {
  raw_days: number;
  minutes5_days: number;
  hour_days: number;
  day_days: number;
}

export type LiveEvent = { seq: number } & (
  | { type: "welcome"; server_id: string }
  | { type: "command"; command: Command }
  | { type: "machine"; machine: Machine }
  | {
      type: "progress";
      command_id: number;
      machine_id: string;
      step?: string;
      columns: string[];
      samples: (number | null)[][];
    }
  | { type: "alert"; alert: Alert }
  | { type: "audit"; entry: AuditEntry }
  | { type: "reading"; machine_id: string; items: Omit<Reading, "machine_id">[] }
  | ({ type: "climate" } & ClimateWindow)
);
