import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button } from "../../design/Button";
import { EmptyState, ErrorState, ProblemNote, Skeleton } from "../../design/States";
import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";
import { auditQuery, verifyQuery } from "../../lib/queries";
import { formatMoment } from "../../lib/time";
import type { AuditEntry, Json } from "../../lib/types";

export function AuditPage() {
  const audit = useInfiniteQuery(auditQuery);
  const entries = audit.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="flex flex-col gap-6">
      <header className="flex flex-wrap items-end justify-between gap-4">
        <div>
          <h1 className="font-serif text-head font-medium md:text-display">{t.audit.title}</h1>
          <p className="max-w-[60ch] text-espresso-soft">{t.audit.lead}</p>
        </div>
        <Verify />
      </header>
      {audit.isPending ? (
        <Skeleton lines={8} height={40} />
      ) : audit.isError && entries.length === 0 ? (
        <ErrorState what={t.audit.title} error={audit.error} onRetry={() => void audit.refetch()} />
      ) : entries.length === 0 ? (
        <EmptyState title={t.audit.emptyTitle} note={t.audit.emptyNote} />
      ) : (
        <>
          <ol aria-label={t.audit.title} reversed className="flex flex-col">
            {entries.map((entry) => (
              <Entry key={entry.audit_id} entry={entry} />
            ))}
          </ol>
          {audit.hasNextPage && (
            <div>
              <Button busy={audit.isFetchingNextPage} onClick={() => void audit.fetchNextPage()}>
                {t.common.more}
              </Button>
            </div>
          )}
        </>
      )}
    </div>
  );
}

/** Chained entries are drawn chained: the hash's first letters hang on the line to the entry before. */
function Entry({ entry }: { entry: AuditEntry }) {
  return (
    <li className="grid grid-cols-[5.5rem_minmax(0,1fr)] gap-x-4 border-b border-hairline py-2.5 md:grid-cols-[5.5rem_11rem_minmax(0,1fr)]">
      <span className="border-l border-edge pl-3 text-note text-espresso-soft" title={`${t.audit.hash} ${entry.hash}`}>
        {entry.audit_id}
        <span className="block">{entry.hash.slice(0, 8)}</span>
      </span>
      <span className="text-note text-espresso-soft md:text-body">
        <time dateTime={entry.at}>{formatMoment(entry.at)}</time>
        <span className="block text-espresso">{entry.actor}</span>
      </span>
      <span className="col-start-2 md:col-start-3">
        <span className="font-semibold">{entry.action}</span> <span>{entry.subject}</span>
        <Detail detail={entry.detail} />
      </span>
    </li>
  );
}

function Detail({ detail }: { detail: Json }) {
  const text = detail === null ? "" : typeof detail === "string" ? detail : JSON.stringify(detail);
  if (text === "" || text === "{}") return null;
  if (text.length <= 90) return <span className="block text-note break-words text-espresso-soft">{text}</span>;
  return (
    <details className="text-note text-espresso-soft">
      <summary className="cursor-pointer truncate py-1">{text.slice(0, 80)}…</summary>
      <span className="block break-words">{text}</span>
    </details>
  );
}

function Verify() {
  const verdict = useQuery({ ...verifyQuery, enabled: false });
  const data = verdict.data;
  return (
    <div className="flex flex-col items-start gap-2 md:items-end" aria-live="polite">
      <Button busy={verdict.isFetching} onClick={() => void verdict.refetch()}>
        {t.audit.verify}
      </Button>
      {verdict.error && !verdict.isFetching && <ProblemNote error={verdict.error} />}
      {data && !verdict.isFetching && (
        <p className={`rounded-s px-3 py-1.5 ${data.intact ? "bg-ready-wash text-ready" : "bg-fault-wash text-fault"}`}>
          <span className="font-semibold">
            {data.intact ? `✓ ${t.audit.intact(formatNumber(data.entries))}` : `✗ ${t.audit.broken(data.first_broken)}`}
          </span>
          <span className="block text-note break-all">{data.intact ? t.audit.head(data.head.slice(0, 16)) : data.why}</span>
        </p>
      )}
    </div>
  );
}
