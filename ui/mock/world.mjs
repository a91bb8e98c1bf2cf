// The mock's memory: machines, commands, alerts, audit. One seeded cafe; nothing outlives the process.
import { createHash, randomBytes } from "node:crypto";
import { Rooms, WINDOW_KIND } from "./climate.mjs";
import { Brew, COLUMNS, pastCurve } from "./sim.mjs";

const capsule = (capsule_type, variant, volume_ml) => ({ capsule_type, variant, volume_ml });
const limit = (field, unit, min, max, preset, integer, more = {}) => ({
  field,
  unit,
  min,
  max,
  preset,
  integer,
  ...more,
});
const refusal = (code, text, needs_hands = true) => ({ code, text, needs_hands });

export const KINDS = [
  {
    kind: "espresso",
    commands: [
      {
        command: "brew",
        word: "brewing",
        limits: [
          limit("recipe.volume_ml", "ml", 15, 150, 40, true, { capsule_type: "original" }),
          limit("recipe.volume_ml", "ml", 40, 550, 230, true, { capsule_type: "vertuo" }),
          limit("recipe.temperature_c", "C", 60, 96, 92, false),
          limit("recipe.pre_infusion_ms", "ms", 0, 10000, 300, true),
          limit("accessory_instructions.capsule_slot", "", 1, 8, 1, true),
        ],
      },
    ],
    columns: COLUMNS,
    steps: [
      "idle",
      "validating",
      "pre_flight",
      "homing",
      "picking",
      "inserting",
      "closing_head",
      "pressing_button",
      "brewing",
      "monitoring",
      "ejecting",
      "complete",
      "error",
    ],
    refusals: [
      refusal("magazine_empty", "The capsule slot is empty; please refill it."),
      refusal("water_low", "The water tank is nearly empty; please refill it."),
      refusal("pick_failed", "No capsule was picked in three attempts."),
      refusal("capsule_mismatch", "The machine has no place, or no slot, for this capsule."),
      refusal("interrupted", "The board lost power while it was at work."),
      refusal("out_of_limits", "A value is outside what the machine allows.", false),
    ],
    not_after_s: 600,
    max_duration_s: 180,
    capsules: [
      capsule("original", "ristretto", 25),
      capsule("original", "espresso", 40),
      capsule("original", "lungo", 110),
      capsule("vertuo", "espresso", 40),
      capsule("vertuo", "double_espresso", 80),
      capsule("vertuo", "gran_lungo", 150),
      capsule("vertuo", "mug", 230),
      capsule("vertuo", "alto", 355),
      capsule("vertuo", "carafe", 535),
    ],
  },
  WINDOW_KIND,
];

export const FINAL = new Set(["complete", "failed", "rejected", "cancelled", "expired"]);
const hex = (bytes) => randomBytes(bytes).toString("hex");
const iso = (ms) => new Date(ms).toISOString();

export class World {
  constructor({ speed = 1, empty = false, now = () => Date.now() } = {}) {
    this.speed = speed;
    this.now = now;
    this.listeners = new Set();
    this.machines = new Map();
    this.commands = new Map();
    this.history = new Map();
    this.curves = new Map();
    this.alerts = [];
    this.audit = [];
    this.keys = new Map();
    this.brews = new Map();
    this.tokens = new Map();
    this.nextCommand = 101;
    this.nextHistory = 1;
    if (!empty) this.seed();
    if (!empty) this.rooms = new Rooms(this);
  }

  emit(event) {
    for (const listener of this.listeners) listener(event);
  }

  note(actor, action, subject, detail = {}, at = this.now()) {
    const before = this.audit.at(-1)?.hash ?? "0".repeat(64);
    const entry = { audit_id: this.audit.length + 1, at: iso(at), actor, action, subject, detail, request_id: hex(8) };
    entry.hash = createHash("sha256")
      .update(before + JSON.stringify(entry))
      .digest("hex");
    this.audit.push(entry);
    this.emit({ type: "audit", entry });
  }

  addMachine(machine_id, fields = {}) {
    const now = this.now();
    const machine = {
      machine_id,
      kind: "espresso",
      name: null,
      admission: "admitted",
      online: true,
      last_seen_at: iso(now),
      hold: { held: false, reason: null, since: null },
      firmware: "0.4.2",
      boot_id: hex(8),
      journal_id: hex(16),
      capabilities: { model: "both" },
      config: {},
      step: "idle",
      step_since: iso(now - 400_000),
      sensors: {
        magazine_count: 7,
        water_ml: 840,
        head_closed: false,
        home: true,
        estop: false,
        temperature_c: 71.4,
        provenance: "simulated",
      },
      sensors_at: iso(now),
      running: null,
      head: null,
      pending_count: 0,
      failures_in_row: 0,
      created_at: iso(now - 9 * 86_400_000),
      demo: true,
      token_count: 1,
      ...fields,
    };
    this.machines.set(machine_id, machine);
    this.tokens.set(machine_id, [{ token_id: 1, created_at: machine.created_at, last_used_at: machine.last_seen_at }]);
    return machine;
  }

  addCommand(machine_id, recipe, fields = {}) {
    const now = fields.at ?? this.now();
    const command_id = this.nextCommand++;
    const state = fields.state ?? "pending";
    const command = {
      command_id,
      uid: hex(16),
      machine_id,
      kind: "espresso",
      command: "brew",
      payload: recipe,
      recipe,
      execute_allowed: state !== "held",
      state,
      status: state === "running" ? "brewing" : state,
      reason: null,
      meta: {},
      created_at: iso(now),
      updated_at: iso(now),
      not_after: state === "held" ? null : iso(now + 600_000),
      claimed_at: null,
      finished_at: null,
      created_by: "account:alice",
      stop_requested: false,
      max_duration_s: 180,
      claimed: false,
      ...fields,
    };
    delete command.at;
    this.commands.set(command_id, command);
    this.history.set(command_id, []);
    return command;
  }

  remember(command, old_status, new_status, actor, meta_snapshot = {}, at = this.now()) {
    this.history.get(command.command_id).push({
      history_id: this.nextHistory++,
      old_status,
      new_status,
      meta_snapshot,
      changed_at: iso(at),
      actor,
    });
    this.note(actor, `command.${new_status}`, `command:${command.command_id}`, meta_snapshot, at);
  }

  move(command, state, actor, fields = {}, snapshot = {}) {
    const old = command.state;
    Object.assign(command, fields, {
      state,
      status: state === "running" ? "brewing" : state,
      updated_at: iso(this.now()),
    });
    if (FINAL.has(state)) command.finished_at = iso(this.now());
    this.remember(command, old, state, actor, snapshot);
    this.emit({ type: "command", command });
    this.refresh(command.machine_id);
  }

  refresh(machine_id) {
    const machine = this.machines.get(machine_id);
    const own = [...this.commands.values()].filter((one) => one.machine_id === machine_id);
    const pending = own.filter((one) => one.state === "pending");
    machine.running = own.find((one) => one.state === "running" || one.state === "unknown") ?? null;
    machine.head = pending[0] ?? null;
    machine.pending_count = pending.length;
    this.emit({ type: "machine", machine });
  }

  alert(machine_id, code, severity, message, command_id = null, more = {}) {
    const at = iso(this.now());
    const alert = {
      alert_id: this.alerts.length + 1,
      machine_id,
      code,
      severity,
      message,
      command_id,
      raised_at: at,
      last_at: at,
      count: 1,
      acknowledged_at: null,
      acknowledged_by: null,
      resolved_at: null,
      ...more,
    };
    this.alerts.push(alert);
    this.emit({ type: "alert", alert });
  }

  hold(machine, reason, actor) {
    machine.hold = { held: true, reason, since: iso(this.now()) };
    this.note(actor, "machine.hold", `machine:${machine.machine_id}`, { reason });
    this.refresh(machine.machine_id);
  }

  // A command that was over before the mock began, with its record.
  past(machine_id, recipe, state, agoS, more = {}) {
    const begin = this.now() - agoS * 1000;
    const command = this.addCommand(machine_id, recipe, { state, at: begin, created_by: more.by ?? "account:alice" });
    const device = `device:${machine_id}`;
    this.remember(command, null, "pending", command.created_by, {}, begin);
    if (state === "cancelled" || state === "expired") {
      this.remember(command, "pending", state, state === "expired" ? "server" : command.created_by, {}, begin + 21_000);
      command.finished_at = command.updated_at = iso(begin + 21_000);
      return command;
    }
    if (state === "rejected") {
      command.reason = more.reason;
      this.remember(command, "pending", "rejected", device, { reason: more.reason }, begin + 1800);
      command.finished_at = command.updated_at = iso(begin + 1800);
      return command;
    }
    const curve = pastCurve(recipe, { diesAtMl: more.diesAtMl ?? Infinity, seed: command.command_id * 7919 });
    this.curves.set(command.command_id, curve);
    const end = begin + 1200 + curve.ms;
    command.claimed = true;
    command.claimed_at = iso(begin + 1200);
    this.remember(command, "pending", "running", device, {}, begin + 1200);
    command.reason = more.reason ?? null;
    const at = state === "unknown" ? end + 190_000 : end;
    const meta =
      state === "unknown"
        ? { reason: "silence" }
        : { actual_volume_ml: Number(curve.volume.toFixed(1)), ...(more.reason ? { reason: more.reason } : {}) };
    command.meta = state === "unknown" ? {} : meta;
    this.remember(command, "running", state, state === "unknown" ? "server" : device, meta, at);
    command.updated_at = iso(at);
    if (state !== "unknown") command.finished_at = iso(at);
    return command;
  }

  seed() {
    const espresso = {
      volume_ml: 40,
      temperature_c: 92,
      pre_infusion_ms: 300,
      capsule_type: "original",
      capsule_variant: "espresso",
    };
    const lungo = { ...espresso, volume_ml: 110, temperature_c: 90.5, capsule_variant: "lungo" };
    const mug = { ...espresso, volume_ml: 230, temperature_c: 88, capsule_type: "vertuo", capsule_variant: "mug" };
    this.addMachine("espresso-1", {
      name: "Window bar",
      config: {
        model: "both",
        magazine: [{ slot: 1, count: 7, capsule_type: "original", capsule_variant: "espresso" }],
      },
    });
    this.addMachine("espresso-2", {
      name: "Long table",
      config: { model: "original_only" },
      capabilities: { model: "original_only" },
    });
    this.addMachine("espresso-3", {
      name: "Back room",
      online: false,
      last_seen_at: iso(this.now() - 47 * 60_000),
      sensors_at: iso(this.now() - 47 * 60_000),
    });
    this.addMachine("espresso-7f3a", {
      admission: "waiting",
      sensors: null,
      sensors_at: null,
      step: null,
      step_since: null,
      firmware: "0.4.3",
      demo: false,
      token_count: 0,
    });
    this.note("server", "server.start", "server", { version: "0.4.2" }, this.now() - 8 * 3600_000);
    this.past("espresso-1", espresso, "complete", 7 * 3600);
    this.past("espresso-2", lungo, "complete", 5 * 3600, { by: "account:mihai" });
    this.past("espresso-1", mug, "complete", 3 * 3600);
    this.past("espresso-3", espresso, "expired", 46 * 60, { by: "account:mihai" });
    this.past("espresso-2", espresso, "rejected", 40 * 60, { reason: "magazine_empty" });
    this.past("espresso-1", lungo, "complete", 26 * 60);
    this.past("espresso-1", espresso, "failed", 18 * 60, { reason: "interrupted", diesAtMl: 22 });
    this.past("espresso-2", lungo, "unknown", 9 * 60, { diesAtMl: 61 });
    this.past("espresso-1", espresso, "complete", 4 * 60);
    const held = this.addCommand("espresso-1", lungo, {
      state: "held",
      at: this.now() - 95_000,
      created_by: "account:mihai",
    });
    this.remember(held, null, "held", "account:mihai", {}, this.now() - 95_000);
    const long = this.machines.get("espresso-2");
    long.hold = { held: true, reason: "unknown", since: iso(this.now() - 5 * 60_000) };
    long.sensors.magazine_count = 3;
    this.alert("espresso-2", "unknown", "critical", "A brew on Long table has no known end.", 108, {
      raised_at: iso(this.now() - 300_000),
      last_at: iso(this.now() - 300_000),
    });
    this.alert("espresso-2", "magazine_empty", "warning", "The capsule slot is empty; please refill it.", 105, {
      count: 3,
      raised_at: iso(this.now() - 5000_000),
      last_at: iso(this.now() - 2400_000),
      acknowledged_at: iso(this.now() - 2300_000),
      acknowledged_by: "account:mihai",
    });
    this.alert("espresso-3", "offline", "warning", "Back room has been silent for 40 minutes.", null, {
      raised_at: iso(this.now() - 420_000),
      last_at: iso(this.now() - 420_000),
    });
    for (const id of this.machines.keys()) this.refresh(id);
  }

  // A quarter of a second of the cafe.
  tick() {
    for (const machine of this.machines.values()) this.tickMachine(machine);
    this.rooms?.tick();
  }

  tickMachine(machine) {
    if (!machine.online || machine.admission !== "admitted") return;
    const now = this.now();
    for (const command of this.commands.values()) {
      if (
        command.state === "pending" &&
        command.machine_id === machine.machine_id &&
        Date.parse(command.not_after) < now
      )
        this.move(command, "expired", "server");
    }
    const running = this.brews.get(machine.machine_id);
    if (running) this.tickBrew(machine, running);
    else if (!machine.hold.held && machine.head && !machine.running)
      this.startBrew(machine, this.commands.get(machine.head.command_id));
    else if (now - Date.parse(machine.last_seen_at) > 3000) this.beat(machine);
  }

  beat(machine) {
    const now = iso(this.now());
    machine.last_seen_at = machine.sensors_at = now;
    if (machine.kind === "window") return this.emit({ type: "machine", machine });
    machine.sensors.temperature_c = Number(
      (machine.sensors.temperature_c * 0.97 + 70 * 0.03 + Math.random() * 0.3).toFixed(1),
    );
    this.emit({ type: "machine", machine });
  }

  startBrew(machine, command) {
    if (machine.kind === "window") {
      this.move(command, "running", `machine:${machine.machine_id}`, { claimed: true, claimed_at: iso(this.now()) });
      command.status = "moving";
      this.rooms.start(machine, command);
      return;
    }
    this.brews.set(machine.machine_id, {
      brew: new Brew(command.recipe, { seed: command.command_id * 104729 }),
      command,
    });
    this.curves.set(command.command_id, { columns: COLUMNS, samples: [], steps: [] });
    this.move(command, "running", `device:${machine.machine_id}`, { claimed: true, claimed_at: iso(this.now()) });
  }

  tickBrew(machine, running) {
    const { brew, command } = running;
    const curve = this.curves.get(command.command_id);
    const rows = [];
    const step = brew.step;
    for (let i = 0; i < Math.max(1, Math.round(2.5 * this.speed)) && !brew.done && brew.step === step; i++)
      rows.push(brew.advance());
    if (curve.steps.at(-1)?.step !== step) curve.steps.push({ step, t_ms: rows[0]?.[0] ?? brew.t });
    curve.samples.push(...rows);
    this.emit({
      type: "progress",
      command_id: command.command_id,
      machine_id: machine.machine_id,
      step,
      columns: COLUMNS,
      samples: rows,
    });
    const now = iso(this.now());
    const changed = machine.step !== step;
    Object.assign(machine, { step, last_seen_at: now, sensors_at: now, ...(changed ? { step_since: now } : {}) });
    Object.assign(machine.sensors, {
      temperature_c: Number(brew.temperature.toFixed(1)),
      head_closed: ["closing_head", "pressing_button", "brewing", "monitoring"].includes(step),
      home: !["picking", "inserting"].includes(step),
    });
    if (changed || Math.random() < 0.2) this.emit({ type: "machine", machine });
    if (command.stop_requested) this.endBrew(machine, command, brew, "cancelled", "stopped");
    else if (brew.done) this.endBrew(machine, command, brew, "complete", null);
  }

  endBrew(machine, command, brew, state, reason) {
    this.brews.delete(machine.machine_id);
    machine.step = "idle";
    machine.step_since = iso(this.now());
    if (machine.sensors.magazine_count > 0) machine.sensors.magazine_count -= 1;
    machine.sensors.water_ml = Math.max(0, machine.sensors.water_ml - Math.round(brew.volume));
    machine.sensors.head_closed = false;
    const meta = { actual_volume_ml: Number(brew.volume.toFixed(1)) };
    this.move(command, state, `device:${machine.machine_id}`, { meta, reason }, reason ? { ...meta, reason } : meta);
  }
}
