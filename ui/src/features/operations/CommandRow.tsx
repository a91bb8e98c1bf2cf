import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { StateBadge, signalInk, signalOfState } from "../../design/State";
import { TimeAgo } from "../../design/Time";
import { t } from "../../i18n";
import { kindsQuery, machinesQuery } from "../../lib/queries";
import type { Command, CommandSummary } from "../../lib/types";
import { nameOf, reasonText, recipeLine } from "./condition";

/** One command in a list; the whole line is the link. */
export function CommandRow({ command, machineName }: { command: Command; machineName: string }) {
  const { data: kinds } = useQuery(kindsQuery);
  const reason = reasonText(
    command.reason,
    kinds?.find((kind) => kind.kind === command.kind),
  );
  return (
    <li className="border-b border-hairline">
      <Link
        href={`/commands/${command.command_id}`}
        className="grid grid-cols-[minmax(0,1fr)_auto] items-start gap-x-4 gap-y-0.5 px-2 py-2.5 hover:bg-crema @2xl:grid-cols-[4.5rem_minmax(0,1.4fr)_minmax(0,1fr)_minmax(7rem,auto)_5.5rem]"
      >
        <span className="hidden text-espresso-soft @2xl:block">{t.commands.id(command.command_id)}</span>
        <span className="min-w-0">
          <span className="font-semibold">
            {t.commandWord(command.command)}
            <span className="@2xl:hidden">
              {t.command
                .title(t.commandWord(command.command), command.command_id)
                .slice(t.commandWord(command.command).length)}
            </span>
          </span>
          <span className="block text-note text-espresso-soft">{recipeLine(command)}</span>
          {reason && <span className={`block text-note ${signalInk(signalOfState[command.state])}`}>{reason}</span>}
        </span>
        <span className="col-start-1 row-start-2 text-note text-espresso-soft @2xl:col-auto @2xl:row-auto @2xl:text-body">
          {machineName}
        </span>
        <span className="col-start-2 row-start-1 text-right @2xl:col-auto @2xl:row-auto @2xl:text-left">
          <StateBadge state={command.state} status={command.status} />
        </span>
        <span className="col-start-2 row-start-2 text-right text-note text-espresso-soft @2xl:col-auto @2xl:row-auto @2xl:text-body">
          <TimeAgo at={command.updated_at} />
        </span>
      </Link>
    </li>
  );
}

interface ListProps {
  commands: Command[];
  label: string;
  /** All of one machine: its name would only be repeated. */
  oneMachine?: boolean;
}

export function CommandList({ commands, label, oneMachine = false }: ListProps) {
  const { data: machines } = useQuery(machinesQuery);
  const names = new Map(machines?.map((machine) => [machine.machine_id, nameOf(machine)]));
  return (
    <ul aria-label={label} className="@container flex flex-col">
      {commands.map((command) => {
        const name = oneMachine ? "" : (names.get(command.machine_id) ?? command.machine_id);
        return <CommandRow key={command.command_id} command={command} machineName={name} />;
      })}
    </ul>
  );
}

export function CommandLink({ command }: { command: CommandSummary }) {
  return (
    <Link
      href={`/commands/${command.command_id}`}
      className="-my-2 inline-block py-2 font-semibold text-copper underline underline-offset-4"
    >
      {t.command.title(t.commandWord(command.command), command.command_id)}
    </Link>
  );
}
