import { describe, expect, it } from "vitest";
import { axisTimes, firstRange, nearest, seriesColumns, zoomSpan } from "./series";
import type { Series } from "./types";

const series = (rows: number[][], resolution: Series["resolution"] = "5m"): Series => ({
  machine_id: "window-1",
  type: "temperature",
  unit: "C",
  resolution,
  columns: ["t_ms", "avg", "min", "max", "count"],
  rows,
  more: false,
});

describe("seriesColumns", () => {
  it("keeps a gap a gap", () => {
    const columns = seriesColumns(
      series([
        [0, 20, 19, 21, 5],
        [300_000, 21, 20, 22, 5],
        [1_500_000, 22, 21, 23, 5],
      ]),
    );
    expect(columns.at).toEqual([0, 300, 900, 1500]);
    expect(columns.avg).toEqual([20, 21, null, 22]);
  });

  it("reads columns by their name, not by their place", () => {
    const turned = { ...series([[7, 1000, 5, 9, 2]]), columns: ["avg", "t_ms", "min", "max", "count"] };
    expect(seriesColumns(turned)).toEqual({ at: [1], avg: [7], min: [5], max: [9] });
  });

  it("is empty for nothing", () => expect(seriesColumns(undefined).at).toEqual([]));
});

describe("nearest", () => {
  it("finds the closer neighbour", () => {
    expect(nearest([0, 10, 20], 4)).toBe(0);
    expect(nearest([0, 10, 20], 6)).toBe(1);
    expect(nearest([0, 10, 20], 99)).toBe(2);
    expect(nearest([], 1)).toBe(-1);
  });
});

describe("zoomSpan", () => {
  it("keeps what is pointed at where it is", () => {
    const span = zoomSpan({ from: 0, to: 10_000_000 }, 0.5, 2_500_000);
    expect(span).toEqual({ from: 1_250_000, to: 6_250_000 });
  });
  it("never shows less than ten minutes", () => {
    const span = zoomSpan({ from: 0, to: 700_000 }, 0.1);
    expect(span.to - span.from).toBe(600_000);
  });
});

it("a young room is first shown in an hour, everything else in a day", () => {
  const now = Date.UTC(2026, 2, 1, 12);
  expect(firstRange(now - 600_000, now)).toBe(1);
  expect(firstRange(now - 7_200_000, now)).toBe(24);
  expect(firstRange(undefined, now)).toBe(24);
});

it("a time axis has clocks, and a day where one begins", () => {
  const midnight = new Date(2026, 2, 1).getTime() / 1000;
  const [day, six] = axisTimes([midnight, midnight + 6 * 3600], 21_600);
  expect(six).toBe("06:00");
  expect(day).not.toContain(":");
  expect(axisTimes([midnight + 43_200], 86_400)[0]).not.toContain(":");
});
