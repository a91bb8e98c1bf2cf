import { expect, test } from "vitest";
import { espresso, machine } from "../../../../test/samples";
import { formLimits } from "../condition";
import { faultyFields, firstDraft, recipeFrom, textOf, typed, untyped } from "./recipe";
import { whyNotOrder } from "./whyNot";

const brewLimits = espresso.commands[0]?.limits ?? [];
const original = formLimits(brewLimits, "original");
const capsules = espresso.capsules ?? [];
const find = (variant: string) => capsules.find((capsule) => capsule.variant === variant);
const volume = original.find((limit) => limit.field === "volume_ml");

test("the form has one field a quantity, with the range of the chosen capsule system", () => {
  expect(original.map((limit) => limit.field)).toEqual(["volume_ml", "temperature_c", "pre_infusion_ms"]);
  expect(volume?.max).toBe(150);
  expect(formLimits(brewLimits, "vertuo").find((limit) => limit.field === "volume_ml")?.max).toBe(550);
});

test("a capsule suggests its volume until someone types one", () => {
  if (!volume) throw new Error("no volume");
  let draft = firstDraft(find("espresso"));
  expect(textOf(draft, volume)).toBe("40");
  draft = { ...draft, capsule: find("lungo") };
  expect(textOf(draft, volume)).toBe("110");
  draft = typed(draft, "volume_ml", "55");
  draft = { ...draft, capsule: find("ristretto") };
  expect(textOf(draft, volume)).toBe("55");
  expect(textOf(untyped(draft, "volume_ml"), volume)).toBe("25");
});

test("what is typed stays typed, wrong or not; wrong is never sent", () => {
  if (!volume) throw new Error("no volume");
  const draft = typed(firstDraft(find("espresso")), "volume_ml", " 4 0 0 ");
  expect(textOf(draft, volume)).toBe(" 4 0 0 ");
  expect(faultyFields(draft, original).map((limit) => limit.field)).toEqual(["volume_ml"]);
  expect(recipeFrom(draft, original)).toBeNull();
});

test("a recipe is numbers and the capsule's two names", () => {
  const draft = typed(firstDraft(find("espresso")), "temperature_c", "91,5");
  expect(recipeFrom(draft, original)).toEqual({
    volume_ml: 40,
    temperature_c: 91.5,
    pre_infusion_ms: 300,
    capsule_type: "original",
    capsule_variant: "espresso",
  });
});

const rights = { session: undefined, role: "staff", signedIn: true, staff: true, admin: false } as const;
const now = () => Math.floor(Date.now() / 1000);

test("only fresh readings forbid", () => {
  const stopped = machine({ sensors: { estop: true } });
  expect(whyNotOrder(stopped, rights, now())).toMatch(/Emergency stop/);
  expect(whyNotOrder(stopped, rights, now() + 3600)).toBeUndefined();
  expect(whyNotOrder({ ...stopped, online: false }, rights, now())).toBeUndefined();
  expect(whyNotOrder(machine({ sensors: { magazine_count: 0 } }), rights, now())).toMatch(/magazine/);
  expect(whyNotOrder(machine(), rights, now())).toBeUndefined();
});

test("a machine on hold may be asked, one that was not let in may not", () => {
  expect(whyNotOrder(machine({ hold: { held: true } }), rights, now())).toBeUndefined();
  expect(whyNotOrder(machine({ admission: "waiting" }), rights, now())).toBeDefined();
  expect(whyNotOrder(machine({ admission: "blocked" }), rights, now())).toBeDefined();
  expect(whyNotOrder(machine(), { ...rights, signedIn: false }, now())).toMatch(/Sign in/);
});
