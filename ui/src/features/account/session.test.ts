import { expect, test } from "vitest";
import { linkCode, nextPath } from "./session";

test("a link's code is read from the fragment, or the query", () => {
  expect(linkCode({ hash: "#code=abc", search: "" })).toBe("abc");
  expect(linkCode({ hash: "", search: "?code=abc" })).toBe("abc");
  expect(linkCode({ hash: "", search: "?next=/alerts" })).toBeNull();
});

test.each([
  ["?next=/alerts", "/alerts"],
  ["?next=%2Fcommands%2F7", "/commands/7"],
  ["", "/operations"],
  ["?next=https://elsewhere.example", "/operations"],
  ["?next=//elsewhere.example", "/operations"],
  ["?next=/\\elsewhere.example", "/operations"],
  ["?next=/signin", "/operations"],
])("after signing in, %j leads to %s", (search, path) => {
  expect(nextPath(search)).toBe(path);
});
