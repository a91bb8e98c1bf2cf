// Pictures of every page at two widths and in both colour schemes, to be looked at.
// AUTOMAT_URL, AUTOMAT_SIGNIN_CODE or AUTOMAT_SIGNIN_NAME and _PASSWORD, AUTOMAT_SHOTS (folder); SHOTS_ONLY=part-of-a-name and
// SHOTS_SIZES="390" to take some.
import { PHONE, URL_BASE, WIDE, launch, openPage, shot, signInSomehow } from "./kit.mjs";

const only = process.env.SHOTS_ONLY ?? "";
const get = (page, path) => page.evaluate(async (p) => (await fetch(p)).json(), path);

async function firstIn(page, state) {
  return (await get(page, `/api/commands?state=${state}&limit=1`)).items[0]?.command_id;
}

const browser = await launch();
const sizes = (process.env.SHOTS_SIZES ?? "1440 390").split(" ");
for (const [size, viewport] of [
  ["1440", WIDE],
  ["390", PHONE],
]) {
  if (!sizes.includes(size)) continue;
  for (const colorScheme of ["light", "dark"]) {
    const page = await openPage(browser, { viewport, colorScheme });
    await page.goto(`${URL_BASE}/signin`);
    await page.waitForSelector("h1");
    const take = async (name, path, prepare) => {
      if (only && !name.includes(only)) return;
      await page.goto(`${URL_BASE}${path}`);
      await page.waitForSelector("h1, h2");
      await page.waitForTimeout(500);
      await prepare?.();
      await shot(page, `${name}-${size}-${colorScheme}`, { full: !name.includes("dialog") });
    };
    await take("signin", "/signin");
    await signInSomehow(page);
    const running = await firstIn(page, "running");
    const machine = (await get(page, "/api/machines")).items[0].machine_id;
    await take("floor", "/operations");
    await take("dialog-brew", "/operations", async () => {
      await page.getByRole("button", { name: /^Brew/ }).first().click();
      await page.waitForTimeout(400);
    });
    await take("dialog-menu", "/operations", async () => {
      await page.keyboard.press("Control+k");
      await page.waitForTimeout(600);
    });
    await take("machine", `/operations/machines/${machine}`, () => page.waitForTimeout(500));
    const second = (await get(page, "/api/machines")).items[1]?.machine_id;
    if (second) await take("machine-hold", `/operations/machines/${second}`);
    await take("commands", "/commands");
    if (running) await take("live", `/commands/${running}`, () => page.waitForTimeout(900));
    for (const state of ["complete", "failed", "unknown", "held"]) {
      const id = await firstIn(page, state);
      if (id) await take(`command-${state}`, `/commands/${id}`, () => page.waitForTimeout(700));
    }
    await take("alerts", "/alerts");
    await take("audit", "/audit", async () => {
      await page.getByRole("button", { name: "Check the chain" }).click();
      await page.waitForTimeout(300);
    });
    await take("climate", "/climate");
    const windows = (await get(page, "/api/machines")).items.filter(
      (one) => one.kind === "window" && one.admission === "admitted",
    );
    if (windows[0]) {
      const id = windows[0].machine_id;
      await take("climate-room", `/climate/${id}`, () => page.waitForTimeout(1200));
      await take("machine-window", `/operations/machines/${id}`, () => page.waitForTimeout(500));
      const moved = (await get(page, `/api/commands?machine_id=${id}&state=complete&limit=1`)).items[0]?.command_id;
      if (moved) await take("command-window", `/commands/${moved}`, () => page.waitForTimeout(900));
    }
    await take("account", "/account");
    await take("nowhere", "/nowhere");
    if (page.faults.length > 0) console.error(size, colorScheme, page.faults);
    await page.context().close();
  }
}
await browser.close();
