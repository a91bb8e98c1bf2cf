import { expect, test } from "vitest";
import { machine } from "../../../test/samples";
import { comfortOf, decisionText, positionOf, type Room } from "./room";
import type { ClimateWindow, Machine, Reading } from "../../lib/types";

const reading: Reading = {
  machine_id: "window-1",
  type: "position",
  unit: "%",
  value: 40,
  at: "2026-03-01T10:00:00.000Z",
  provenance: "measured",
};
const room = (sensors: Machine["sensors"], sensorsAt: string, readings = [reading]): Room => ({
  machine: { ...machine(), kind: "window", sensors, sensors_at: sensorsAt },
  window: undefined,
  readings,
});

test("a window that lost the ends of its travel is where it was as an estimate only", () => {
  expect(positionOf(room({ calibrated: true }, "2026-03-01T10:01:00.000Z"))?.provenance).toBe("measured");
  const lost = positionOf(room({ calibrated: false }, "2026-03-01T10:01:00.000Z"));
  expect(lost).toMatchObject({ value: 40, provenance: "estimated" });
  expect(positionOf(room({ calibrated: false }, "2026-03-01T10:01:00.000Z", []))).toBeNull();
});

test("an answer that was only recorded says whether people decide or one person did a while ago", () => {
  const window = {
    mode: "manual",
    decision: "held_manual",
    answer: { position: 30, spread: 5, confidence: 0.9, model_version: 1, at: reading.at },
  } as ClimateWindow;
  expect(decisionText(window, 0.6)).toContain("people decide here");
  expect(decisionText({ ...window, mode: "auto" }, 0.6)).toContain("a little while ago");
});

test("comfort without a temperature is not known", () => {
  expect(comfortOf(null, 40)).toBe("unknown");
  expect(comfortOf(22, 40)).toBe("good");
  expect(comfortOf(25, 40)).toBe("fair");
  expect(comfortOf(29, 40)).toBe("poor");
});
