import { expect, test } from "vitest";
import { limitFault, limitNudge, limitStep } from "./limits";

const temperature = { field: "temperature_c", unit: "C", min: 60, max: 96, preset: 92, integer: false };
const volume = { field: "volume_ml", unit: "ml", min: 15, max: 150, preset: 40, integer: true };

test("the bounds themselves are allowed, a hair beyond is not", () => {
  expect(limitFault("60", temperature)).toBeNull();
  expect(limitFault("96", temperature)).toBeNull();
  expect(limitFault("59,99", temperature)).toBe("60 °C or more.");
  expect(limitFault("96.01", temperature)).toBe("96 °C or less.");
});

test("says what is wrong, not that something is", () => {
  expect(limitFault("", volume)).toMatch(/needed/);
  expect(limitFault("forty", volume)).toMatch(/not a number/);
  expect(limitFault("40,5", volume)).toMatch(/Whole/);
});

test("steps are round, and whole where numbers are", () => {
  expect(limitStep(temperature)).toBe(1);
  expect(limitStep(volume)).toBe(5);
  expect(limitStep({ ...volume, min: 0, max: 10000 })).toBe(200);
  expect(limitStep({ ...volume, min: 1, max: 8 })).toBe(1);
});

test("a nudge goes to the next round value and stays inside", () => {
  expect(limitNudge("41", volume, 1)).toBe("45");
  expect(limitNudge("45", volume, 1)).toBe("50");
  expect(limitNudge("41", volume, -1)).toBe("40");
  expect(limitNudge("149", volume, 1)).toBe("150");
  expect(limitNudge("150", volume, 1)).toBe("150");
  expect(limitNudge("15", volume, -1)).toBe("15");
  expect(limitNudge("nonsense", volume, 1)).toBe("45");
});
