import { describe, expect, test } from "vitest";
import type { Prediction } from "../../lib/types";
import { saidNear, saidOf, solidity } from "./said";

const prediction = (seconds: number, more: Partial<Prediction> = {}): Prediction => ({
  prediction_id: seconds,
  at: new Date(seconds * 1000).toISOString(),
  temperature: 21,
  humidity: 40,
  sound_volume: 0.02,
  position: 30,
  confidence: 0.9,
  decision: "no_change",
  asked_because: "change",
  source: "own",
  model_version: 1,
  latency_ms: 0.02,
  command_id: null,
  actual: null,
  ...more,
});

describe("what the model said, on a chart", () => {
  test("is ordered by time, and leaves out questions without an answer", () => {
    const said = saidOf([prediction(30), prediction(20, { position: null }), prediction(10, { actual: 55 })]);
    expect(said.map((one) => one.at)).toEqual([10, 30]);
    expect(said[0]).toEqual({ at: 10, position: 30, confidence: 0.9, actual: 55 });
  });

  test("is found by a time near enough, and not otherwise", () => {
    const said = saidOf([prediction(10), prediction(30)]);
    expect(saidNear(said, 24, 10)?.at).toBe(30);
    expect(saidNear(said, 60, 10)).toBeNull();
    expect(saidNear([], 60, 10)).toBeNull();
  });

  test("an unsure answer is faint and still there", () => {
    expect(solidity(0)).toBeCloseTo(0.2);
    expect(solidity(1)).toBeCloseTo(1);
    expect(solidity(7)).toBeCloseTo(1);
  });
});
