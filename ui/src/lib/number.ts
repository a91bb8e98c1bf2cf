/**
 * Reads a number as people type it: "92,5", "92.5", " 1 000 ". One separator is a decimal sign; thousands may be set
 * apart by spaces only, since "1,000" could be either. Returns null for anything else.
 */
export function parseNumber(text: string): number | null {
  const compact = text
    .replace(/[\s\u00a0\u202f']/g, "")
    .replace(",", ".")
    .replace("\u2212", "-");
  if (!/^-?(\d+(\.\d*)?|\.\d+)$/.test(compact)) return null;
  const value = Number(compact);
  return Number.isFinite(value) ? value : null;
}

const formats = new Map<number, Intl.NumberFormat>();

/** At most `digits` decimals, and exactly so many when `fixed`: columns of numbers line up. */
export function formatNumber(value: number, digits = 0, fixed = true): string {
  const key = digits * 2 + (fixed ? 1 : 0);
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(undefined, {
      minimumFractionDigits: fixed ? digits : 0,
      maximumFractionDigits: digits,
      useGrouping: "min2",
      signDisplay: "negative", // a sensor at rest reads -0.001 now and then; nobody wants to read -0
    });
    formats.set(key, format);
  }
  return format.format(value);
}
