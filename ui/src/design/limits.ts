import { t } from "../i18n";
import { formatNumber, parseNumber } from "../lib/number";
import type { Limit } from "../lib/types";

/** What is wrong with a text, measured by the server's own limit; null when nothing is. */
export function limitFault(text: string, limit: Limit): string | null {
  if (text.trim() === "") return t.field.empty;
  const value = parseNumber(text);
  const unit = limit.unit ? unitSign(limit.unit) : "";
  if (value === null) return t.field.notNumber;
  if (limit.integer && !Number.isInteger(value)) return t.field.integer;
  if (value < limit.min) return t.field.low(formatNumber(limit.min, 2, false), unit);
  if (value > limit.max) return t.field.high(formatNumber(limit.max, 2, false), unit);
  return null;
}

/** About forty steps over the range, on a 1-2-5 scale. */
export function limitStep(limit: Limit): number {
  const raw = (limit.max - limit.min) / 40;
  const power = 10 ** Math.floor(Math.log10(raw));
  const nice = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.75) ?? 10;
  return limit.integer ? Math.max(1, Math.round(nice * power)) : nice * power;
}

/** The next step up or down from whatever is typed, onto the scale and inside the range. */
export function limitNudge(text: string, limit: Limit, direction: 1 | -1): string {
  const step = limitStep(limit);
  const value = parseNumber(text) ?? limit.preset;
  const onScale = direction > 0 ? Math.floor(value / step + 1e-9) + 1 : Math.ceil(value / step - 1e-9) - 1;
  const next = Math.min(limit.max, Math.max(limit.min, onScale * step));
  return formatTyped(next);
}

/** A number as it would be typed: no grouping, the locale's decimal sign. */
export function formatTyped(value: number): string {
  return new Intl.NumberFormat(undefined, { useGrouping: false, maximumFractionDigits: 3 }).format(value);
}

const signs: Record<string, string> = {
  c: "°C",
  celsius: "°C",
  degc: "°C",
  ml: "ml",
  ms: "ms",
  bar: "bar",
  percent: "%",
};

export function unitSign(unit: string): string {
  return signs[unit.toLowerCase()] ?? unit;
}
