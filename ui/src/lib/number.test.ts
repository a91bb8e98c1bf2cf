import { expect, test } from "vitest";
import { parseNumber } from "./number";

test.each([
  ["92", 92],
  ["92.5", 92.5],
  ["92,5", 92.5],
  [" 92,5 ", 92.5],
  ["1 000", 1000],
  ["1\u00a0000,5", 1000.5],
  ["1\u202f000", 1000],
  [",5", 0.5],
  ["5.", 5],
  ["-3", -3],
  ["\u22123", -3],
])("reads %j as %d", (text, value) => {
  expect(parseNumber(text)).toBe(value);
});

test.each(["", " ", "abc", "9 2x", "1,000,5", "1.000.5", "1.5e3", "--3", "+3", "0x10", "NaN", "Infinity", "."])(
  "refuses %j",
  (text) => {
    expect(parseNumber(text)).toBeNull();
  },
);
