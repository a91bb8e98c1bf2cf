import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Link } from "wouter";
import { Button } from "../../design/Button";
import { EmptyState, ErrorState, Section, Skeleton } from "../../design/States";
import { StateGlyph, signalInk, type Signal } from "../../design/State";
import { t } from "../../i18n";
import { alertsQuery, commandsQuery, machinesQuery } from "../../lib/queries";
import { useRights } from "../../lib/session";
import type { CommandState, Machine } from "../../lib/types";
import { AddMachineDialog } from "./AddMachineDialog";
import { CommandList } from "./CommandRow";
import { conditionOf, nameOf } from "./condition";
import { MachineCard } from "./MachineCard";

export function FloorPage() {
  const machines = useQuery(machinesQuery);
  const rights = useRights();
  const [adding, setAdding] = useState(false);
  const all = machines.data ?? [];
  const count = (wanted: string) => all.filter((machine) => conditionOf(machine) === wanted).length;
  return (
    <div className="flex flex-col gap-10">
      <header className="flex flex-wrap items-end justify-between gap-4">
        <h1 className="font-serif text-head font-medium md:text-display" aria-live="polite">
          {machines.data
            ? t.floor.headline(all.length, count("ready"), count("working") + count("queued"))
            : t.floor.title}
        </h1>
        {rights.admin && all.length > 0 && <Button onClick={() => setAdding(true)}>{t.floor.add}</Button>}
      </header>

      {rights.signedIn && <Attention machines={all} />}

      {/* Few machines leave room for what they did lately beside them. */}
      <div
        className={
          all.length === 1 ? "grid gap-10 md:grid-cols-[minmax(0,26rem)_minmax(0,1fr)]" : "flex flex-col gap-10"
        }
      >
        {machines.isPending ? (
          <Skeleton lines={2} height={220} />
        ) : machines.isError && all.length === 0 ? (
          <ErrorState what={t.floor.machines} error={machines.error} onRetry={() => void machines.refetch()} />
        ) : all.length === 0 ? (
          <EmptyState title={t.floor.emptyTitle} note={t.floor.emptyNote}>
            {rights.admin && (
              <Button tone="primary" className="mt-3" onClick={() => setAdding(true)}>
                {t.floor.add}
              </Button>
            )}
          </EmptyState>
        ) : (
          <section aria-label={t.floor.machines}>
            <h2 className="sr-only">{t.floor.machines}</h2>
            {/* No gap between them: the counter they stand on is one line. */}
            <div className={`grid grid-cols-1 gap-y-6 sm:gap-y-10 ${columns(all.length)}`}>
              {all.map((machine) => (
                <MachineCard key={machine.machine_id} machine={machine} />
              ))}
            </div>
          </section>
        )}
        {all.length > 0 && <Latest />}
      </div>
      {adding && <AddMachineDialog onClose={() => setAdding(false)} />}
    </div>
  );
}

function columns(count: number): string {
  if (count === 1) return "";
  if (count === 2) return "sm:grid-cols-2";
  return count === 3 ? "sm:grid-cols-2 md:grid-cols-3" : "sm:grid-cols-2 md:grid-cols-3 lg:grid-cols-4";
}

const LATEST = 8;

function Latest() {
  const latest = useInfiniteQuery(commandsQuery({}, LATEST));
  const commands = latest.data?.pages[0]?.items.slice(0, LATEST) ?? [];
  return (
    <Section
      title={t.floor.latest}
      action={
        <Link href="/commands" className="button button--quiet">
          {t.floor.allCommands}
        </Link>
      }
    >
      {latest.isPending ? (
        <Skeleton lines={3} height={44} />
      ) : latest.isError && commands.length === 0 ? (
        <ErrorState what={t.commands.title} error={latest.error} onRetry={() => void latest.refetch()} />
      ) : commands.length === 0 ? (
        <EmptyState title={t.commands.emptyTitle} note={t.commands.emptyAll} />
      ) : (
        <CommandList commands={commands} label={t.floor.latest} />
      )}
    </Section>
  );
}

/** What only a person can settle, as questions with one way to the answer each. */
function Attention({ machines }: { machines: Machine[] }) {
  const unknown = useInfiniteQuery(commandsQuery({ state: "unknown" }, 20));
  const held = useInfiniteQuery(commandsQuery({ state: "held" }, 20));
  const alerts = useQuery(alertsQuery("open"));
  const names = new Map(machines.map((machine) => [machine.machine_id, nameOf(machine)]));
  const nameFor = (id: string) => names.get(id) ?? id;
  const open = alerts.data?.filter((alert) => !alert.acknowledged_at).length ?? 0;
  const items: ReactNode[] = [
    ...(unknown.data?.pages.flatMap((page) => page.items) ?? []).map((command) => (
      <Ask
        key={`unknown-${command.command_id}`}
        state="unknown"
        signal="unknown"
        href={`/commands/${command.command_id}`}
        text={t.floor.askUnknown(command.command_id, nameFor(command.machine_id))}
        verb={t.floor.answer}
      />
    )),
    ...(held.data?.pages.flatMap((page) => page.items) ?? []).map((command) => (
      <Ask
        key={`held-${command.command_id}`}
        state="held"
        signal="waiting"
        href={`/commands/${command.command_id}`}
        text={t.floor.askHeld(command.command_id, nameFor(command.machine_id))}
        verb={t.floor.look}
      />
    )),
    ...machines
      .filter((machine) => machine.admission === "waiting")
      .map((machine) => (
        <Ask
          key={`waiting-${machine.machine_id}`}
          state="pending"
          signal="waiting"
          href={`/operations/machines/${encodeURIComponent(machine.machine_id)}`}
          text={t.floor.askWaiting(nameOf(machine))}
          verb={t.floor.look}
        />
      )),
    ...(open > 0
      ? [
          <Ask
            key="alerts"
            state="rejected"
            signal="fault"
            href="/alerts"
            text={t.floor.askAlerts(open)}
            verb={t.floor.look}
          />,
        ]
      : []),
  ];
  if (unknown.isPending || held.isPending) return null;
  if (items.length === 0) return null;
  return (
    <section aria-label={t.floor.attention}>
      <h2 className="mb-1 text-note font-semibold text-espresso-soft">{t.floor.attention}</h2>
      <ul className="grid gap-x-8 border-t border-espresso md:grid-cols-2">{items}</ul>
    </section>
  );
}

interface AskProps {
  state: CommandState;
  signal: Signal;
  href: string;
  text: string;
  verb: string;
}

function Ask({ state, signal, href, text, verb }: AskProps) {
  return (
    <li className="border-b border-hairline">
      <Link href={href} className="flex min-h-12 items-center gap-3 py-1.5 hover:bg-crema">
        <span className={signalInk(signal)}>
          <StateGlyph state={state} size={20} />
        </span>
        <span className="min-w-0 grow">{text}</span>
        <span className="px-2 font-semibold text-copper">{verb}</span>
      </Link>
    </li>
  );
}
