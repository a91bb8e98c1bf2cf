import { useSyncExternalStore } from "react";
import type { Curve, CurveStep } from "./types";

/**
 * Curves grow ten rows a second while a machine brews, so they live outside the query cache: rows are appended, never
 * copied, and a version number tells the page that there is more to draw. A row is kept once, by its time.
 */

export interface CurveData {
  columns: string[];
  rows: (number | null)[][];
  steps: CurveStep[];
  version: number;
}

const KEPT = 24; // curves; the least recently touched go first
const curves = new Map<number, CurveData>();
const listeners = new Map<number, Set<() => void>>();

function touch(commandId: number): CurveData {
  const curve = curves.get(commandId) ?? { columns: [], rows: [], steps: [], version: 0 };
  curves.delete(commandId);
  curves.set(commandId, curve);
  for (const old of curves.keys()) {
    if (curves.size <= KEPT) break;
    if (!listeners.get(old)?.size) curves.delete(old);
  }
  return curve;
}

function changed(commandId: number, curve: CurveData): void {
  curves.set(commandId, { ...curve, version: curve.version + 1 });
  listeners.get(commandId)?.forEach((listener) => listener());
}

function appendRows(curve: CurveData, columns: string[], rows: (number | null)[][]): void {
  if (curve.columns.length === 0) curve.columns = columns;
  const order = curve.columns.map((name) => columns.indexOf(name));
  const tIndex = curve.columns.indexOf("t_ms");
  const newest = curve.rows.at(-1)?.[tIndex] ?? -1;
  let known: Set<number> | undefined; // only built when rows come that are not newer than all others
  let last = newest;
  let sorted = true;
  for (const row of rows) {
    const next = order.map((from) => (from < 0 ? null : (row[from] ?? null)));
    const at = next[tIndex] ?? 0;
    if (at <= newest) {
      known ??= new Set(curve.rows.map((one) => one[tIndex] ?? 0));
      if (known.has(at)) continue;
      known.add(at);
    } else if (at === last) continue;
    sorted &&= at > last;
    last = at;
    curve.rows.push(next);
  }
  if (!sorted) curve.rows.sort((a, b) => (a[tIndex] ?? 0) - (b[tIndex] ?? 0));
}

/** A batch as it came over the wire, live. */
export function appendCurve(
  commandId: number,
  step: string | undefined,
  columns: string[],
  rows: (number | null)[][],
): void {
  const curve = touch(commandId);
  appendRows(curve, columns, rows);
  if (step && curve.steps.at(-1)?.step !== step) {
    const at = rows[0]?.[columns.indexOf("t_ms")] ?? curve.steps.at(-1)?.t_ms ?? 0;
    if (at >= (curve.steps.at(-1)?.t_ms ?? 0)) curve.steps.push({ step, t_ms: at });
  }
  changed(commandId, curve);
}

/** The stored curve, merged with what came live while it was on its way. */
export function mergeCurve(commandId: number, stored: Curve): void {
  const curve = touch(commandId);
  appendRows(curve, stored.columns, stored.samples);
  if (stored.steps.length >= curve.steps.length) curve.steps = [...stored.steps];
  changed(commandId, curve);
}

export function curveOf(commandId: number): CurveData | undefined {
  return curves.get(commandId);
}

export function forgetCurves(): void {
  curves.clear();
}

export function useCurve(commandId: number | undefined): CurveData | undefined {
  return useSyncExternalStore(
    (listener) => {
      if (commandId === undefined) return () => undefined;
      const set = listeners.get(commandId) ?? new Set();
      listeners.set(commandId, set.add(listener));
      return () => {
        set.delete(listener);
        if (set.size === 0) listeners.delete(commandId);
      };
    },
    () => (commandId === undefined ? undefined : curves.get(commandId)),
  );
}

/** Last measured value of a column, or null while there is none. */
export function lastValue(curve: CurveData | undefined, column: string): number | null {
  if (!curve) return null;
  const index = curve.columns.indexOf(column);
  if (index < 0) return null;
  for (let i = curve.rows.length - 1; i >= 0; i--) {
    const value = curve.rows[i]?.[index];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

const GAP_MS = 1_500;

/**
 * Columns for the chart: seconds, then one array a name. Where rows are missing for longer than GAP_MS a row of nulls
 * stands between, so that a gap stays a gap.
 */
export function chartColumns(curve: CurveData, names: string[]): (number | null)[][] {
  const tIndex = curve.columns.indexOf("t_ms");
  const indexes = names.map((name) => curve.columns.indexOf(name));
  const out: (number | null)[][] = [[], ...names.map(() => [])];
  let before: number | undefined;
  for (const row of curve.rows) {
    const at = row[tIndex];
    if (at === null || at === undefined) continue;
    if (before !== undefined && at - before > GAP_MS) {
      out[0]?.push((before + 1) / 1000);
      names.forEach((_, i) => out[i + 1]?.push(null));
    }
    out[0]?.push(at / 1000);
    indexes.forEach((index, i) => out[i + 1]?.push(index < 0 ? null : (row[index] ?? null)));
    before = at;
  }
  return out;
}
