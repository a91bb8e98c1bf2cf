import { useQuery } from "@tanstack/react-query";
import { ErrorState, Section, Skeleton } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { t } from "../../i18n";
import { refusalsQuery } from "../../lib/queries";

/** Readings that did not make sense: which, how often, and the last example. */
export function Refusals() {
  const refused = useQuery({ ...refusalsQuery, refetchInterval: 30_000 });
  const rows = [...(refused.data ?? [])].sort((a, b) => b.last_at.localeCompare(a.last_at)).slice(0, 50);
  return (
    <Section title={t.climate.refusals}>
      <p className="text-espresso-soft">{t.climate.refusalsNote}</p>
      {refused.isPending ? (
        <Skeleton lines={2} />
      ) : !refused.data ? (
        <ErrorState what={t.climate.refusals} error={refused.error} onRetry={() => void refused.refetch()} />
      ) : rows.length === 0 ? (
        <p>{t.climate.refusalsNone}</p>
      ) : (
        <ul className="flex flex-col">
          {rows.map((row) => (
            <li key={`${row.machine_id}/${row.code}`} className="border-b border-hairline py-2">
              <p className="flex flex-wrap gap-x-3">
                <span className="font-semibold">{row.machine_id}</span>
                <span className="text-fault">{t.commandWord(row.code)}</span>
                <span>{t.climate.refusalTimes(row.count)}</span>
                <span className="text-espresso-soft">
                  <TimeAgo at={row.last_at} />
                </span>
              </p>
              <p className="text-note break-all text-espresso-soft">{row.why}</p>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}
