// The climate pages in a real browser against a running server. By role and label only.
//
//   AUTOMAT_URL            where it listens (http://127.0.0.1:8000)
//   AUTOMAT_SIGNIN_CODE    the code of a one-time sign-in link of somebody who is admin, or
//   AUTOMAT_SIGNIN_NAME, AUTOMAT_SIGNIN_PASSWORD
//   AUTOMAT_WINDOW         a window that is online (the first one that is)
//   AUTOMAT_SHOTS          folder for screenshots
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PHONE, URL_BASE, axe, hold, holdKey, launch, openPage, shot, signInSomehow } from "./kit.mjs";

const MOVE_MS = 120_000;

let browser;
let storageState;
let machine;

const get = (page, path) => page.evaluate(async (p) => (await fetch(p)).json(), path);
const nameOf = (one) => one.name ?? one.machine_id;
const roomUrl = () => `${URL_BASE}/climate/${encodeURIComponent(machine.machine_id)}`;
const newest = async (page) =>
  (await get(page, `/api/commands?machine_id=${encodeURIComponent(machine.machine_id)}&limit=1`)).items[0];

async function until(page, what, ready, ms = MOVE_MS) {
  for (const end = Date.now() + ms; Date.now() < end; await page.waitForTimeout(250)) {
    const answer = await ready();
    if (answer) return answer;
  }
  throw new Error(`waited in vain for ${what}`);
}

async function finish(page) {
  const { faults } = page;
  await page.context().close();
  assert.deepEqual(faults, [], "the page logged errors");
}

// The command that setting this position by hand makes, when it is over.
async function settled(page, before) {
  const command = await until(page, "a new command", async () => {
    const one = await newest(page);
    return one && one.command_id !== before && one;
  });
  return until(page, `command ${command.command_id} to end`, async () => {
    const one = await get(page, `/api/commands/${command.command_id}`);
    return !["pending", "running", "held"].includes(one.state) && one;
  });
}

before(async () => {
  browser = await launch();
  const page = await openPage(browser);
  await signInSomehow(page);
  storageState = await page.context().storageState();
  machine = await until(page, "a window that is online", async () =>
    (await get(page, "/api/machines?limit=200")).items.find((one) =>
      process.env.AUTOMAT_WINDOW
        ? one.machine_id === process.env.AUTOMAT_WINDOW && one.online
        : one.kind === "window" && one.online && one.admission === "admitted" && !one.hold.held,
    ),
  );
  await until(page, "readings of it", async () =>
    (await get(page, "/api/telemetry/latest")).items.some((one) => one.machine_id === machine.machine_id),
  );
  await page.context().close();
});

after(async () => {
  await browser?.close();
});

test("every room shows its numbers with how they are known", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(`${URL_BASE}/climate`);
  const card = page.getByRole("article", { name: nameOf(machine) });
  await card.getByText("°C").waitFor();
  await card
    .getByText(/simulated|measured/)
    .first()
    .waitFor();
  await page.getByRole("region", { name: "The model" }).waitFor();
  await page.getByRole("region", { name: "What was refused" }).waitFor();
  await shot(page, "e2e-climate");
  await card.getByRole("link", { name: nameOf(machine) }).click();
  await page.getByRole("heading", { level: 1, name: nameOf(machine) }).waitFor();
  await finish(page);
});

test("a window is moved by keyboard alone, once, and is where it was sent", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(roomUrl());
  const before = (await newest(page))?.command_id;
  const control = page.getByRole("region", { name: "Set by hand" });
  await control.getByRole("textbox", { name: "Position" }).fill("30");
  await control.getByText("moves to 30 % open").waitFor();
  await holdKey(page, control.getByRole("button", { name: "Hold to set 30 %" }));
  const command = await settled(page, before);
  assert.equal(command.state, "complete", JSON.stringify(command));
  assert.equal(command.payload.position, 30);
  assert.ok(Math.abs(command.meta.position - 30) < 1, JSON.stringify(command.meta));
  assert.equal((await newest(page)).command_id, command.command_id);
  await page.goto(`${URL_BASE}/commands/${command.command_id}`);
  await page.getByRole("list", { name: "Steps" }).waitFor();
  await page.getByRole("main").getByText("Complete", { exact: true }).first().waitFor();
  await shot(page, "e2e-window-command");
  await finish(page);
});

test("a motion is stopped from where it was begun", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(roomUrl());
  const before = (await newest(page))?.command_id;
  const control = page.getByRole("region", { name: "Set by hand" });
  await control.getByRole("button", { name: "Open", exact: true }).click();
  await hold(page, control.getByRole("button", { name: "Hold to set 100 %" }));
  await control.getByRole("button", { name: "Stop", exact: true }).click({ timeout: 30_000 });
  const command = await settled(page, before);
  // A stop may come too late; then it is complete. Never anything else.
  assert.ok(["cancelled", "complete"].includes(command.state), command.state);
  await finish(page);
});

test("a number outside the window's own range is refused in words, before anything is sent", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(roomUrl());
  const before = (await newest(page))?.command_id;
  const control = page.getByRole("region", { name: "Set by hand" });
  const field = control.getByRole("textbox", { name: "Position" });
  await field.fill("140");
  await field.blur();
  await control.getByText("100 % or less.").waitFor();
  await holdKey(page, control.getByRole("button", { name: /Hold to set/ }));
  assert.equal((await newest(page))?.command_id, before);
  await finish(page);
});

test("who decides is kept over a reload", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(roomUrl());
  const byHand = page.getByRole("radio", { name: /By hand/ });
  await byHand.check();
  await until(page, "the mode", async () =>
    (await get(page, "/api/climate")).items.some(
      (one) => one.machine_id === machine.machine_id && one.mode === "manual",
    ),
  );
  await page.reload();
  await byHand.waitFor();
  assert.ok(await byHand.isChecked());
  await page.getByRole("radio", { name: /Automatic/ }).check();
  await until(page, "the mode", async () =>
    (await get(page, "/api/climate")).items.some((one) => one.machine_id === machine.machine_id && one.mode === "auto"),
  );
  await finish(page);
});

test("history is drawn, read by keys, shown as a table and exported", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(roomUrl());
  const history = page.getByRole("region", { name: "History" });
  await history.locator("canvas").first().waitFor();
  await history.getByRole("button", { name: "1 h" }).click();
  const chart = history.getByRole("group", { name: /^History\./ });
  await chart.focus();
  await page.keyboard.press("End");
  const spoken = chart.locator("[aria-live]");
  await until(page, "a spoken value", async () => /Temperature -?\d/.test(await spoken.innerText()), 10_000);
  await page.keyboard.press("+");
  assert.equal(await history.getByRole("button", { name: "1 h" }).getAttribute("aria-pressed"), "false");
  await page.keyboard.press("t");
  await history.getByRole("table").waitFor();
  await history.getByRole("button", { name: "Predicted" }).click();
  await history.getByRole("columnheader", { name: "A person set" }).waitFor();
  assert.ok((await history.getByRole("row").count()) > 1, "predictions");
  await history.getByRole("button", { name: "24 h" }).click();
  const href = await history.getByRole("link", { name: "Temperature as CSV" }).getAttribute("href");
  const csv = await page.evaluate(async (path) => {
    const reply = await fetch(path);
    return { type: reply.headers.get("Content-Type"), text: await reply.text() };
  }, href);
  assert.match(csv.type, /^text\/csv/);
  const [head, ...rows] = csv.text.trim().split(/\r?\n/);
  assert.match(head, /^at,machine_id,type,unit,/);
  assert.ok(rows.length > 0, "rows");
  await finish(page);
});

test("numbers come by themselves", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(roomUrl());
  await page.getByText("Live", { exact: true }).first().waitFor();
  const temperature = page.getByRole("region", { name: "Live" }).locator("time").first();
  const first = await temperature.getAttribute("datetime");
  await until(page, "a younger reading", async () => (await temperature.getAttribute("datetime")) !== first);
  await finish(page);
});

test("notes about a machine are saved, and nonsense is refused before it is sent", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(`${URL_BASE}/operations/machines/${encodeURIComponent(machine.machine_id)}`);
  const notes = page.getByRole("region", { name: "Notes about it" });
  const text = notes.getByRole("textbox");
  await text.fill('{"place": ');
  await notes.getByText(/Not valid JSON/).waitFor();
  await text.fill('{"place": "by the door"}');
  await notes.getByRole("button", { name: "Save" }).click();
  await until(
    page,
    "the notes",
    async () =>
      (await get(page, `/api/machines/${encodeURIComponent(machine.machine_id)}`)).metadata?.place === "by the door",
  );
  await finish(page);
});

test("a room nobody knows is a designed page", async () => {
  const page = await openPage(browser, { storageState });
  await page.goto(`${URL_BASE}/climate/no-such-window`);
  await page.getByRole("heading", { name: "No window by that id" }).waitFor();
  await finish(page);
});

for (const [size, viewport] of [
  ["desktop", undefined],
  ["phone", PHONE],
])
  for (const colorScheme of ["light", "dark"])
    test(`no barriers on the climate pages, ${size}, ${colorScheme}`, async () => {
      const page = await openPage(browser, { storageState, colorScheme, ...(viewport ? { viewport } : {}) });
      for (const address of [`${URL_BASE}/climate`, roomUrl()]) {
        await page.goto(address);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.waitForTimeout(1200);
        assert.deepEqual(await axe(page), [], address);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${address} is ${wide} px wider than the screen`);
      }
      await finish(page);
    });
