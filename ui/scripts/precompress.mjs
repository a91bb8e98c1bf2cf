// Writes FILE.br and FILE.gz beside every text file of dist/, so that the server sends them as they are.
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
const text = new Set([".html", ".js", ".css", ".svg", ".json", ".txt", ".webmanifest"]);

function* files(folder) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else yield path;
  }
}

let count = 0;
for (const path of [...files(dist)]) {
  if (!text.has(extname(path)) || path.includes("/.vite/")) continue;
  const bytes = readFileSync(path);
  if (bytes.length < 512) continue; // smaller than what compression would add in headers
  writeFileSync(
    `${path}.br`,
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  );
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  count++;
}
console.log(`precompressed ${count} files`);
