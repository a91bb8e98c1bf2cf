import { useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "wouter";
import { Button } from "../../design/Button";
import { EmptyState, ErrorState, Skeleton } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { alertsQuery, machinesQuery } from "../../lib/queries";
import { useRights } from "../../lib/session";
import { formatMoment } from "../../lib/time";
import type { Alert } from "../../lib/types";
import { acknowledge } from "./actions";
import { nameOf } from "./condition";

export function AlertsPage() {
  const [params] = useSearchParams();
  const state = params.get("state") === "all" ? "all" : "open";
  const alerts = useQuery(alertsQuery(state));
  const { data: machines } = useQuery(machinesQuery);
  const names = new Map(machines?.map((machine) => [machine.machine_id, nameOf(machine)]));
  return (
    <div className="flex flex-col gap-6">
      <h1 className="font-serif text-head font-medium md:text-display">{t.alerts.title}</h1>
      <nav aria-label={t.alerts.show} className="flex gap-1 border-b border-hairline">
        {(["open", "all"] as const).map((choice) => (
          <Link
            key={choice}
            href={choice === "open" ? "/alerts" : "/alerts?state=all"}
            aria-current={state === choice ? "page" : undefined}
            className={`-mb-px flex min-h-11 items-center border-b-2 px-4 ${state === choice ? "border-copper font-semibold" : "border-transparent text-espresso-soft hover:border-edge"}`}
          >
            {t.alerts[choice]}
          </Link>
        ))}
      </nav>
      {alerts.isPending ? (
        <Skeleton lines={3} height={72} />
      ) : alerts.isError && !alerts.data ? (
        <ErrorState what={t.alerts.title} error={alerts.error} onRetry={() => void alerts.refetch()} />
      ) : alerts.data.length === 0 ? (
        <EmptyState title={state === "open" ? t.alerts.emptyTitle : t.alerts.emptyAllTitle} note={t.alerts.emptyNote} />
      ) : (
        <ul aria-label={t.alerts.title} className="flex flex-col">
          {alerts.data.map((alert) => (
            <AlertRow
              key={alert.alert_id}
              alert={alert}
              machineName={alert.machine_id ? (names.get(alert.machine_id) ?? alert.machine_id) : null}
            />
          ))}
        </ul>
      )}
    </div>
  );
}

const look: Record<string, { ink: string; path: string }> = {
  info: { ink: "text-espresso-soft", path: "M8 7v5M8 4v.1M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13" },
  warning: { ink: "text-waiting", path: "M8 1.5 15 14H1zM8 6v4M8 12v.1" },
  error: { ink: "text-fault", path: "M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5zM8 4.5v4.5M8 11.5v.1" },
};

function AlertRow({ alert, machineName }: { alert: Alert; machineName: string | null }) {
  const rights = useRights();
  const seen = useAction(acknowledge);
  const shape = look[alert.severity === "critical" ? "error" : alert.severity] ?? look["error"];
  const over = Boolean(alert.resolved_at);
  return (
    <li
      className={`grid grid-cols-[1.5rem_minmax(0,1fr)] gap-x-3 border-b border-hairline py-4 sm:grid-cols-[1.5rem_minmax(0,1fr)_auto]`}
    >
      <svg
        viewBox="0 0 16 16"
        width="22"
        height="22"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.6"
        strokeLinecap="round"
        strokeLinejoin="round"
        className={over ? "text-espresso-soft" : shape?.ink}
        aria-hidden="true"
      >
        <path d={shape?.path} />
      </svg>
      <div className="flex flex-col gap-0.5">
        <p className="text-lead font-semibold">
          <span className="sr-only">{t.alerts.severity[alert.severity] ?? alert.severity}: </span>
          {alert.message}
        </p>
        <p className="flex flex-wrap items-center gap-x-4 gap-y-1 text-espresso-soft">
          {machineName && alert.machine_id && (
            <Link
              href={`/operations/machines/${encodeURIComponent(alert.machine_id)}`}
              className="-my-2 py-2 text-copper underline underline-offset-4"
            >
              {machineName}
            </Link>
          )}
          {alert.command_id ? (
            <Link
              href={`/commands/${alert.command_id}`}
              className="-my-2 py-2 text-copper underline underline-offset-4"
            >
              {t.alerts.toCommand(alert.command_id)}
            </Link>
          ) : null}
          <span>
            <TimeAgo at={alert.last_at} />
            {alert.count > 1 && `, ${t.alerts.times(alert.count)}, ${t.alerts.first(formatMoment(alert.raised_at))}`}
          </span>
        </p>
        {alert.acknowledged_at && (
          <p className="text-note text-espresso-soft">
            {t.alerts.acknowledged(t.actor(alert.acknowledged_by ?? ""), formatMoment(alert.acknowledged_at))}
          </p>
        )}
        {alert.resolved_at && (
          <p className="text-note text-ready">{t.alerts.resolved(formatMoment(alert.resolved_at))}</p>
        )}
      </div>
      {!alert.acknowledged_at && !over && (
        <div className="col-start-2 pt-2 sm:col-start-3 sm:pt-0">
          <Button
            busy={seen.isPending}
            why={rights.staff ? undefined : t.why.staff}
            aria-label={`${t.alerts.acknowledge}: ${alert.message}`}
            onClick={() => seen.mutate(alert.alert_id)}
          >
            {t.alerts.acknowledge}
          </Button>
        </div>
      )}
    </li>
  );
}
