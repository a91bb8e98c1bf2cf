import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../design/Button";
import { Dialog } from "../../design/Dialog";
import { EmptyState, ErrorState, ProblemNote, Section, Skeleton } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { call, serverNow } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { modelErrorsQuery, modelQuery, queryClient } from "../../lib/queries";
import { useRights } from "../../lib/session";
import type { ModelErrorPoint, ModelInfo } from "../../lib/types";

const SPAN_MS = 90 * 86_400_000;

/** Which model answers, what it learned from, and how wrong it was. */
export function ModelCard() {
  const model = useQuery(modelQuery);
  return (
    <Section title={t.climate.modelCard}>
      {model.isPending ? (
        <Skeleton lines={2} />
      ) : !model.data ? (
        <ErrorState what={t.climate.modelCard} error={model.error} onRetry={() => void model.refetch()} />
      ) : model.data.version === null || model.data.version === 0 ? (
        <EmptyState title={t.climate.modelNone} note={t.climate.source[model.data.source] ?? ""} />
      ) : (
        <Body model={model.data} />
      )}
    </Section>
  );
}

function Body({ model }: { model: ModelInfo }) {
  const rights = useRights();
  const [asking, setAsking] = useState(false);
  const previous = model.previous_version ? String(model.previous_version) : null;
  const rollback = useAction(
    async () => {
      await call("POST", "/api/climate/model/rollback", { body: {} });
      await queryClient.invalidateQueries({ queryKey: ["model"] });
    },
    () => {
      setAsking(false);
      return t.climate.rolledBack;
    },
    true,
  );
  return (
    <div className="flex flex-col gap-5">
      <p className="text-lead">
        {t.climate.version(String(model.version))}, {t.climate.origins[model.origin] ?? model.origin}.{" "}
        <span className="text-espresso-soft">{t.climate.source[model.source]}</span>
      </p>
      <dl className="grid gap-x-8 gap-y-2 sm:grid-cols-[max-content_minmax(0,1fr)]">
        <dt className="text-espresso-soft">{t.climate.trained}</dt>
        <dd>{model.trained_at ? <TimeAgo at={model.trained_at} /> : t.common.none}</dd>
        <dt className="text-espresso-soft">{t.climate.samples}</dt>
        <dd>{t.climate.samplesOf(formatNumber(model.samples), formatNumber(model.samples_people))}</dd>
        <dt className="text-espresso-soft">{t.climate.error}</dt>
        <dd>{model.error === null ? t.climate.errorNone : t.climate.errorOf(formatNumber(model.error, 1))}</dd>
      </dl>
      <Errors />
      <div>
        <Button
          why={rights.staff ? (previous ? undefined : t.climate.noPrevious) : t.why.staff}
          aria-haspopup="dialog"
          onClick={() => setAsking(true)}
        >
          {t.climate.rollback}
        </Button>
      </div>
      {previous && (
        <Dialog
          open={asking}
          onClose={() => setAsking(false)}
          title={t.climate.rollbackTitle(previous)}
          footer={
            <Button tone="primary" busy={rollback.isPending} onClick={() => rollback.mutate(undefined)}>
              {t.climate.rollback}
            </Button>
          }
        >
          <p>{t.climate.rollbackNote(String(model.version), previous)}</p>
          {rollback.error && <ProblemNote error={rollback.error} />}
        </Dialog>
      )}
    </div>
  );
}

/** One dot a setting by hand: how far off the model had been. The versions stand apart by lines. */
function Errors() {
  const [span] = useState(() => ({
    from: new Date(serverNow() - SPAN_MS).toISOString(),
    to: new Date(serverNow() + 3_600_000).toISOString(),
  }));
  const errors = useQuery(modelErrorsQuery(span.from, span.to));
  const points = errors.data ?? [];
  if (points.length === 0) return null;
  const highest = Math.max(20, ...points.map((point) => point.error));
  const x = (i: number) => 30 + ((i + 0.5) / points.length) * 360;
  const y = (error: number) => 84 - (error / highest) * 70;
  const lines = points.flatMap((point, i) => (i > 0 && points[i - 1]?.version !== point.version ? [i] : []));
  return (
    <figure className="flex flex-col gap-1">
      <figcaption className="text-note text-espresso-soft">{t.climate.errors}</figcaption>
      <svg viewBox="0 0 400 100" className="drawn block w-full" role="img" aria-label={errorsInWords(points)}>
        <path className="fine" d="M30 10v76h362" />
        <text x="26" y="18" fontSize="10" textAnchor="end" fill="var(--espresso-soft)" stroke="none">
          {formatNumber(highest)} %
        </text>
        <text x="26" y="87" fontSize="10" textAnchor="end" fill="var(--espresso-soft)" stroke="none">
          0
        </text>
        {lines.map((i) => (
          <path key={i} className="fine" strokeDasharray="3 3" d={`M${x(i - 0.5)} 10v76`} />
        ))}
        {points.map((point, i) => (
          <circle key={i} cx={x(i)} cy={y(point.error)} r="2.6" fill="var(--copper)" stroke="none" />
        ))}
      </svg>
    </figure>
  );
}

function errorsInWords(points: ModelErrorPoint[]): string {
  const last = points.at(-1);
  return `${t.climate.errors}: ${points.length}, ${last ? `${formatNumber(last.error, 1)} %` : ""}`;
}
