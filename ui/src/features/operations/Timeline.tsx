import { useQuery } from "@tanstack/react-query";
import { ErrorState, Skeleton } from "../../design/States";
import { StateGlyph, signalInk, signalOfState } from "../../design/State";
import { t } from "../../i18n";
import { historyQuery } from "../../lib/queries";
import { formatDuration, formatMoment } from "../../lib/time";
import { COMMAND_STATES, type CommandState, type HistoryEntry, type Kind } from "../../lib/types";
import { reasonText, textIn } from "./condition";

function asState(word: string): CommandState | null {
  return COMMAND_STATES.find((state) => state === word) ?? null;
}

/** Each transition with who made it and how long the state before it lasted. */
export function Timeline({ id, kind }: { id: number; kind: Kind | undefined }) {
  const history = useQuery(historyQuery(id));
  if (history.isPending) return <Skeleton lines={3} height={40} />;
  if (history.isError && !history.data)
    return <ErrorState what={t.command.timeline} error={history.error} onRetry={() => void history.refetch()} />;
  const entries = [...history.data].sort((a, b) => a.history_id - b.history_id);
  return (
    <ol className="flex flex-col">
      {entries.map((entry, index) => (
        <Entry
          key={entry.history_id}
          entry={entry}
          before={entries[index - 1]}
          last={index === entries.length - 1}
          kind={kind}
        />
      ))}
    </ol>
  );
}

interface EntryProps {
  entry: HistoryEntry;
  before: HistoryEntry | undefined;
  last: boolean;
  kind: Kind | undefined;
}

function Entry({ entry, before, last, kind }: EntryProps) {
  const state = asState(entry.new_status);
  const same = entry.old_status === entry.new_status;
  const first = entry.old_status === null && state === "pending";
  const word = first
    ? t.command.created
    : same
      ? t.command.progressNote
      : state
        ? t.happened(state)
        : t.step(entry.new_status);
  const gap = before ? Date.parse(entry.changed_at) - Date.parse(before.changed_at) : null;
  const said = textIn(entry.meta_snapshot, "evidence") ?? reasonText(textIn(entry.meta_snapshot, "reason"), kind);
  return (
    <li className="grid grid-cols-[1.5rem_minmax(0,1fr)] gap-x-3">
      <span className="flex flex-col items-center" aria-hidden="true">
        <span className={`mt-1 ${state ? signalInk(signalOfState[state]) : "text-espresso-soft"}`}>
          <StateGlyph state={state ?? "pending"} size={18} />
        </span>
        {!last && <span className="my-1 w-px grow bg-edge" />}
      </span>
      <span className="pb-4">
        <span className="font-semibold">{word}</span>
        <span className="text-espresso-soft"> {t.common.by(t.actor(entry.actor))}</span>
        <span className="block text-note text-espresso-soft">
          <time dateTime={entry.changed_at}>{formatMoment(entry.changed_at)}</time>
          {gap !== null && gap >= 1000 && <> · +{formatDuration(gap)}</>}
        </span>
        {said && <span className="block">{said}</span>}
      </span>
    </li>
  );
}
