import { call } from "../../lib/api";
import { learnAlert, learnCommand, learnMachine, queryClient } from "../../lib/queries";
import type { Alert, Command, Machine } from "../../lib/types";

/** What staff can do to commands and machines. Answers are learnt at once; the events that follow say the same. */

const machinePath = (id: string, verb: string) => `/api/machines/${encodeURIComponent(id)}/${verb}`;

/** Answers either with the thing itself or with it under its name. */
function learnedCommand(answer: Command | { command: Command }): Command {
  const command = "command_id" in answer ? answer : answer.command;
  learnCommand(queryClient, command);
  return command;
}

function learnedMachine(answer: Machine | { machine: Machine }): Machine {
  const machine = "machine_id" in answer ? answer : answer.machine;
  learnMachine(queryClient, machine);
  return machine;
}

type CommandAnswer = Command | { command: Command };

export async function approve(id: number): Promise<Command> {
  return learnedCommand(await call<CommandAnswer>("POST", `/api/commands/${id}/approve`, { body: {} }));
}

export async function cancel(id: number): Promise<{ result: "cancelled" | "stop_requested"; command: Command }> {
  const answer = await call<{ result: "cancelled" | "stop_requested"; command: Command }>(
    "POST",
    `/api/commands/${id}/cancel`,
    { body: {} },
  );
  learnCommand(queryClient, answer.command);
  return answer;
}

export async function settle(id: number, outcome: "complete" | "failed", evidence: string): Promise<Command> {
  return learnedCommand(
    await call<CommandAnswer>("POST", `/api/commands/${id}/settle`, { body: { outcome, evidence } }),
  );
}

type MachineAnswer = Machine | { machine: Machine };

export async function holdMachine(id: string, reason: string): Promise<Machine> {
  return learnedMachine(await call<MachineAnswer>("POST", machinePath(id, "hold"), { body: { reason } }));
}

export async function releaseMachine(id: string, note: string): Promise<Machine> {
  return learnedMachine(await call<MachineAnswer>("POST", machinePath(id, "release"), { body: note ? { note } : {} }));
}

export async function admitMachine(id: string): Promise<Machine> {
  return learnedMachine(await call<MachineAnswer>("POST", machinePath(id, "admit"), { body: {} }));
}

export async function blockMachine(id: string): Promise<Machine> {
  return learnedMachine(await call<MachineAnswer>("POST", machinePath(id, "block"), { body: {} }));
}

export async function acknowledge(id: number): Promise<void> {
  const answer = await call<Alert | { alert: Alert }>("POST", `/api/alerts/${id}/acknowledge`, { body: {} });
  learnAlert(queryClient, "alert_id" in answer ? answer : answer.alert);
}
