// A pretend espresso machine for the mock server: states and curves of about the right shape, no physics.

export const STEPS = [
  ["validating", 0.4],
  ["pre_flight", 0.8],
  ["homing", 1.5],
  ["picking", 2.6],
  ["inserting", 3.2],
  ["closing_head", 1.8],
  ["pressing_button", 1.0],
  ["brewing", null], // until the volume is reached
  ["monitoring", 1.6],
  ["ejecting", 2.4],
  ["complete", 0.5],
];

export const COLUMNS = ["t_ms", "temperature_c", "pressure_bar", "flow_ml_s", "current_a", "volume_ml"];

export class Brew {
  constructor(recipe, { diesAtMl = Infinity, seed = 1 } = {}) {
    this.recipe = recipe;
    this.diesAtMl = diesAtMl;
    this.t = 0;
    this.index = 0;
    this.inStep = 0;
    this.volume = 0;
    this.temperature = 68;
    this.pressure = 0;
    this.flow = 0;
    this.seed = seed;
    this.dead = false;
  }

  get step() {
    return STEPS[Math.min(this.index, STEPS.length - 1)][0];
  }

  get done() {
    return this.index >= STEPS.length;
  }

  noise() {
    this.seed = (this.seed * 16807) % 2147483647;
    return this.seed / 2147483647 - 0.5;
  }

  // One tenth of a second; the row of the curve it gives.
  advance() {
    this.t += 100;
    this.inStep += 0.1;
    const brewing = this.step === "brewing";
    const target = this.recipe.temperature_c ?? 92;
    this.temperature += (target - this.temperature) * (brewing ? 0.02 : 0.011) + this.noise() * 0.12;
    const wetting = brewing && this.inStep < 1.2 + (this.recipe.pre_infusion_ms ?? 0) / 1000;
    const goal = brewing ? (wetting ? 2.6 : 9.1) : 0;
    this.pressure += (goal - this.pressure) * (goal > this.pressure ? 0.07 : 0.12);
    const open = brewing && !wetting ? Math.max(0, this.pressure - 3) * 0.21 : 0;
    this.flow += (open - this.flow) * 0.12;
    this.volume += Math.max(0, this.flow) * 0.1;
    const motor = ["homing", "picking", "inserting", "closing_head", "ejecting"].includes(this.step) ? 0.42 : 0.06;
    const current = brewing ? 0.31 + this.pressure * 0.045 : motor;
    if (this.volume >= this.diesAtMl) this.dead = true;
    const row = [
      this.t,
      round(this.temperature + this.noise() * 0.1, 2),
      round(Math.max(0, this.pressure + this.noise() * 0.08 * (brewing ? 1 : 0)), 2),
      round(Math.max(0, this.flow + (this.flow > 0.1 ? this.noise() * 0.05 : 0)), 3),
      round(current + this.noise() * 0.02, 3),
      round(this.volume, 2),
    ];
    const limit = STEPS[this.index]?.[1];
    const over = brewing ? this.volume >= (this.recipe.volume_ml ?? 40) : this.inStep >= (limit ?? 0);
    if (over) {
      this.index += 1;
      this.inStep = 0;
    }
    return row;
  }
}

// The whole curve at once, for commands that were over before the mock began.
export function pastCurve(recipe, options) {
  const brew = new Brew(recipe, options);
  const samples = [];
  const steps = [];
  while (!brew.done && !brew.dead && samples.length < 3000) {
    if (steps.at(-1)?.step !== brew.step) steps.push({ step: brew.step, t_ms: brew.t });
    samples.push(brew.advance());
  }
  return { columns: COLUMNS, samples, steps, volume: brew.volume, temperature: brew.temperature, ms: brew.t };
}

const round = (value, digits) => Number(value.toFixed(digits));
