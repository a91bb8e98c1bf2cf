import { expect, test } from "vitest";
import { en as t } from "./en";

test("whoever did something is said in words, and what is not known stays as it is on record", () => {
  expect(t.actor("machine:window-1")).toBe("the machine");
  expect(t.actor("account:alice")).toBe("alice");
  expect(t.actor("climate:model-3")).toBe("the model, version 3");
  expect(t.actor("climate:external")).toBe("the model outside");
  expect(t.actor("server")).toBe("the server");
  expect(t.actor("something:else")).toBe("something:else");
});

test("a command's number is not taken for a position", () => {
  expect(t.command.title("Brew", 7)).toBe("Brew 7");
  expect(t.command.title("Set position", 7)).toBe("Set position #7");
});
