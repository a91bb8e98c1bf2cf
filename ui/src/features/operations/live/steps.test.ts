import { expect, test } from "vitest";
import { railLength, stepMarks, stepShown } from "./steps";

const steps = ["picking", "closing_head", "brewing", "ejecting", "complete"];

test("a stopped command shows what it left out as skipped, and ends without alarm", () => {
  const marks = stepMarks({ steps, seen: ["picking", "closing_head", "ejecting"], state: "cancelled" });
  expect(marks).toEqual(["passed", "passed", "skipped", "quiet", "skipped"]);
});

test("a failed command whose step nobody knows has no rail", () => {
  expect(stepMarks({ steps, seen: [], state: "failed" })).toBeNull();
  expect(stepMarks({ steps, seen: [], state: "failed", endedIn: "picking" })?.[0]).toBe("stopped");
});

test("a rail ends on the step that the command failed in", () => {
  const failed = stepMarks({ steps, seen: ["picking", "brewing"], state: "failed" }) ?? [];
  expect(railLength(steps, failed, "failed")).toBe(3);
  const open = stepMarks({ steps, seen: ["picking"], state: "unknown" }) ?? [];
  expect(railLength(steps, open, "unknown")).toBe(5);
  const done = stepMarks({ steps, seen: ["brewing"], state: "complete" }) ?? [];
  expect(railLength(steps, done, "complete")).toBe(5);
});

test("a complete command stands on its last step", () => {
  const marks = stepMarks({ steps, seen: ["brewing", "ejecting"], state: "complete" });
  expect(marks).toEqual(steps.map(() => "passed"));
  expect(stepShown(steps, marks ?? [], "complete")).toBe(4);
});
