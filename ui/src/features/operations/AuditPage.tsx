import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
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
    <li className="grid grid-cols-[4.5rem_minmax(0,1fr)] items-baseline gap-x-4 border-b border-hairline md:grid-cols-[9rem_11rem_10rem_minmax(0,1fr)]">
      <span
        className="row-span-3 self-stretch border-l-2 border-edge py-2 pl-3 text-note text-espresso-soft md:row-span-1 md:flex md:items-baseline md:gap-3"
        title={`${t.audit.hash} ${entry.hash}`}
      >
        {entry.audit_id}
        <span className="block">{entry.hash.slice(0, 8)}</span>
      </span>
      <time dateTime={entry.at} className="pt-2 text-note text-espresso-soft md:py-2 md:text-body">
        {formatMoment(entry.at)}
      </time>
      <span className="col-start-2 md:col-start-3 md:py-2">{entry.actor}</span>
      <span className="col-start-2 pb-2 md:col-start-4 md:pt-2">
        <span className="font-semibold">{entry.action}</span> <Subject subject={entry.subject} />
        <Detail detail={entry.detail} />
      </span>
    </li>
  );
}

/** "command:12" and "machine:espresso-1" lead to what they name. */
function Subject({ subject }: { subject: string }) {
  const [, kind, id] = /^(command|machine):(.+)$/.exec(subject) ?? [];
  if (!kind || !id) return <span>{subject}</span>;
  const href = kind === "command" ? `/commands/${id}` : `/operations/machines/${encodeURIComponent(id)}`;
  return (
    <Link href={href} className="-my-2 inline-block py-2 text-copper underline underline-offset-4">
      {subject}
    </Link>
  );
}

/** Simple pairs are written as words, anything deeper as it is. */
function detailText(detail: Json): string {
  if (detail === null) return "";
  if (typeof detail !== "object") return String(detail);
  if (Array.isArray(detail)) return JSON.stringify(detail);
  return Object.entries(detail)
    .filter(([, value]) => value !== null && value !== "")
    .map(
      ([key, value]) =>
        `${key.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
    )
    .join(" · ");
}

function Detail({ detail }: { detail: Json }) {
  const text = detailText(detail);
  if (text === "") return null;
  if (text.length <= 120)
    return <span className="block text-note break-words text-espresso-soft md:ml-2 md:inline">{text}</span>;
  return (
    <details className="text-note text-espresso-soft">
      <summary className="cursor-pointer truncate py-1">{text.slice(0, 100)}…</summary>
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
          <span className="block text-note break-all">
            {data.intact ? t.audit.head(data.head.slice(0, 16)) : data.why}
          </span>
        </p>
      )}
    </div>
  );
}
