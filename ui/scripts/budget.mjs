// What the first view loads, compressed, against its budget. Follows the build's manifest: the entry, what it imports,
// and the one page that is opened first. Fails the build when a limit is passed.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const dist = new URL("../dist/", import.meta.url).pathname;
const KB = 1000;
const SCRIPT_LIMIT = 150 * KB;
const STYLE_LIMIT = 20 * KB;
const FIRST_PAGES = ["src/features/operations/routes.tsx"];

const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const keys = new Set();
const seen = new Set();
const styles = new Set();

function follow(key) {
  const chunk = manifest[key];
  if (!chunk || seen.has(chunk.file)) return;
  keys.add(key);
  seen.add(chunk.file);
  for (const file of chunk.css ?? []) styles.add(file);
  for (const next of chunk.imports ?? []) follow(next);
}

follow(entry);
FIRST_PAGES.forEach(follow);

const sizeOf = (file) => {
  const packed = join(dist, `${file}.br`);
  return statSync(existsSync(packed) ? packed : join(dist, file)).size;
};
const sum = (names) => [...names].reduce((total, name) => total + sizeOf(name), 0);
const script = sum(seen);
const style = sum(styles);
const kb = (bytes) => `${(bytes / KB).toFixed(1)} kB`;

console.log(
  `first view: script ${kb(script)} of ${kb(SCRIPT_LIMIT)}, style ${kb(style)} of ${kb(STYLE_LIMIT)} (brotli)`,
);
let failed = false;
if (script > SCRIPT_LIMIT || style > STYLE_LIMIT) {
  for (const file of seen) console.error(`  ${kb(sizeOf(file))}  ${file}`);
  failed = true;
}
const eager = [...keys].filter((key) => key.endsWith("/Curves.tsx"));
if (eager.length > 0) {
  console.error(`the chart library is loaded with the first view: ${eager.join(", ")}`);
  failed = true;
}
// Nothing may be fetched from elsewhere: the cafe has to work without the internet.
for (const file of readdirSync(join(dist, "assets"))) {
  if (!file.endsWith(".css")) continue;
  const outside = readFileSync(join(dist, "assets", file), "utf8").match(/url\(["']?https?:[^)]*\)/);
  if (outside) {
    console.error(`${file} fetches from outside: ${outside[0]}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
