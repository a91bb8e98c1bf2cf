import type { ReactNode } from "react";
import { t } from "../i18n";
import { asProblem } from "../lib/api";
import { Button } from "./Button";

interface EmptyProps {
  title: string;
  note?: string;
  children?: ReactNode;
  /** It is all there is on the page. */
  whole?: boolean;
}

/** Nothing here, and what would put something here. */
export function EmptyState({ title, note, children, whole = false }: EmptyProps) {
  const Heading = whole ? "h1" : "h2";
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-12 text-center">
      <svg viewBox="0 0 64 48" width="88" className="drawn mb-2" aria-hidden="true">
        <path className="fine" d="M2 44h60" />
        <path d="M18 18h24v12a12 12 0 0 1-12 12 12 12 0 0 1-12-12zM42 21h3a5 5 0 0 1 0 10h-3" />
        <path className="fine" d="M12 44h36" />
      </svg>
      <Heading className="font-serif text-title font-medium">{title}</Heading>
      {note && <p className="max-w-[52ch] text-espresso-soft">{note}</p>}
      {children}
    </div>
  );
}

/** It could not be loaded, why, and how to ask again. Shown in place of what is missing, never instead of the page. */
export function ErrorState({ what, error, onRetry }: { what: string; error: unknown; onRetry?: () => void }) {
  const problem = asProblem(error);
  return (
    <div role="alert" className="flex flex-col items-start gap-2 rounded-l border border-dashed border-fault p-5">
      <h2 className="font-semibold text-fault">{t.problem.loading(what)}</h2>
      <p className="max-w-[60ch]">
        {problem.offline
          ? t.problem.offlineRead
          : problem.status === 403
            ? `${t.problem.forbidden}. ${problem.detail}`
            : problem.detail}
      </p>
      {problem.requestId && <p className="text-note text-espresso-soft">{t.common.request(problem.requestId)}</p>}
      {onRetry && (
        <Button onClick={onRetry} className="mt-1">
          {t.common.retry}
        </Button>
      )}
    </div>
  );
}

export function Skeleton({ lines = 3, height = 56 }: { lines?: number; height?: number }) {
  return (
    <div role="status" aria-label={t.common.loading} className="flex flex-col gap-3">
      {Array.from({ length: lines }, (_, i) => (
        <div key={i} className="skeleton" style={{ height }} />
      ))}
    </div>
  );
}

/** What an action could not do, where it was asked for. */
export function ProblemNote({ error, children }: { error: unknown; children?: ReactNode }) {
  const problem = asProblem(error);
  return (
    <div role="alert" className="rounded-s bg-fault-wash px-3 py-2 text-fault">
      {problem.offline && <p className="font-semibold">{problem.title}</p>}
      <p className={problem.offline ? "" : "font-semibold"}>{problem.detail}</p>
      {problem.retryAfterS !== undefined && <p>{t.problem.wait(problem.retryAfterS)}</p>}
      {children}
    </div>
  );
}

export function Section({
  title,
  action,
  children,
  id,
}: {
  title: string;
  action?: ReactNode;
  children: ReactNode;
  id?: string;
}) {
  return (
    <section aria-label={title} id={id} className="flex flex-col gap-3">
      <div className="flex min-h-12 items-baseline justify-between gap-4 border-b border-hairline pb-1">
        <h2 className="font-serif text-title font-medium">{title}</h2>
        {action}
      </div>
      {children}
    </section>
  );
}
