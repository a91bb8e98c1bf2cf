// The mock's rooms: two windows, a month of made-up air, questions and answers. Everything is a function of time, so
// that any range can be asked for.
const HOUR = 3_600_000;
const iso = (ms) => new Date(ms).toISOString();
const round = (value, digits) => Number(value.toFixed(digits));

const limit = (field, unit, min, max, preset, integer) => ({ field, unit, min, max, preset, integer });
const refusal = (code, text, needs_hands = true) => ({ code, text, needs_hands });

export const WINDOW_KIND = {
  kind: "window",
  commands: [{ command: "set_position", word: "moving", limits: [limit("payload.position", "%", 0, 100, 0, false)] }],
  columns: ["t_ms", "position", "current_a"],
  steps: ["idle", "homing", "calibrating", "moving", "sealing", "stopping", "backing_off", "complete", "error"],
  refusals: [
    refusal("pinched", "Something was in the way; the window stopped and went back a little."),
    refusal("estop", "The emergency stop is pressed."),
    refusal("out_of_limits", "A value is outside what the machine allows.", false),
  ],
  not_after_s: 60,
  max_duration_s: 30,
};

const UNITS = { temperature: "C", humidity: "%", sound_volume: "rms", sound_dbfs: "dBFS", position: "%" };
const RANGE = { temperature: 0.25, humidity: 1.5, sound_volume: 0.012, sound_dbfs: 2, position: 3 };
const DIGITS = { temperature: 2, humidity: 1, sound_volume: 4, sound_dbfs: 1, position: 1 };

/** What the air of a cafe might be at this moment. */
function air(type, ms) {
  const hour = (ms / HOUR) % 24;
  const busy = Math.max(0, Math.sin(((hour - 7) / 12) * Math.PI));
  const day = Math.sin((ms / HOUR / 24) * 0.9);
  const ripple = Math.sin(ms / 400_000) + 0.5 * Math.sin(ms / 91_000);
  const warm = 20.2 + 4.6 * busy + day + 0.2 * ripple;
  if (type === "temperature") return warm;
  if (type === "humidity") return 41 + 16 * busy - 3 * day + ripple;
  if (type === "position") return Math.min(100, Math.max(0, Math.round(((warm - 22) * 34) / 5) * 5));
  const rms = 0.012 + 0.09 * busy * (1 + 0.3 * ripple);
  return type === "sound_dbfs" ? 20 * Math.log10(rms) : rms;
}

export class Rooms {
  constructor(world) {
    this.world = world;
    this.moves = new Map();
    this.position = new Map();
    this.mode = new Map();
    this.asked = 0;
    this.policy = { raw_days: 14, minutes5_days: 90, hour_days: 730, day_days: 3650 };
    this.model = { version: 4, previous_version: 3, origin: "learned" };
    for (const [id, name, silentMs] of [
      ["window-1", "Reading room", 0],
      ["window-2", "Court side", 26 * 60_000],
    ])
      world.addMachine(id, {
        kind: "window",
        name,
        online: silentMs === 0,
        active: silentMs === 0,
        mqtt: silentMs === 0,
        metadata: { place: "ground floor" },
        firmware: "automat-device/1",
        capabilities: {},
        sensors: { position: round(air("position", world.now()), 0), estop: false, provenance: "simulated" },
        last_seen_at: iso(world.now() - silentMs),
        sensors_at: iso(world.now() - silentMs),
      });
  }

  latest(id, type) {
    const machine = this.world.machines.get(id);
    const at = machine.online ? Math.floor(this.world.now() / 10_000) * 10_000 : Date.parse(machine.last_seen_at);
    const set = this.position.get(id);
    const value = type === "position" && set !== undefined ? set : air(type, at);
    return {
      machine_id: id,
      type,
      unit: UNITS[type],
      value: round(value, DIGITS[type]),
      at: iso(at),
      received_at: iso(at),
      provenance: "simulated",
    };
  }

  readings(id) {
    return ["temperature", "humidity", "sound_volume", "sound_dbfs", "position"].map((type) => this.latest(id, type));
  }

  window(id) {
    const at = this.latest(id, "temperature").at;
    const feature = (type) => {
      const { value } = this.latest(id, type);
      return { value, at };
    };
    const position = this.latest(id, "position");
    const sure = Math.floor(this.world.now() / 120_000) % 3 !== 0;
    return {
      machine_id: id,
      mode: this.mode.get(id) ?? "auto",
      position: { value: position.value, at: position.at, provenance: position.provenance },
      target: this.moves.get(id)?.to ?? null,
      features: {
        temperature: feature("temperature"),
        humidity: feature("humidity"),
        sound_volume: feature("sound_volume"),
      },
      answer: {
        position: round(air("position", Date.parse(at)), 0),
        spread: sure ? 6 : 21,
        confidence: sure ? 0.82 : 0.41,
        model_version: this.model.version,
        at,
      },
      decision: this.mode.get(id) === "manual" ? "held_manual" : sure ? "no_change" : "held_low_confidence",
      asked_at: at,
      asked_because: "change",
      command_id: null,
    };
  }

  windows() {
    return [...this.world.machines.values()]
      .filter((machine) => machine.kind === "window")
      .map((machine) => this.window(machine.machine_id));
  }

  series(search) {
    const [from, to] = [Date.parse(search.get("from")), Date.parse(search.get("to"))];
    const type = search.get("type");
    const points = Number(search.get("points") ?? 500);
    const steps = { raw: 10_000, "5m": 300_000, "1h": HOUR, "1d": 24 * HOUR };
    const resolution = Object.keys(steps).find((name) => (to - from) / steps[name] <= points) ?? "1d";
    const rows = [];
    const end = Math.min(to, this.world.now());
    for (let at = Math.ceil(from / steps[resolution]) * steps[resolution]; at < end; at += steps[resolution]) {
      if (Math.floor(at / HOUR) % 37 === 5) continue; // the sensor was off: a gap
      const value = round(air(type, at), DIGITS[type] ?? 2);
      const spread = resolution === "raw" ? 0 : (RANGE[type] ?? 1);
      rows.push([at, value, round(value - spread, 4), round(value + spread, 4), resolution === "raw" ? 1 : 30]);
    }
    return {
      machine_id: search.get("machine_id"),
      type,
      unit: UNITS[type] ?? null,
      resolution,
      columns: ["t_ms", "avg", "min", "max", "count"],
      rows,
      more: false,
    };
  }

  csv(search) {
    const { machine_id, type, unit, rows } = this.series(search);
    const lines = rows.map(([at, ...values]) => [iso(at), machine_id, type, unit, ...values].join(","));
    return ["at,machine_id,type,unit,avg,min,max,count", ...lines, ""].join("\r\n");
  }

  predictions(id, search) {
    const decisions = ["commanded", "no_change", "held_low_confidence", "commanded", "no_change"];
    const begin = Math.floor(this.world.now() / 900_000);
    const [from, to] = [Date.parse(search.get("from")), Date.parse(search.get("to"))];
    const limit = Number(search.get("limit") ?? 50);
    const skip = Number(search.get("cursor") ?? 0);
    const all = Array.from({ length: 96 }, (_, i) => {
      const at = (begin - i) * 900_000;
      const decision = decisions[i % decisions.length];
      return {
        prediction_id: 400 - i,
        at: iso(at),
        temperature: round(air("temperature", at), 2),
        humidity: round(air("humidity", at), 1),
        sound_volume: round(air("sound_volume", at), 4),
        position: Math.max(0, round(air("position", at) + 8 * Math.sin(i * 1.7), 0)),
        confidence: decision === "held_low_confidence" ? 0.44 : 0.82,
        decision,
        asked_because: i % 4 === 0 ? "age" : "change",
        source: "own",
        model_version: this.model.version,
        latency_ms: 0.02,
        command_id: decision === "commanded" ? 101 : null,
        actual: i % 11 === 3 ? Math.min(100, round(air("position", at) + 15, 0)) : null,
      };
    }).filter((row) => this.world.machines.get(id) && Date.parse(row.at) >= from && Date.parse(row.at) <= to);
    return {
      items: all.slice(skip, skip + limit),
      next: skip + limit < all.length ? String(skip + limit) : null,
    };
  }

  start(machine, command) {
    const from = this.latest(machine.machine_id, "position").value;
    this.moves.set(machine.machine_id, { from, to: command.payload.position, at: from, t: 0, command });
    this.world.curves.set(command.command_id, {
      columns: WINDOW_KIND.columns,
      samples: [[0, from, 0.1]],
      steps: [{ step: "moving", t_ms: 0 }],
    });
  }

  // A quarter of a second of every window.
  tick() {
    for (const [id, move] of this.moves) {
      const way = move.to - move.at;
      move.at += Math.sign(way) * Math.min(Math.abs(way), 4 * this.world.speed);
      this.position.set(id, move.at);
      const machine = this.world.machines.get(id);
      const now = iso(this.world.now());
      Object.assign(machine, { step: "moving", last_seen_at: now, sensors_at: now });
      machine.sensors.position = move.at;
      move.t += 250 * this.world.speed;
      const sample = [move.t, round(move.at, 1), way === 0 ? 0.1 : 0.42];
      this.world.curves.get(move.command.command_id).samples.push(sample);
      this.world.emit({
        type: "progress",
        command_id: move.command.command_id,
        machine_id: id,
        step: "moving",
        columns: WINDOW_KIND.columns,
        samples: [sample],
      });
      const stopped = move.command.stop_requested;
      if (stopped || move.at === move.to) {
        this.moves.delete(id);
        machine.step = "idle";
        this.world.move(move.command, stopped ? "cancelled" : "complete", `machine:${id}`, {
          meta: { position: move.at, provenance: "simulated" },
        });
      }
      this.world.emit({ type: "reading", machine_id: id, items: [this.latest(id, "position")] });
    }
    if (++this.asked % 40 === 0)
      for (const window of this.windows()) {
        if (!this.world.machines.get(window.machine_id).online) continue;
        this.world.emit({ type: "climate", ...window });
        this.world.emit({ type: "reading", machine_id: window.machine_id, items: this.readings(window.machine_id) });
      }
  }

  routes() {
    return [
      [
        "GET",
        /^\/api\/telemetry\/latest$/,
        () => ({ items: this.windows().flatMap((one) => this.readings(one.machine_id)), next: null }),
      ],
      ["GET", /^\/api\/telemetry\/series$/, (_, r) => this.series(r.search)],
      ["GET", /^\/api\/telemetry\/export$/, (_, r) => [200, this.csv(r.search), "text/csv; charset=utf-8"]],
      [
        "GET",
        /^\/api\/telemetry\/refusals$/,
        () => ({
          items: [
            {
              machine_id: "window-2",
              code: "out_of_range",
              why: "temperature 812.5 C is above 85",
              count: 17,
              last_at: iso(this.world.now() - 1_700_000),
            },
          ],
          next: null,
        }),
      ],
      ["GET", /^\/api\/telemetry\/policy$/, () => this.policy],
      ["PUT", /^\/api\/telemetry\/policy$/, (_, r) => Object.assign(this.policy, r.body)],
      ["GET", /^\/api\/climate$/, () => ({ source: "own", confidence_min: 0.6, items: this.windows() })],
      [
        "GET",
        /^\/api\/climate\/model$/,
        () => ({
          ...this.model,
          trained_at: iso(this.world.now() - 5 * HOUR),
          samples: 12_412,
          samples_people: 31,
          error: 8.4,
          source: "own",
        }),
      ],
      [
        "GET",
        /^\/api\/climate\/model\/errors$/,
        () => ({
          items: Array.from({ length: 31 }, (_, i) => ({
            at: iso(this.world.now() - (31 - i) * 50 * HOUR),
            version: i < 18 ? 3 : 4,
            error: round(24 - i * 0.5 + 6 * Math.sin(i * 2.1), 1),
          })),
          next: null,
        }),
      ],
      [
        "POST",
        /^\/api\/climate\/model\/rollback$/,
        () => {
          Object.assign(this.model, { version: 3, previous_version: 2, origin: "rolled back" });
          return {};
        },
      ],
      [
        "PUT",
        /^\/api\/climate\/([^/]+)$/,
        (m, r) => {
          this.mode.set(decodeURIComponent(m[1]), r.body.mode);
          return this.window(decodeURIComponent(m[1]));
        },
      ],
      ["GET", /^\/api\/climate\/([^/]+)\/predictions$/, (m, r) => this.predictions(decodeURIComponent(m[1]), r.search)],
    ];
  }
}
