import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link, useSearchParams } from "wouter";
import { Button, HoldButton } from "../../design/Button";
import { Dialog } from "../../design/Dialog";
import { TextField } from "../../design/Field";
import { Provenance, asProvenance } from "../../design/Provenance";
import { EmptyState, ErrorState, Section, Skeleton } from "../../design/States";
import { StateBadge, signalInk, signalWash } from "../../design/State";
import { TimeAgo } from "../../design/Time";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { Problem } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { commandQuery, commandsQuery, kindsQuery, machineQuery, machinesQuery } from "../../lib/queries";
import { useRights } from "../../lib/session";
import type { Machine } from "../../lib/types";
import { admitMachine, blockMachine, holdMachine, releaseMachine } from "./actions";
import { CommandLink, CommandList } from "./CommandRow";
import { STALE_S, conditionOf, nameOf, reasonText, recipeLine, signalOfCondition } from "./condition";
import { MachineDrawing } from "./drawing/MachineDrawing";
import { Lamps } from "./Lamps";
import { LiveCommand } from "./live/LiveCommand";
import { MachineSettings } from "./MachineSettings";
import { OrderButton } from "./OrderButton";

export function MachinePage({ id }: { id: string }) {
  const machine = useQuery(machineQuery(id));
  if (machine.data)
    return (
      <div className="grid gap-10 lg:grid-cols-[13rem_minmax(0,1fr)]">
        <MachineList current={id} />
        <MachineBody machine={machine.data} />
      </div>
    );
  if (machine.isPending) return <Skeleton lines={4} height={96} />;
  if (machine.error instanceof Problem && machine.error.status === 404)
    return (
      <EmptyState whole title={t.machine.notFound} note={id}>
        <Link href="/operations" className="button button--plain">
          {t.shell.toFloor}
        </Link>
      </EmptyState>
    );
  return <ErrorState what={id} error={machine.error} onRetry={() => void machine.refetch()} />;
}

/** The other machines stay beside the one that is open. */
function MachineList({ current }: { current: string }) {
  const { data } = useQuery(machinesQuery);
  return (
    <nav aria-label={t.machine.list} className="hidden lg:block">
      <ul className="sticky top-24 flex flex-col">
        {data?.map((machine) => {
          const condition = conditionOf(machine);
          const here = machine.machine_id === current;
          return (
            <li key={machine.machine_id}>
              <Link
                href={`/operations/machines/${encodeURIComponent(machine.machine_id)}`}
                aria-current={here ? "page" : undefined}
                className={`block border-l-2 py-2 pl-4 hover:bg-crema ${here ? "border-copper" : "border-hairline"}`}
              >
                <span className={here ? "font-semibold" : ""}>{nameOf(machine)}</span>
                <span className={`block text-note ${signalInk(signalOfCondition[condition])}`}>
                  {t.machine.condition[condition]}
                </span>
              </Link>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

function MachineBody({ machine }: { machine: Machine }) {
  const condition = conditionOf(machine);
  const signal = signalOfCondition[condition];
  const rights = useRights();
  const { data: kinds } = useQuery(kindsQuery);
  const kind = kinds?.find((one) => one.kind === machine.kind);
  const provenance = asProvenance(machine.sensors?.provenance);
  const wish = useWish();
  return (
    <div className="flex min-w-0 flex-col gap-10">
      <header className="flex flex-col gap-4">
        <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-4">
          <div className="flex flex-col gap-2">
            <h1 className="font-serif text-head font-medium md:text-display">{nameOf(machine)}</h1>
            <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
              <span className={`rounded-s px-2 py-0.5 font-semibold ${signalInk(signal)} ${signalWash(signal)}`}>
                {t.machine.condition[condition]}
              </span>
              {machine.step && machine.step_since && (
                <span>
                  {t.step(machine.step)} <TimeAgo at={machine.step_since} />
                </span>
              )}
              <span className="text-espresso-soft">
                {machine.last_seen_at ? (
                  <>
                    {t.machine.heard} <TimeAgo at={machine.last_seen_at} staleAfterS={STALE_S} />
                  </>
                ) : (
                  t.machine.neverHeard
                )}
              </span>
              {provenance && <Provenance of={provenance} />}
              {machine.active === false && <span className="text-waiting">{t.machine.inactive}</span>}
              {machine.demo && <span className="text-note text-espresso-soft">{t.common.demo}</span>}
            </p>
          </div>
          <div className="flex flex-wrap items-start gap-3">
            {rights.staff && machine.admission === "admitted" && !machine.hold.held && (
              <HoldMachine machine={machine} key={`hold-${wish.count}`} begin={wish.what === "hold"} />
            )}
            {machine.kind === "window" && (
              <Link href={`/climate/${encodeURIComponent(machine.machine_id)}`} className="button button--plain">
                {t.machine.toRoom}
              </Link>
            )}
            <OrderButton
              key={`order-${wish.count}`}
              machine={machine}
              tone={machine.hold.held ? "plain" : "primary"}
              begin={wish.what === "order"}
            />
          </div>
        </div>
        {machine.admission !== "admitted" && <Admission machine={machine} />}
        {machine.hold.held && (
          <HoldNotice machine={machine} reason={reasonText(machine.hold.reason, kind)} staff={rights.staff} />
        )}
      </header>

      {machine.running && machine.running.state !== "unknown" && (
        <NowOn machine={machine} id={machine.running.command_id} />
      )}
      <AtRest machine={machine} drawn={!machine.running || machine.running.state === "unknown"} />

      <Queue machine={machine} />
      <MachineSettings machine={machine} staff={rights.staff} admin={rights.admin} />
    </div>
  );
}

/** What somebody came here to do (?do=order, ?do=hold, as the command menu asks); taken out of the address at once. */
function useWish(): { what: string | null; count: number } {
  const [params, setParams] = useSearchParams();
  const asked = params.get("do");
  const [wish, setWish] = useState({ asked, what: asked, count: 0 });
  if (asked !== wish.asked)
    setWish({ asked, what: asked ?? wish.what, count: asked === null ? wish.count : wish.count + 1 });
  useEffect(() => {
    if (asked !== null) setParams({}, { replace: true });
  }, [asked, setParams]);
  return wish;
}

/** The command at work with its live view. */
function NowOn({ machine, id }: { machine: Machine; id: number }) {
  const command = useQuery(commandQuery(id));
  if (!command.data) return <Skeleton lines={2} height={140} />;
  return (
    <section aria-label={`${t.machine.now}: ${nameOf(machine)}`} className="flex flex-col gap-4">
      <p className="flex flex-wrap items-center gap-3">
        <CommandLink command={command.data} />
        <span>{recipeLine(command.data)}</span>
      </p>
      <LiveCommand command={command.data} />
    </section>
  );
}

/** Interlocks and readings; beside the drawn machine when nothing else draws it. */
function AtRest({ machine, drawn }: { machine: Machine; drawn: boolean }) {
  if (!drawn)
    return (
      <div className="grid gap-10 md:grid-cols-2">
        <Section title={t.machine.interlocks}>
          <Lamps machine={machine} />
        </Section>
        <Readings machine={machine} />
      </div>
    );
  return (
    <div className="grid items-end gap-10 md:grid-cols-[minmax(0,24rem)_minmax(0,1fr)]">
      <div className="border-b-2 border-espresso">
        <MachineDrawing machine={machine} condition={conditionOf(machine)} className="mx-auto block w-full" />
      </div>
      <div className="flex flex-col gap-6">
        <Section title={t.machine.interlocks}>
          <Lamps machine={machine} />
        </Section>
        <Readings machine={machine} />
      </div>
    </div>
  );
}

const DIGITS: Record<string, number> = { temperature_c: 1, pressure_bar: 1, flow_ml_s: 2, current_a: 2 };

function Readings({ machine }: { machine: Machine }) {
  const provenance = asProvenance(machine.sensors?.provenance);
  const numbers = Object.entries(machine.sensors ?? {}).filter(
    (entry): entry is [string, number] => typeof entry[1] === "number",
  );
  return (
    <Section title={t.machine.readings} action={provenance && <Provenance of={provenance} />}>
      {numbers.length === 0 ? (
        <p className="text-espresso-soft">{t.machine.lampUnknown}</p>
      ) : (
        <dl className="grid grid-cols-2 gap-4 sm:grid-cols-3">
          {numbers.map(([field, value]) => (
            <div key={field}>
              <dt className="text-note text-espresso-soft">{t.reading(field)}</dt>
              <dd className="text-title font-semibold">
                {formatNumber(value, DIGITS[field] ?? 0)}{" "}
                <span className="text-body font-normal text-espresso-soft">{t.unit(field)}</span>
              </dd>
            </div>
          ))}
        </dl>
      )}
      {machine.sensors_at && (
        <p className="text-note text-espresso-soft">
          <TimeAgo at={machine.sensors_at} staleAfterS={STALE_S} />
        </p>
      )}
    </Section>
  );
}

function Queue({ machine }: { machine: Machine }) {
  const filter = { machine_id: machine.machine_id };
  const pending = useInfiniteQuery(commandsQuery({ ...filter, state: "pending" }, 20));
  const recent = useInfiniteQuery(commandsQuery(filter, 10));
  const waiting = pending.data?.pages.flatMap((page) => page.items).reverse() ?? [];
  const done = (recent.data?.pages[0]?.items ?? []).filter((command) => command.state !== "pending").slice(0, 10);
  return (
    <div className="grid gap-10">
      <Section title={t.machine.queue}>
        {waiting.length === 0 ? (
          <p className="text-espresso-soft">{machine.hold.held ? t.machine.pending(0) : t.machine.queueEmpty}</p>
        ) : (
          <CommandList commands={waiting} label={t.machine.queue} oneMachine />
        )}
      </Section>
      <Section
        title={t.machine.recent}
        action={
          <Link
            href={`/commands?machine_id=${encodeURIComponent(machine.machine_id)}`}
            className="button button--quiet"
          >
            {t.floor.allCommands}
          </Link>
        }
      >
        {done.length === 0 ? (
          <p className="text-espresso-soft">{t.commands.emptyTitle}</p>
        ) : (
          <CommandList commands={done} label={t.machine.recent} oneMachine />
        )}
      </Section>
    </div>
  );
}

function Admission({ machine }: { machine: Machine }) {
  const rights = useRights();
  const admit = useAction(admitMachine);
  const block = useAction(blockMachine);
  const why = rights.staff ? undefined : t.why.staff;
  return (
    <div className="flex flex-col items-start gap-3 rounded-l bg-waiting-wash p-5">
      <p className="font-semibold">{machine.admission === "waiting" ? t.machine.waiting : t.machine.blocked}</p>
      <p>{t.machine.admitNote}</p>
      <div className="flex flex-wrap gap-3">
        <Button tone="primary" why={why} busy={admit.isPending} onClick={() => admit.mutate(machine.machine_id)}>
          {t.machine.admit}
        </Button>
        {machine.admission === "waiting" && rights.staff && (
          <Button busy={block.isPending} onClick={() => block.mutate(machine.machine_id)}>
            {t.machine.block}
          </Button>
        )}
      </div>
    </div>
  );
}

function HoldMachine({ machine, begin }: { machine: Machine; begin: boolean }) {
  const [open, setOpen] = useState(begin);
  const [reason, setReason] = useState("");
  const hold = useAction(
    (text: string) => holdMachine(machine.machine_id, text),
    (held) => t.machine.held(held.hold.reason ?? ""),
  );
  const send = () => {
    if (reason.trim()) hold.mutate(reason.trim(), { onSuccess: () => setOpen(false) });
  };
  return (
    <>
      <Button aria-haspopup="dialog" onClick={() => setOpen(true)}>
        {t.machine.holdAction}
      </Button>
      <Dialog
        open={open}
        onClose={() => setOpen(false)}
        title={t.machine.holdTitle(nameOf(machine))}
        footer={
          <Button
            tone="primary"
            busy={hold.isPending}
            why={reason.trim() ? undefined : t.why.needs(t.machine.holdReason.toLowerCase())}
            onClick={send}
          >
            {t.machine.holdAction}
          </Button>
        }
      >
        <p>{t.machine.holdNote}</p>
        <TextField
          label={t.machine.holdReason}
          hint={t.machine.holdReasonHint}
          value={reason}
          onText={setReason}
          maxLength={200}
          onKeyDown={(event) => {
            if (event.key === "Enter") send();
          }}
        />
      </Dialog>
    </>
  );
}

function HoldNotice({ machine, reason, staff }: { machine: Machine; reason: string; staff: boolean }) {
  const [note, setNote] = useState("");
  const release = useAction((text: string) => releaseMachine(machine.machine_id, text));
  const open = machine.running?.state === "unknown" ? machine.running : null;
  const next = machine.head;
  return (
    <section
      aria-label={t.machine.condition.hold}
      className={`flex flex-col items-start gap-4 rounded-l p-5 ${open ? "bg-unknown-wash" : "bg-waiting-wash"}`}
    >
      <div>
        <p className="text-lead font-semibold">{t.machine.held(reason)}</p>
        <p className="flex flex-wrap gap-x-3">
          {machine.hold.since && <TimeAgo at={machine.hold.since} />}
          {machine.failures_in_row > 0 && <span>{t.machine.failures(machine.failures_in_row)}</span>}
        </p>
      </div>
      {open && (
        <p className="flex flex-wrap items-center gap-3">
          <StateBadge state="unknown" />
          <CommandLink command={open} />
        </p>
      )}
      {staff && (
        <>
          {!open && (
            <>
              <p>
                {t.machine.releaseCheck}{" "}
                {next ? t.machine.releaseNext(t.commandWord(next.command), next.command_id) : t.machine.releaseIdle}
              </p>
              <div className="w-full max-w-md">
                <TextField
                  label={`${t.machine.releaseNote} (${t.common.optional})`}
                  value={note}
                  onText={setNote}
                  maxLength={200}
                />
              </div>
            </>
          )}
          <HoldButton
            busy={release.isPending}
            why={open ? t.machine.releaseBlocked : undefined}
            onHeld={() => release.mutate(note.trim())}
          >
            {t.machine.holdToRelease}
          </HoldButton>
        </>
      )}
    </section>
  );
}
