import { expect, test } from "vitest";
import { command, espresso, machine } from "../../../test/samples";
import { conditionOf, railSteps, reasonText, recipeLine } from "./condition";

const running = command({ state: "running" });

test("what a person must act on comes before what the machine does", () => {
  expect(conditionOf(machine())).toBe("ready");
  expect(conditionOf(machine({ head: command() }))).toBe("queued");
  expect(conditionOf(machine({ online: false, head: command() }))).toBe("offline");
  expect(conditionOf(machine({ hold: { held: true } }))).toBe("hold");
  expect(conditionOf(machine({ running }))).toBe("working");
  expect(conditionOf(machine({ running, sensors: { estop: true } }))).toBe("stopped");
  expect(conditionOf(machine({ running: command({ state: "unknown" }), hold: { held: true } }))).toBe("unknown");
  expect(conditionOf(machine({ running, admission: "blocked" }))).toBe("blocked");
});

test("an emergency stop heard of long ago is not one now", () => {
  expect(conditionOf(machine({ online: false, sensors: { estop: true } }))).toBe("offline");
});

test("a reason is the kind's sentence, our own, or what someone typed", () => {
  expect(reasonText("magazine_empty", espresso)).toBe("The capsule slot is empty; please refill it.");
  expect(reasonText("unknown_outcome", espresso)).toBe("Nobody knows how a command ended.");
  expect(reasonText("new_reason", espresso)).toBe("New reason");
  expect(reasonText("Drip tray is out", espresso)).toBe("Drip tray is out");
  expect(reasonText(null, espresso)).toBe("");
});

test("the rail has the steps of a brew, without waiting and faults", () => {
  expect(railSteps(espresso)).toEqual(["validating", "picking", "brewing", "complete"]);
  expect(railSteps(undefined)).toEqual([]);
  const window = { ...espresso, kind: "window", steps: ["idle", "calibrating", "moving", "backing_off", "complete"] };
  expect(railSteps(window)).toEqual(["moving", "complete"]);
  expect(railSteps(window, ["backing_off"])).toEqual(["moving", "backing_off", "complete"]);
});

test("a recipe in one line", () => {
  expect(recipeLine(command())).toBe("Espresso · 40 ml · 92 °C");
});
