import { QueryClient } from "@tanstack/react-query";
import { expect, test } from "vitest";
import { command, machine } from "../../test/samples";
import { applyEvent, learnCommand, learnMachine, placeCommand } from "./queries";
import type { Alert, Command, Machine } from "./types";

const pagesOf = (ids: number[], next: string | null = null) => ({
  pages: [{ items: ids.map((command_id) => command({ command_id })), next }],
  pageParams: [undefined],
});
const idsOf = (pages: ReturnType<typeof placeCommand>) =>
  pages.pages.flatMap((page) => page.items.map((item) => item.command_id));

test("a new command stands first, an old one where its number says", () => {
  expect(idsOf(placeCommand(pagesOf([5, 3]), command({ command_id: 6 }), {}))).toEqual([6, 5, 3]);
  expect(idsOf(placeCommand(pagesOf([5, 3]), command({ command_id: 4 }), {}))).toEqual([5, 4, 3]);
  expect(idsOf(placeCommand(pagesOf([]), command({ command_id: 1 }), {}))).toEqual([1]);
});

test("a command older than what is loaded waits for its page", () => {
  expect(idsOf(placeCommand(pagesOf([5, 3], "more"), command({ command_id: 2 }), {}))).toEqual([5, 3]);
});

test("a list keeps to its filter: in when it fits, out when it no longer does", () => {
  const held = { state: "held" };
  const list = pagesOf([5]);
  expect(idsOf(placeCommand(list, command({ command_id: 6, state: "pending" }), held))).toEqual([5]);
  expect(idsOf(placeCommand(list, command({ command_id: 6, state: "held" }), held))).toEqual([6, 5]);
  expect(idsOf(placeCommand(list, command({ command_id: 5, state: "pending" }), held))).toEqual([]);
  expect(idsOf(placeCommand(pagesOf([]), command({ machine_id: "other" }), { machine_id: "espresso-1" }))).toEqual([]);
});

test("an event that was overtaken by a newer answer changes nothing", () => {
  const client = new QueryClient();
  const done = command({ state: "complete", updated_at: "2026-01-01T10:01:00.000Z" });
  learnCommand(client, done);
  learnCommand(client, command({ state: "running", updated_at: "2026-01-01T10:00:30.000Z" }));
  expect(client.getQueryData<Command>(["command", 1])?.state).toBe("complete");
});

test("a machine is learnt wherever it is shown, and added to the floor", () => {
  const client = new QueryClient();
  client.setQueryData(["machines"], [machine()]);
  learnMachine(client, machine({ machine_id: "espresso-2" }));
  learnMachine(client, machine({ online: false }));
  expect(client.getQueryData<Machine[]>(["machines"])?.map((one) => [one.machine_id, one.online])).toEqual([
    ["espresso-1", false],
    ["espresso-2", true],
  ]);
});

test("a resolved alert leaves the open ones and stays in the record", () => {
  const client = new QueryClient();
  const alert = { alert_id: 1, last_at: "2026-01-01T10:00:00Z", resolved_at: null } as Alert;
  client.setQueryData(["alerts", "open"], [alert]);
  client.setQueryData(["alerts", "all"], [alert]);
  applyEvent(client, { seq: 1, type: "alert", alert: { ...alert, resolved_at: "2026-01-01T10:05:00Z" } });
  expect(client.getQueryData(["alerts", "open"])).toEqual([]);
  expect(client.getQueryData(["alerts", "all"])).toHaveLength(1);
});
