import { afterEach, expect, test, vi } from "vitest";
import { PressKey, Problem, call, onSignedOut, problemFrom, setCsrfToken } from "./api";

afterEach(() => {
  vi.unstubAllGlobals();
  setCsrfToken(undefined);
});

function answering(status: number, body: string, headers: Record<string, string> = {}) {
  const fetch = vi.fn<(path: string, init: RequestInit) => Promise<Response>>(() =>
    Promise.resolve(new Response(body, { status, headers })),
  );
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

test("a problem document is read whole", () => {
  const problem = problemFrom(
    new Response(null, { status: 422, headers: { "X-Request-Id": "from-header" } }),
    JSON.stringify({
      title: "Unprocessable",
      code: "out_of_limits",
      detail: "60 to 96",
      field: "recipe.temperature_c",
    }),
  );
  expect(problem).toMatchObject({
    status: 422,
    code: "out_of_limits",
    detail: "60 to 96",
    field: "recipe.temperature_c",
    requestId: "from-header",
  });
});

test.each(["<html>502 Bad Gateway</html>", "", "null", "[]", '{"code": 7, "detail": null}'])(
  "something that is no problem document becomes one: %j",
  (text) => {
    const problem = problemFrom(new Response(null, { status: 502 }), text);
    expect(problem.code).toBe("http_502");
    expect(problem.detail).toContain("502");
  },
);

test("a lost answer is a problem of its own, and says that nothing is known", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
  const problem = await call("GET", "/api/machines").catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(Problem);
  expect((problem as Problem).offline).toBe(true);
});

test("changing calls carry the csrf token and the key, reading calls do not", async () => {
  setCsrfToken("t0ken");
  const fetch = answering(200, "{}");
  await call("POST", "/api/commands/create", { body: {}, idempotencyKey: "k1" });
  await call("GET", "/api/machines");
  const sent = fetch.mock.calls.map(([, init]) => init.headers as Record<string, string>);
  expect(sent[0]).toMatchObject({
    "X-CSRF-Token": "t0ken",
    "Idempotency-Key": "k1",
    "Content-Type": "application/json",
  });
  expect(sent[1]).not.toHaveProperty("X-CSRF-Token");
  expect(sent[1]).not.toHaveProperty("Content-Type");
});

test("an empty answer is undefined, not a fault", async () => {
  answering(200, "");
  expect(await call("DELETE", "/api/session")).toBeUndefined();
});

test("only a 401 outside of signing in says that we are signed out", async () => {
  const listener = vi.fn();
  const end = onSignedOut(listener);
  answering(401, "{}");
  await call("POST", "/api/session", { body: {} }).catch(() => undefined);
  expect(listener).not.toHaveBeenCalled();
  await call("GET", "/api/machines").catch(() => undefined);
  expect(listener).toHaveBeenCalledOnce();
  end();
});

test("one intention keeps one key until it is answered", () => {
  const key = new PressKey();
  const first = key.for({ volume_ml: 40 });
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(key.for({ volume_ml: 40 })).toBe(first); // pressed again after a lost answer
  expect(key.for({ volume_ml: 41 })).not.toBe(first); // another order
  const second = key.for({ volume_ml: 41 });
  key.answered();
  expect(key.for({ volume_ml: 41 })).not.toBe(second); // the same again, on purpose
});
