import type { Series } from "./types";

/** Ranges people ask for, in hours. */
export const RANGES_H = [1, 24, 24 * 7, 24 * 90] as const;

const BUCKET_MS: Record<Series["resolution"], number> = {
  raw: 60_000, // a sensor that reports speaks at least once a minute
  "5m": 300_000,
  "1h": 3_600_000,
  "1d": 86_400_000,
};

export interface Columns {
  /** Seconds since the epoch, as charts want them. */
  at: number[];
  avg: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
}

/** Columns for a chart. Where readings are missing for longer than two buckets, a row of nulls keeps the gap a gap. */
export function seriesColumns(series: Series | undefined): Columns {
  const out: Columns = { at: [], avg: [], min: [], max: [] };
  if (!series) return out;
  const index = (name: string) => series.columns.indexOf(name);
  const [t, avg, min, max] = [index("t_ms"), index("avg"), index("min"), index("max")];
  const longest = BUCKET_MS[series.resolution] * (series.resolution === "raw" ? 3 : 2);
  let before: number | undefined;
  for (const row of series.rows) {
    const at = row[t];
    if (at === undefined) continue;
    if (before !== undefined && at - before > longest) {
      out.at.push((before + at) / 2000);
      out.avg.push(null);
      out.min.push(null);
      out.max.push(null);
    }
    out.at.push(at / 1000);
    out.avg.push(row[avg] ?? null);
    out.min.push(row[min] ?? null);
    out.max.push(row[max] ?? null);
    before = at;
  }
  return out;
}

/** Index of the time nearest to `at` in an ascending list; -1 for an empty one. */
export function nearest(times: number[], at: number): number {
  if (times.length === 0) return -1;
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  const before = times[low - 1];
  const found = times[low] ?? 0;
  return before !== undefined && at - before < found - at ? low - 1 : low;
}

/** How much of the past to show at first: the shortest range that holds all there is, a day when there is more. */
export function firstRange(firstMs: number | undefined, nowMs: number): (typeof RANGES_H)[number] {
  return firstMs === undefined || nowMs - firstMs > 3_600_000 ? 24 : 1;
}

const axisClock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const axisDay = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** Words under a time axis: a clock, and the day where one begins or where only days are marked. */
export function axisTimes(splits: number[], stepS: number): string[] {
  return splits.map((seconds) => {
    const date = new Date(seconds * 1000);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    return stepS >= 86_400 || midnight ? axisDay.format(date) : axisClock.format(date);
  });
}

export interface Span {
  from: number;
  to: number;
}

/** Half or twice as much, around the middle or what is pointed at; never less than ten minutes. */
export function zoomSpan(span: Span, factor: number, around = (span.from + span.to) / 2): Span {
  const width = Math.max(600_000, (span.to - span.from) * factor);
  const part = (around - span.from) / (span.to - span.from);
  const from = around - width * part;
  return { from, to: from + width };
}
