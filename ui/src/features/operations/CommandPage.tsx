import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Link } from "wouter";
import { Button, HoldButton } from "../../design/Button";
import { Dialog } from "../../design/Dialog";
import { Provenance, asProvenance } from "../../design/Provenance";
import { EmptyState, ErrorState, Section, Skeleton } from "../../design/States";
import { StateBadge, signalInk, signalOfState } from "../../design/State";
import { TimeAgo } from "../../design/Time";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { Problem } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { commandQuery, kindsQuery, machineQuery } from "../../lib/queries";
import { useRights } from "../../lib/session";
import { formatDuration, formatMoment, useNow } from "../../lib/time";
import type { Command, JsonObject, Machine } from "../../lib/types";
import { approve, cancel } from "./actions";
import { measuredVolume, nameOf, numberIn, reasonText, recipeLine, recipeOf } from "./condition";
import { LiveCommand } from "./live/LiveCommand";
import { SettlePanel } from "./SettlePanel";
import { Timeline } from "./Timeline";

export function CommandPage({ id }: { id: number }) {
  const command = useQuery(commandQuery(id));
  if (command.data) return <CommandBody command={command.data} />;
  if (command.isPending) return <Skeleton lines={4} height={96} />;
  if (command.error instanceof Problem && command.error.status === 404)
    return (
      <EmptyState whole title={t.command.notFound} note={t.commands.id(id)}>
        <Link href="/commands" className="button button--plain">
          {t.commands.clear}
        </Link>
      </EmptyState>
    );
  return <ErrorState what={t.commands.id(id)} error={command.error} onRetry={() => void command.refetch()} />;
}

const STARTED = new Set(["running", "complete", "failed", "unknown"]);

function CommandBody({ command }: { command: Command }) {
  const { data: machine } = useQuery(machineQuery(command.machine_id));
  const { data: kinds } = useQuery(kindsQuery);
  const rights = useRights();
  const kind = kinds?.find((one) => one.kind === command.kind);
  const name = machine ? nameOf(machine) : command.machine_id;
  const reason = reasonText(command.reason, kind);
  const started = command.claimed_at !== null && (STARTED.has(command.state) || command.state === "cancelled");
  return (
    <div className="flex flex-col gap-10">
      <header className="flex flex-wrap items-start justify-between gap-x-6 gap-y-4">
        <div className="flex flex-col gap-2">
          <h1 className="font-serif text-head font-medium md:text-display">
            {t.command.title(t.commandWord(command.command), command.command_id)}
          </h1>
          <p className="flex flex-wrap items-center gap-x-3 gap-y-2" aria-live="polite">
            <StateBadge state={command.state} status={command.status} large />
            <Link
              href={`/operations/machines/${encodeURIComponent(command.machine_id)}`}
              className="-my-2 py-2 font-semibold text-copper underline underline-offset-4"
            >
              {name}
            </Link>
            <span>{recipeLine(command)}</span>
          </p>
          {reason ? <p className={`font-semibold ${signalInk(signalOfState[command.state])}`}>{reason}</p> : null}
          {(command.state === "pending" || command.state === "held" || command.state === "expired") && (
            <p className="text-espresso-soft">{t.stateMeaning[command.state]}</p>
          )}
        </div>
        {(command.state === "held" || command.state === "pending" || command.state === "running") && (
          <CancelButton command={command} signedIn={rights.signedIn} />
        )}
      </header>

      {command.state === "held" && <ApprovePanel command={command} name={name} staff={rights.staff} />}
      {command.state === "unknown" && (
        <SettlePanel command={command} machine={machine} name={name} staff={rights.staff} />
      )}
      {command.state === "pending" && <Deadline command={command} />}

      {started && <LiveCommand command={command} />}

      <div className="grid gap-10 md:grid-cols-2">
        <Section title={t.command.timeline}>
          <Timeline id={command.command_id} kind={kind} />
        </Section>
        <div className="flex flex-col gap-10">
          <Recipe command={command} machine={machine} />
          <Details command={command} />
        </div>
      </div>
    </div>
  );
}

function CancelButton({ command, signedIn }: { command: Command; signedIn: boolean }) {
  const [asking, setAsking] = useState(false);
  const running = command.state === "running";
  const end = useAction(cancel, ({ result }) => (result === "cancelled" ? t.command.cancelled : t.command.stopAsked));
  if (running)
    // Stopping has to be quick: no question before it, and on a phone always under the thumb.
    return (
      <Button
        tone="stop"
        className="max-md:fixed max-md:right-4 max-md:bottom-20 max-md:z-20 max-md:min-w-24 max-md:shadow-lift"
        busy={end.isPending}
        why={!signedIn ? t.why.signIn : command.stop_requested ? t.command.stopping : undefined}
        onClick={() => end.mutate(command.command_id)}
      >
        {t.live.stop}
      </Button>
    );
  return (
    <>
      <Button why={signedIn ? undefined : t.why.signIn} aria-haspopup="dialog" onClick={() => setAsking(true)}>
        {t.command.cancel}
      </Button>
      <Dialog
        open={asking}
        onClose={() => setAsking(false)}
        title={`${t.command.cancel}: ${t.command.title(t.commandWord(command.command), command.command_id)}`}
        footer={
          <div className="flex flex-wrap gap-3">
            <Button
              tone="stop"
              busy={end.isPending}
              onClick={() => end.mutate(command.command_id, { onSettled: () => setAsking(false) })}
            >
              {t.command.cancel}
            </Button>
            <Button onClick={() => setAsking(false)}>{t.common.back}</Button>
          </div>
        }
      >
        <p>{t.command.cancelNote}</p>
      </Dialog>
    </>
  );
}

function ApprovePanel({ command, name, staff }: { command: Command; name: string; staff: boolean }) {
  const act = useAction(approve, (done) => t.command.approved(done.command_id));
  return (
    <section
      aria-label={t.command.approveTitle}
      className="flex flex-col items-start gap-3 rounded-l bg-waiting-wash p-5"
    >
      <h2 className="font-serif text-title font-medium">{t.command.approveTitle}</h2>
      <p>
        {t.command.approveNote(name, recipeLine(command))} {command.command === "brew" && t.brew.cup}
      </p>
      <HoldButton
        busy={act.isPending}
        why={staff ? undefined : t.why.staff}
        onHeld={() => act.mutate(command.command_id)}
      >
        {t.command.approve}
      </HoldButton>
    </section>
  );
}

function Deadline({ command }: { command: Command }) {
  const now = useNow();
  if (!command.not_after) return null;
  const left = Math.max(0, Date.parse(command.not_after) - now * 1000);
  return <p className="-mt-6 text-espresso-soft">{t.command.deadline(formatDuration(left))}</p>;
}

function Recipe({ command, machine }: { command: Command; machine: Machine | undefined }) {
  const recipe = recipeOf(command);
  const came: Record<string, number | null> = {
    volume_ml: measuredVolume(command),
    temperature_c: numberIn(command.meta, "temperature_c"),
    position: numberIn(command.meta, "position"),
  };
  const told = ["volume_ml", "position"].some((field) => recipe?.[field] !== undefined && came[field] !== null);
  // What came of it, under the word for how that is known: a machine without metal measures nothing.
  const provenance = asProvenance(command.meta?.["provenance"]) ?? asProvenance(machine?.sensors?.provenance);
  const title = command.command === "brew" ? t.command.recipe : t.command.wanted;
  const entries = Object.entries(recipe ?? {}).filter(([, value]) => typeof value !== "object");
  return (
    <Section title={title}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">
              <span className="sr-only">{title}</span>
            </th>
            <th scope="col">{t.command.asked}</th>
            {told && (
              <th scope="col">
                {provenance === "measured" ? (
                  t.command.measured
                ) : provenance === null ? (
                  t.command.outcome
                ) : (
                  <Provenance of={provenance} />
                )}
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {entries.map(([field, value]) => (
            <tr key={field}>
              <th scope="row">{t.reading(field)}</th>
              <td>
                {typeof value === "number"
                  ? `${formatNumber(value, 1, false)} ${t.unit(field)}`
                  : t.capsuleName(String(value))}
              </td>
              {told && (
                <td>
                  {typeof came[field] === "number" ? `${formatNumber(came[field] ?? 0, 1)} ${t.unit(field)}` : ""}
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {command.accessory_instructions && <Raw title={t.command.instructions} value={command.accessory_instructions} />}
    </Section>
  );
}

function Details({ command }: { command: Command }) {
  const took =
    command.claimed_at && command.finished_at
      ? formatDuration(Date.parse(command.finished_at) - Date.parse(command.claimed_at))
      : null;
  return (
    <Section title={t.command.details}>
      <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-6 gap-y-2">
        <Detail label={t.command.orderedBy}>{t.actor(command.created_by)}</Detail>
        <Detail label={t.command.orderedAt}>
          {formatMoment(command.created_at)}{" "}
          <Soft>
            (<TimeAgo at={command.created_at} />)
          </Soft>
        </Detail>
        {command.not_after && <Detail label={t.command.startBy}>{formatMoment(command.not_after)}</Detail>}
        {command.claimed_at && <Detail label={t.command.started}>{formatMoment(command.claimed_at)}</Detail>}
        {command.finished_at && <Detail label={t.command.ended}>{formatMoment(command.finished_at)}</Detail>}
        {took && <Detail label={t.command.took}>{took}</Detail>}
        <Detail label={t.command.maxDuration}>{formatDuration(command.max_duration_s * 1000)}</Detail>
        {command.settled_by && (
          <Detail label={command.settled_by.startsWith("machine:") ? t.command.reportedBy : t.command.settledBy}>
            {t.actor(command.settled_by)}
          </Detail>
        )}
        {command.evidence && <Detail label={t.command.seen}>{command.evidence}</Detail>}
        <Detail label={t.command.uid}>
          <span className="break-all">{command.uid}</span>
        </Detail>
      </dl>
      {command.meta && Object.keys(command.meta).length > 0 && <Raw title={t.command.meta} value={command.meta} />}
    </Section>
  );
}

function Detail({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-espresso-soft">{label}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Soft({ children }: { children: ReactNode }) {
  return <span className="text-espresso-soft">{children}</span>;
}

function Raw({ title, value }: { title: string; value: JsonObject }) {
  return (
    <details className="rounded-s border border-hairline">
      <summary className="flex min-h-11 cursor-pointer items-center px-3 font-semibold">{title}</summary>
      <pre className="overflow-x-auto px-3 pb-3 font-sans text-note" tabIndex={0}>
        {JSON.stringify(value, null, 2)}
      </pre>
    </details>
  );
}
