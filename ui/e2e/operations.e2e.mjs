// The operations pages in a real browser against a running server. By role and label only.
//
//   AUTOMAT_URL           where it listens (http://127.0.0.1:8000)
//   AUTOMAT_SIGNIN_CODE   the code of a one-time sign-in link of somebody who is admin
//   AUTOMAT_MACHINE       a machine that is online (the first one that is)
//   AUTOMAT_RESTART       shell command that restarts the server on the same address; without it that test is skipped
//   AUTOMAT_MAKE_UNKNOWN  shell command that leaves a command `unknown`; without it one must be there, or it is skipped
//   AUTOMAT_BREW_S        how long one brew may take (240)
//   AUTOMAT_SHOTS         folder for screenshots
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { PHONE, URL_BASE, WIDE, axe, hold, holdKey, launch, openPage, shot, signIn } from "./kit.mjs";

const BREW_MS = Number(process.env.AUTOMAT_BREW_S ?? 240) * 1000;
const shell = promisify(execFile);
const run = (command) => shell("/bin/sh", ["-c", command], { timeout: 120_000 });

let browser;
let storageState;
let machine;

const get = (page, path) => page.evaluate(async (p) => (await fetch(p)).json(), path);
const nameOf = (one) => one.name ?? one.machine_id;
const machineUrl = () => `${URL_BASE}/operations/machines/${encodeURIComponent(machine.machine_id)}`;
const countCommands = async (page) =>
  (await get(page, `/api/commands?machine_id=${encodeURIComponent(machine.machine_id)}&limit=200`)).items.length;
const idFromUrl = (page) => Number(/\/commands\/(\d+)$/.exec(new URL(page.url()).pathname)?.[1]);
const badge = (page, word) => page.getByRole("main").getByText(word, { exact: true }).first();

async function signedIn(options = {}) {
  const page = await openPage(browser, { storageState, ...options });
  return page;
}

async function finish(page) {
  const faults = page.faults;
  await page.context().close();
  assert.deepEqual(faults, [], "the page logged errors");
}

async function openBrew(page) {
  await page.goto(machineUrl());
  await page.getByRole("button", { name: `Brew, ${nameOf(machine)}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Volume", { exact: true }).waitFor();
  return dialog;
}

async function waitState(page, id, state, ms = BREW_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const command = await get(page, `/api/commands/${id}`);
    if (command.state === state) return command;
    assert.ok(Date.now() < end, `command ${id} is ${command.state}, not ${state}`);
    await page.waitForTimeout(250);
  }
}

before(async () => {
  browser = await launch();
  const page = await openPage(browser);
  await signIn(page);
  storageState = await page.context().storageState();
  const { items } = await get(page, "/api/machines?limit=200");
  machine = items.find((one) =>
    process.env.AUTOMAT_MACHINE
      ? one.machine_id === process.env.AUTOMAT_MACHINE
      : one.online && one.admission === "admitted" && !one.hold.held,
  );
  assert.ok(machine, "a machine that is online");
  await page.context().close();
});

after(async () => {
  await browser?.close();
});

test("the floor shows every machine, its state in words, and that it is live", async () => {
  const page = await signedIn();
  await page.goto(`${URL_BASE}/operations`);
  await page.getByText("Live", { exact: true }).first().waitFor();
  await page.getByRole("article", { name: nameOf(machine) }).waitFor();
  assert.ok(await page.getByRole("heading", { level: 1 }).innerText());
  await finish(page);
});

test("a brew is ordered by holding, once, and watched to its end", async () => {
  const page = await signedIn();
  const dialog = await openBrew(page);
  const before = await countCommands(page);
  await dialog.getByRole("radio", { name: /Ristretto/ }).check({ force: true });
  assert.equal(await dialog.getByLabel("Volume", { exact: true }).inputValue(), "25");
  await dialog.getByLabel("Temperature", { exact: true }).fill("91,5");

  // Let go too early: nothing.
  const button = dialog.getByRole("button", { name: "Hold to brew" });
  const box = await button.boundingBox();
  await page.mouse.move(box.x + 20, box.y + 20);
  await page.mouse.down();
  await page.waitForTimeout(250);
  await page.mouse.up();
  await dialog.getByText(/Let go too early/).waitFor();
  assert.equal(await countCommands(page), before);

  await hold(page, button);
  await page.waitForURL("**/commands/*");
  const id = idFromUrl(page);
  assert.equal(await countCommands(page), before + 1);
  await badge(page, "Brewing").waitFor({ timeout: 60_000 });
  await page.getByRole("list", { name: "Steps" }).waitFor();
  await shot(page, "e2e-brewing");
  const done = await waitState(page, id, "complete");
  await badge(page, "Complete").waitFor();
  assert.equal(await page.getByText(/could not be loaded/).count(), 0);
  assert.equal(done.recipe.temperature_c, 91.5);

  const curves = page.getByRole("region", { name: "Curves", exact: true });
  await curves.locator("canvas").nth(4).waitFor();
  assert.equal(await curves.locator("canvas").count(), 5);
  await curves.getByRole("group").focus();
  await page.keyboard.press("End");
  await page.keyboard.press("t");
  await curves.getByRole("table").waitFor();
  assert.ok((await curves.getByRole("row").count()) > 20);
  await page.keyboard.press("t");
  await curves.locator("canvas").first().waitFor();
  await shot(page, "e2e-complete");
  await finish(page);
});

test("a lost answer is asked again under the same key, and orders once", async () => {
  const page = await signedIn();
  const dialog = await openBrew(page);
  const before = await countCommands(page);
  let lost = 0;
  await page.route("**/api/commands/create", async (route) => {
    if (lost++ > 0) return route.continue();
    await route.fetch(); // the server heard it
    return route.abort("connectionreset"); // and we did not hear the server
  });
  const button = dialog.getByRole("button", { name: "Hold to brew" });
  await hold(page, button);
  await dialog.getByText(/ordered once, not twice/).waitFor();
  await hold(page, button);
  await page.waitForURL("**/commands/*");
  assert.equal(await countCommands(page), before + 1);
  await waitState(page, idFromUrl(page), "complete");
  await finish(page);
});

test("what the server refuses is said at its field, and what was typed stays", async () => {
  const page = await signedIn();
  // A page whose limits are older than the server's.
  await page.route("**/api/kinds", async (route) => {
    const answer = await route.fetch();
    const document = await answer.json();
    for (const limit of document.items.flatMap((kind) => kind.commands.flatMap((command) => command.limits)))
      if (limit.field.endsWith("temperature_c")) limit.max = 900;
    return route.fulfill({ response: answer, json: document });
  });
  const dialog = await openBrew(page);
  const before = await countCommands(page);
  const field = dialog.getByLabel("Temperature", { exact: true });
  await field.fill("140,5");
  await hold(page, dialog.getByRole("button", { name: "Hold to brew" }));
  await page.waitForFunction(() => document.querySelector("[role=dialog] [aria-invalid=true]"));
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  assert.equal(await field.inputValue(), "140,5");
  assert.equal(await countCommands(page), before);
  await finish(page);
});

test("outside the limits the button says which field, before anyone presses it", async () => {
  const page = await signedIn();
  const dialog = await openBrew(page);
  await dialog.getByLabel("Volume", { exact: true }).fill("4000");
  await dialog.getByText("Check volume").waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Hold to brew" }).getAttribute("aria-disabled"), "true");
  await finish(page);
});

test("a held brew waits for approval, is approved by holding, and is brewed", async () => {
  const page = await signedIn();
  const dialog = await openBrew(page);
  await dialog.getByLabel(/Hold for approval/).check();
  await hold(page, dialog.getByRole("button", { name: "Hold to order" }));
  await page.waitForURL("**/commands/*");
  const id = idFromUrl(page);
  await waitState(page, id, "held", 5_000);
  await shot(page, "e2e-held");
  await hold(page, page.getByRole("button", { name: "Hold to approve" }));
  await waitState(page, id, "complete");
  await badge(page, "Complete").waitFor();
  await finish(page);
});

test("a held brew can be taken back", async () => {
  const page = await signedIn();
  const dialog = await openBrew(page);
  await dialog.getByLabel(/Hold for approval/).check();
  await hold(page, dialog.getByRole("button", { name: "Hold to order" }));
  await page.waitForURL("**/commands/*");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel", exact: true }).click();
  await waitState(page, idFromUrl(page), "cancelled", 5_000);
  await badge(page, "Cancelled").waitFor();
  await finish(page);
});

test("keyboard alone: find the machine, order a brew, and see it start", async () => {
  const page = await signedIn();
  await page.goto(`${URL_BASE}/operations`);
  await page.getByRole("article", { name: nameOf(machine) }).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to" }).waitFor();
  await page.keyboard.type(nameOf(machine));
  await page.keyboard.press("Enter");
  await page.waitForURL("**/operations/machines/*");
  await page.getByRole("button", { name: `Brew, ${nameOf(machine)}` }).waitFor();
  await tabTo(page, (label) => label.startsWith("Brew,"));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByLabel("Volume", { exact: true }).waitFor();
  await tabTo(page, (label) => label.startsWith("Hold to brew"));
  await page.keyboard.down("Space");
  await page.waitForTimeout(800);
  await page.keyboard.up("Space");
  await page.waitForURL("**/commands/*");
  const id = idFromUrl(page);
  await badge(page, "Brewing").waitFor({ timeout: 60_000 });
  await waitState(page, id, "complete");
  await finish(page);
});

async function tabTo(page, wanted) {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press("Tab");
    const label = await page.evaluate(
      () => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "",
    );
    if (wanted(label)) return;
  }
  assert.fail("never reached by Tab");
}

test("a machine is put on hold with a reason, and released by holding a key", async () => {
  const page = await signedIn();
  await page.goto(machineUrl());
  await page.getByRole("button", { name: "Put on hold" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("drip tray is out");
  await dialog.getByRole("button", { name: "Put on hold" }).click();
  await page.getByText("On hold: drip tray is out").first().waitFor();
  await holdKey(page, page.getByRole("button", { name: "Hold to release" }), "Enter");
  await page.getByRole("button", { name: "Put on hold" }).waitFor();
  await finish(page);
});

test("the command menu begins what it names, and moves nothing", async () => {
  const page = await signedIn();
  await page.goto(`${URL_BASE}/operations`);
  await page.getByRole("article", { name: nameOf(machine) }).waitFor();
  const before = await countCommands(page);
  const choose = async (words) => {
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Go to" }).waitFor();
    await page.keyboard.type(words);
    await page.keyboard.press("Enter");
  };
  await choose(`put ${nameOf(machine)} hold`);
  await page.getByRole("dialog", { name: `Put ${nameOf(machine)} on hold` }).waitFor();
  assert.equal(new URL(page.url()).search, "");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await choose(`brew on ${nameOf(machine)}`);
  await page.getByRole("dialog").getByLabel("Volume", { exact: true }).waitFor();
  assert.equal(await countCommands(page), before);
  await finish(page);
});

test("an unknown command is answered with what was seen", async (context) => {
  if (process.env.AUTOMAT_MAKE_UNKNOWN) await run(process.env.AUTOMAT_MAKE_UNKNOWN);
  const page = await signedIn();
  await page.goto(`${URL_BASE}/operations`);
  const { items } = await get(page, "/api/commands?state=unknown&limit=1");
  const unknown = items[0];
  if (!unknown) return context.skip("no command is unknown");
  await page.getByRole("link", { name: new RegExp(`Command ${unknown.command_id} on .*what happened`) }).click();
  await page.getByRole("heading", { name: "What happened?" }).waitFor();
  await shot(page, "e2e-unknown");
  const settle = page.getByRole("button", { name: "Put on record" });
  assert.equal(await settle.getAttribute("aria-disabled"), "true");
  await page.getByText("Choose what happened").waitFor();
  await page.getByRole("radio", { name: /It was not, or not fully/ }).check();
  await page.getByLabel("What did you see?").fill("cup is half full, capsule still in the head");
  await settle.click();
  await badge(page, "Failed").waitFor();
  assert.equal((await get(page, `/api/commands/${unknown.command_id}`)).state, "failed");
  await page.getByText("cup is half full, capsule still in the head").first().waitFor();

  // The question is answered; the machine stays on hold until someone looks at it and says so.
  await page.goto(`${URL_BASE}/operations/machines/${encodeURIComponent(unknown.machine_id)}`);
  const release = page.getByRole("button", { name: "Hold to release" });
  await release.waitFor();
  await hold(page, release);
  await page.getByRole("button", { name: "Put on hold" }).waitFor();
  return finish(page);
});

test("a server that restarts under the page is noticed, quietly, and picked up again", async (context) => {
  if (!process.env.AUTOMAT_RESTART) return context.skip("AUTOMAT_RESTART is not set");
  const page = await signedIn();
  await page.goto(`${URL_BASE}/operations`);
  await page.getByText("Live", { exact: true }).first().waitFor();
  const restarting = run(process.env.AUTOMAT_RESTART);
  await page.getByText("Reconnecting", { exact: true }).first().waitFor({ timeout: 60_000 });
  await restarting;
  await page.getByText("Live", { exact: true }).first().waitFor({ timeout: 30_000 });
  await page.getByRole("article", { name: nameOf(machine) }).waitFor();
  const dialog = await openBrew(page);
  await hold(page, dialog.getByRole("button", { name: "Hold to brew" }));
  await page.waitForURL("**/commands/*");
  await waitState(page, idFromUrl(page), "complete");
  return finish(page);
});

test("without the live link the page asks again by itself, and says so", async () => {
  const page = await signedIn();
  await page.routeWebSocket("**/ws", (socket) => socket.close());
  await page.goto(`${URL_BASE}/commands`);
  await page.getByText("The live link is down").waitFor();
  const elsewhere = await signedIn();
  const dialog = await openBrew(elsewhere);
  await dialog.getByLabel(/Hold for approval/).check();
  await hold(elsewhere, dialog.getByRole("button", { name: "Hold to order" }));
  await elsewhere.waitForURL("**/commands/*");
  const id = idFromUrl(elsewhere);
  await page.locator(`a[href="/commands/${id}"]`).waitFor({ timeout: 15_000 });
  await elsewhere.getByRole("button", { name: "Cancel" }).click();
  await elsewhere.getByRole("dialog").getByRole("button", { name: "Cancel", exact: true }).click();
  await page.locator(`a[href="/commands/${id}"]`).getByText("Cancelled").waitFor({ timeout: 15_000 });
  await finish(elsewhere);
  await finish(page);
});

async function pagesToCheck(page) {
  const some = async (state) => (await get(page, `/api/commands?state=${state}&limit=1`)).items[0]?.command_id;
  const commands = [];
  for (const state of ["complete", "failed", "held", "unknown"]) {
    const id = await some(state);
    if (id) commands.push([`command-${state}`, `/commands/${id}`]);
  }
  return [
    ["floor", "/operations"],
    ["machine", new URL(machineUrl()).pathname],
    ["commands", "/commands"],
    ...commands,
    ["alerts", "/alerts?state=all"],
    ["audit", "/audit"],
    ["account", "/account"],
    ["nowhere", "/nowhere"],
  ];
}

for (const colorScheme of ["light", "dark"]) {
  for (const [width, viewport] of [
    ["1440", WIDE],
    ["390", PHONE],
  ]) {
    test(`no accessibility violation, nothing wider than the screen: ${colorScheme}, ${width}`, async () => {
      const page = await signedIn({ viewport, colorScheme, reducedMotion: "reduce" });
      await page.goto(`${URL_BASE}/operations`);
      const found = [];
      const check = async (name) => {
        found.push(...(await axe(page)).map((line) => `${name}: ${line}`));
        const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        if (content > screen) found.push(`${name}: ${content} px wide on ${screen}`);
        const broken = await page.getByText(/could not be loaded/).allInnerTexts();
        found.push(...broken.map((text) => `${name}: ${text}`));
        await shot(page, `e2e-${name}-${width}-${colorScheme}`);
      };
      for (const [name, path] of await pagesToCheck(page)) {
        await page.goto(`${URL_BASE}${path}`);
        await page.locator("main :is(h1, h2)").first().waitFor();
        await page.waitForTimeout(400);
        await check(name);
      }
      await openBrew(page);
      await page.waitForTimeout(400);
      await check("brew");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").waitFor();
      await page.waitForTimeout(400);
      await check("menu");
      assert.deepEqual(found, []);
      await finish(page);
      const stranger = await openPage(browser, { viewport, colorScheme });
      await stranger.goto(`${URL_BASE}/commands`);
      await stranger.waitForURL("**/signin?next=%2Fcommands");
      await stranger.getByRole("heading", { name: "Sign in" }).waitFor();
      assert.deepEqual(await axe(stranger), []);
      await finish(stranger);
    });
  }
}
