import type { Command, Kind, Machine } from "../src/lib/types";

export function command(fields: Partial<Command> = {}): Command {
  const recipe = { volume_ml: 40, temperature_c: 92, capsule_type: "original", capsule_variant: "espresso" };
  return {
    command_id: 1,
    uid: "0".repeat(32),
    machine_id: "espresso-1",
    kind: "espresso",
    command: "brew",
    payload: recipe,
    recipe,
    execute_allowed: true,
    state: "pending",
    status: "pending",
    reason: null,
    meta: {},
    created_at: "2026-01-01T10:00:00.000Z",
    updated_at: "2026-01-01T10:00:00.000Z",
    not_after: null,
    claimed_at: null,
    finished_at: null,
    created_by: "account:alice",
    stop_requested: false,
    max_duration_s: 180,
    claimed: false,
    ...fields,
  };
}

export function machine(fields: Partial<Machine> = {}): Machine {
  return {
    machine_id: "espresso-1",
    kind: "espresso",
    name: "Window bar",
    admission: "admitted",
    online: true,
    last_seen_at: new Date().toISOString(),
    hold: { held: false, reason: null, since: null },
    firmware: "1",
    boot_id: null,
    journal_id: null,
    capabilities: {},
    config: {},
    step: "idle",
    step_since: null,
    sensors: { magazine_count: 7, water_ml: 800, head_closed: false, home: true, estop: false, temperature_c: 71 },
    sensors_at: new Date().toISOString(),
    running: null,
    head: null,
    pending_count: 0,
    failures_in_row: 0,
    created_at: "2026-01-01T09:00:00.000Z",
    demo: false,
    token_count: 1,
    ...fields,
  };
}

const limit = (field: string, unit: string, min: number, max: number, preset: number, integer: boolean) => ({
  field,
  unit,
  min,
  max,
  preset,
  integer,
});

export const espresso: Kind = {
  kind: "espresso",
  commands: [
    {
      command: "brew",
      word: "brewing",
      limits: [
        { ...limit("recipe.volume_ml", "ml", 15, 150, 40, true), capsule_type: "original" },
        { ...limit("recipe.volume_ml", "ml", 40, 550, 230, true), capsule_type: "vertuo" },
        limit("recipe.temperature_c", "C", 60, 96, 92, false),
        limit("recipe.pre_infusion_ms", "ms", 0, 10000, 300, true),
        limit("accessory_instructions.capsule_slot", "", 1, 8, 1, true),
      ],
    },
  ],
  steps: ["idle", "validating", "picking", "brewing", "complete", "error"],
  refusals: [{ code: "magazine_empty", text: "The capsule slot is empty; please refill it.", needs_hands: true }],
  not_after_s: 600,
  max_duration_s: 180,
  capsules: [
    { capsule_type: "original", variant: "ristretto", volume_ml: 25 },
    { capsule_type: "original", variant: "espresso", volume_ml: 40 },
    { capsule_type: "original", variant: "lungo", volume_ml: 110 },
    { capsule_type: "vertuo", variant: "mug", volume_ml: 230 },
  ],
};
