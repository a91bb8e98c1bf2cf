import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { Button } from "../../design/Button";
import { Provenance } from "../../design/Provenance";
import { EmptyState, ErrorState, Section, Skeleton } from "../../design/States";
import { t } from "../../i18n";
import { serverNow } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { predictionsQuery } from "../../lib/queries";
import { formatMoment } from "../../lib/time";
import type { Prediction } from "../../lib/types";

const DAY_MS = 86_400_000;

/** What the model said, what came of it, and what a person set instead. */
export function Predictions({ machineId }: { machineId: string }) {
  const [span] = useState(() => ({
    from: new Date(serverNow() - DAY_MS).toISOString(),
    to: new Date(serverNow() + DAY_MS).toISOString(),
  }));
  const asked = useInfiniteQuery(predictionsQuery(machineId, span.from, span.to));
  const rows = asked.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Section title={t.climate.predictions} action={<Provenance of="predicted" />}>
      {asked.isPending ? (
        <Skeleton lines={3} />
      ) : asked.isError && rows.length === 0 ? (
        <ErrorState what={t.climate.predictions} error={asked.error} onRetry={() => void asked.refetch()} />
      ) : rows.length === 0 ? (
        <EmptyState title={t.climate.predictionsEmpty} note={t.climate.predictionsEmptyNote} />
      ) : (
        <div className="md:overflow-x-auto" role="group" tabIndex={0} aria-label={t.live.table}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t.climate.table.at}</th>
                <th scope="col" className="hidden md:table-cell">
                  {t.climate.table.inputs}
                </th>
                <th scope="col">{t.climate.table.said}</th>
                <th scope="col">{t.climate.table.decided}</th>
                <th scope="col" className="hidden md:table-cell">
                  {t.climate.table.person}
                </th>
                <th scope="col" className="hidden text-right md:table-cell">
                  {t.climate.table.took}
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <Row key={row.prediction_id} row={row} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asked.hasNextPage && (
        <Button className="self-start" busy={asked.isFetchingNextPage} onClick={() => void asked.fetchNextPage()}>
          {t.common.more}
        </Button>
      )}
    </Section>
  );
}

function Row({ row }: { row: Prediction }) {
  const confidence = row.confidence ?? 0;
  return (
    <tr>
      <th scope="row" className="font-normal whitespace-nowrap">
        {formatMoment(row.at)}{" "}
        <span className="block text-note text-espresso-soft md:ml-2 md:inline">
          {t.climate.trigger[row.asked_because] ?? t.commandWord(row.asked_because)}
        </span>
      </th>
      <td className="hidden whitespace-nowrap md:table-cell">
        {t.climate.inputs(
          formatNumber(row.temperature, 1),
          formatNumber(row.humidity),
          formatNumber(row.sound_volume, 3),
        )}
      </td>
      <td>
        {row.position === null ? (
          t.common.none
        ) : (
          <span className="flex items-center gap-3">
            {/* As long as far; as solid as sure. */}
            <span
              className="relative hidden h-2.5 w-24 shrink-0 rounded-s border border-edge md:block"
              aria-hidden="true"
            >
              <span
                className="absolute inset-y-0 left-0 bg-copper"
                style={{ width: `${row.position}%`, opacity: Math.max(0.15, confidence) }}
              />
              {row.actual !== null && (
                <span className="absolute -inset-y-1 w-0.5 bg-espresso" style={{ left: `${row.actual}%` }} />
              )}
            </span>
            <span>
              {t.climate.said(formatNumber(row.position), formatNumber(confidence, 2))}
              {row.actual !== null && (
                <span className="block text-note md:hidden">{t.climate.personSet(formatNumber(row.actual))}</span>
              )}
            </span>
          </span>
        )}
      </td>
      <td>
        {row.command_id ? (
          <Link href={`/commands/${row.command_id}`} className="text-copper underline underline-offset-4">
            {t.climate.decisionShort[row.decision] ?? t.commandWord(row.decision)}
          </Link>
        ) : (
          (t.climate.decisionShort[row.decision] ?? t.commandWord(row.decision))
        )}
      </td>
      <td className="hidden md:table-cell">{row.actual === null ? "" : `${formatNumber(row.actual)} %`}</td>
      <td className="hidden text-right whitespace-nowrap text-espresso-soft md:table-cell">
        {row.latency_ms === null ? "" : t.climate.took(formatNumber(row.latency_ms, 2))}
      </td>
    </tr>
  );
}
