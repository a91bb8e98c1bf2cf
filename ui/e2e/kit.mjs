// What the browser scripts share: Debian's Chromium through playwright-core, sign-in, axe, screenshots.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const URL_BASE = (process.env.AUTOMAT_URL ?? "http://127.0.0.1:8000").replace(/\/$/, "");
export const SHOTS = process.env.AUTOMAT_SHOTS ?? "";

export function launch() {
  return chromium.launch({
    executablePath: process.env.AUTOMAT_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}

export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

// A page that remembers what went wrong in it.
export async function openPage(browser, { viewport = WIDE, colorScheme = "light", storageState, ...more } = {}) {
  const context = await browser.newContext({
    viewport,
    colorScheme,
    locale: "en-GB",
    ...(storageState ? { storageState } : {}),
    ...more,
  });
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    // A refused request is logged by the browser itself; everything else on the console is ours.
    if (message.type() === "error" && !/Failed to load resource|WebSocket connection/.test(message.text()))
      page.faults.push(message.text());
  });
  return page;
}

export async function signIn(page, code = process.env.AUTOMAT_SIGNIN_CODE) {
  await page.goto(`${URL_BASE}/signin#code=${encodeURIComponent(code ?? "")}`);
  await page.waitForURL("**/operations", { timeout: 15_000 });
}

// By name and password where they are given: a link works once.
export async function signInSomehow(page) {
  const { AUTOMAT_SIGNIN_NAME: name, AUTOMAT_SIGNIN_PASSWORD: password } = process.env;
  if (!name) return signIn(page);
  await page.goto(`${URL_BASE}/signin`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
  return page.waitForURL("**/operations", { timeout: 15_000 });
}

// Press and keep pressed for longer than the page asks for.
export async function hold(page, locator) {
  await locator.scrollIntoViewIfNeeded();
  const box = await locator.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.waitForTimeout(800);
  await page.mouse.up();
}

export async function holdKey(page, locator, key = "Space") {
  await locator.focus();
  await page.keyboard.down(key);
  await page.waitForTimeout(800);
  await page.keyboard.up(key);
}

// Violations of WCAG 2.2 A and AA, as short lines.
export async function axe(page) {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
    }),
  );
  return result.violations.map(
    (violation) =>
      `${violation.id}: ${violation.nodes
        .map((node) => `${node.target.join(" ")} ${(node.any[0] ?? node.none[0] ?? node.all[0])?.message ?? ""}`)
        .slice(0, 4)
        .join(" | ")}`,
  );
}

export async function shot(page, name, { full = true } = {}) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: full });
}
