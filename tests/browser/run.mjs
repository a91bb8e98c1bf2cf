// The page in a real browser against the real server: starts a demo cafe on a port of its own in a folder of its own,
// brings it back whenever it ends (the page must survive that), and runs the files of ui/e2e against it, one after the other.
//
//   node tests/browser/run.mjs [AUTOMAT_BIN [FILE...]]     FILE: operations climate; AUTOMAT_SHOTS=DIR keeps screenshots
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const top = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const binary = process.argv[2] ?? join(top, "build", "release", "automat");
const files = process.argv.length > 3 ? process.argv.slice(3) : ["operations", "climate"];
const person = { name: "browser-test", role: "admin", password: "a password of this test only" };
const folder = mkdtempSync(join(tmpdir(), "automat-browser-"));
const adminToken = "at_browser_test_admin_0123456789abcdefghij";
let server, ending = false, signInCode = "", log = "";

const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

function start(port) {
  return new Promise((resolve, reject) => {
    server = spawn(binary, ["serve", "--listen", `127.0.0.1:${port}`, "--mqtt", "127.0.0.1:0", "--data", join(folder, "data"),
      "--demo", "--demo-speed", "6"], { env: { ...process.env, AUTOMAT_ADMIN_TOKEN: adminToken } });
    writeFileSync(join(folder, "pid"), String(server.pid));
    server.stdout.on("data", (text) => {
      if (String(text).includes('"event":"ready"')) {
        writeFileSync(join(folder, "ready"), String(server.pid));
        resolve();
      }
    });
    server.stderr.on("data", (text) => {
      log = (log + text).slice(-20_000);
      signInCode ||= /signin#code=([\w-]+)/.exec(log)?.[1] ?? "";
    });
    server.on("exit", (code) => {
      if (ending) return;
      if (code !== 0) reject(new Error(`the server ended with ${code}:\n${log}`));
      start(port).catch(reject); // somebody restarted it
    });
  });
}

async function until(what, done, ms = 20_000) {
  for (const end = Date.now() + ms; Date.now() < end; await new Promise((next) => setTimeout(next, 50)))
    if (await done()) return;
  throw new Error(`waited in vain for ${what}\n${log}`);
}

const call = async (url, path, body, token = adminToken, more = {}) => {
  const reply = await fetch(url + path, {
    method: body ? "POST" : "GET", body: body && JSON.stringify(body),
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}), ...more },
  });
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
  return reply.status === 204 ? null : reply.json();
};

// A board claims, and then another journal says hello: nobody knows how that brew ended.
async function makeUnknown(url) {
  const { token } = await call(url, "/api/machines", { machine_id: "espresso-lost", kind: "espresso", name: "Lost board" });
  const { command_id } = await call(url, "/api/commands/create", {
    machine_id: "espresso-lost",
    recipe: { volume_ml: 40, temperature_c: 92, pre_infusion_ms: 300, capsule_type: "original", capsule_variant: "espresso" },
  });
  const hello = (journal) => call(url, "/api/machines/espresso-lost/hello", {
    boot_id: journal.repeat(32), journal_id: journal.repeat(32), firmware: "test", capabilities: {}, journal: [],
  }, token);
  await hello("a");
  await call(url, `/api/commands/update/${command_id}`,
    { status: "brewing", claim_id: "c".repeat(32), journal_id: "a".repeat(32) }, token);
  await hello("b");
}

const port = await freePort();
const url = `http://127.0.0.1:${port}`;
let status = 1;
try {
  await start(port);
  await until("the sign-in link", () => signInCode !== "");
  await until("the twin", async () => (await call(url, "/api/machines")).items.some((machine) => machine.online));
  await makeUnknown(url);
  writeFileSync(join(folder, "restart.sh"), `set -e
old=$(cat ${folder}/pid)
kill -TERM "$old"
tries=0
while [ "$(cat ${folder}/ready)" = "$old" ]; do
    tries=$((tries + 1)); [ $tries -lt 200 ]; sleep 0.1
done
`);
  // The sign-in link is used up by the first file; the second signs in by name.
  await call(url, "/api/accounts", person);
  const runFile = (file) => {
    const run = spawn(process.execPath, ["--test", "--test-reporter=tap", join(top, "ui", "e2e", `${file}.e2e.mjs`)], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, AUTOMAT_URL: url, AUTOMAT_SIGNIN_CODE: signInCode, AUTOMAT_MACHINE: "espresso-1",
        AUTOMAT_SIGNIN_NAME: person.name, AUTOMAT_SIGNIN_PASSWORD: person.password,
        AUTOMAT_RESTART: `sh ${join(folder, "restart.sh")}`, AUTOMAT_BREW_S: "120" },
    });
    return new Promise((resolve) => run.on("exit", (code) => resolve(code ?? 1)));
  };
  status = 0;
  for (const file of files) status = (await runFile(file)) || status;
  if (status !== 0) console.log(log.slice(-4000));
} catch (error) {
  console.log(String(error));
} finally {
  ending = true;
  server?.kill("SIGTERM");
  await new Promise((resolve) => (server?.exitCode === null ? server.on("exit", resolve) : resolve()));
  rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
