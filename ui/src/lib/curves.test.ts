import { beforeEach, expect, test } from "vitest";
import { appendCurve, chartColumns, curveOf, forgetCurves, lastValue, mergeCurve } from "./curves";

const columns = ["t_ms", "volume_ml"];

beforeEach(forgetCurves);

const rows = () => curveOf(1)?.rows;

test("a row is kept once, in the order of time, whatever the order of arrival", () => {
  appendCurve(1, "brewing", columns, [
    [100, 1],
    [200, 2],
  ]);
  appendCurve(1, "brewing", columns, [
    [200, 2],
    [300, 3],
  ]);
  mergeCurve(1, {
    columns,
    samples: [
      [0, 0],
      [50, 0.5],
      [100, 1],
    ],
    steps: [{ step: "picking", t_ms: 0 }],
  });
  expect(rows()?.map((row) => row[0])).toEqual([0, 50, 100, 200, 300]);
});

test("columns in another order, or missing, find their place", () => {
  appendCurve(1, "brewing", ["t_ms", "temperature_c", "volume_ml"], [[0, 92, 1]]);
  appendCurve(1, "brewing", ["volume_ml", "t_ms"], [[2, 100]]);
  expect(rows()).toEqual([
    [0, 92, 1],
    [100, null, 2],
  ]);
});

test("a step begins with the first row it comes with, and is named once", () => {
  appendCurve(1, "picking", columns, [[0, 0]]);
  appendCurve(1, "picking", columns, [[100, 0]]);
  appendCurve(1, "brewing", columns, [[200, 0]]);
  appendCurve(1, undefined, columns, [[300, 0]]);
  expect(curveOf(1)?.steps).toEqual([
    { step: "picking", t_ms: 0 },
    { step: "brewing", t_ms: 200 },
  ]);
});

test("each change is another object, so that the page sees it", () => {
  appendCurve(1, "brewing", columns, [[0, 0]]);
  const before = curveOf(1);
  appendCurve(1, "brewing", columns, [[100, 1]]);
  expect(curveOf(1)).not.toBe(before);
  expect(curveOf(1)?.version).toBe((before?.version ?? 0) + 1);
});

test("the last value is the last that was measured", () => {
  appendCurve(1, "brewing", columns, [
    [0, 1.5],
    [100, null],
  ]);
  expect(lastValue(curveOf(1), "volume_ml")).toBe(1.5);
  expect(lastValue(curveOf(1), "pressure_bar")).toBeNull();
  expect(lastValue(undefined, "volume_ml")).toBeNull();
});

test("a gap stays a gap", () => {
  appendCurve(1, "brewing", columns, [
    [0, 1],
    [100, 2],
    [9000, 3],
  ]);
  const curve = curveOf(1);
  expect(curve && chartColumns(curve, ["volume_ml", "flow_ml_s"])).toEqual([
    [0, 0.1, 0.101, 9],
    [1, 2, null, 3],
    [null, null, null, null],
  ]);
});

test("old curves are forgotten before memory is full", () => {
  for (let id = 1; id <= 40; id++) appendCurve(id, "brewing", columns, [[0, 0]]);
  expect(curveOf(1)).toBeUndefined();
  expect(curveOf(40)).toBeDefined();
});
