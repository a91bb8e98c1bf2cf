import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

// lib and i18n stand below design, design below features, features beside each other, app above all.
const src = join(import.meta.dirname, "../src");

function* sources(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* sources(path);
    else if (/\.tsx?$/.test(name)) yield path;
  }
}

function room(path: string): string {
  const [first, second] = relative(src, path).split("/");
  return first === "features" ? `features/${second ?? ""}` : (first ?? "");
}

const level: Record<string, number> = { lib: 0, i18n: 0, design: 1, app: 3 };
const levelOf = (name: string): number => level[name] ?? (name.startsWith("features/") ? 2 : 4);

const imports = [...sources(src)]
  .filter((path) => !path.includes(".test."))
  .flatMap((path) =>
    [...readFileSync(path, "utf8").matchAll(/(?:from\s+|import\()"(\.[^"]+)"/g)].map((match) => ({
      from: path,
      to: resolve(dirname(path), match[1] ?? ""),
    })),
  );

test("there is something to check", () => {
  expect(imports.length).toBeGreaterThan(100);
});

test("nothing imports from above, and no feature from another", () => {
  const broken = imports.filter(({ from, to }) => {
    const [a, b] = [room(from), room(to)];
    return a !== b && (levelOf(b) > levelOf(a) || (levelOf(a) === 2 && levelOf(b) === 2));
  });
  expect(broken.map(({ from, to }) => `${relative(src, from)} imports ${relative(src, to)}`)).toEqual([]);
});

test("every sentence is in the table: no letters between tags", () => {
  const loose = [...sources(src)]
    .filter((path) => path.endsWith(".tsx") && !path.includes(".test."))
    .flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/>\s*([A-Z][a-z]{2,}[^<>{}()=;]*)</g)].map(
        (match) => `${relative(src, path)}: ${(match[1] ?? "").trim()}`,
      ),
    );
  expect(loose).toEqual([]);
});
