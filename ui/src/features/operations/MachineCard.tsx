import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { Provenance, asProvenance } from "../../design/Provenance";
import { signalInk } from "../../design/State";
import { TimeAgo } from "../../design/Time";
import { t } from "../../i18n";
import { lastValue, useCurve } from "../../lib/curves";
import { formatNumber } from "../../lib/number";
import { kindsQuery } from "../../lib/queries";
import type { Machine } from "../../lib/types";
import { STALE_S, conditionOf, nameOf, numberIn, reasonText, recipeOf, signalOfCondition } from "./condition";
import { MachineDrawing } from "./drawing/MachineDrawing";
import { Lamps } from "./Lamps";
import { OrderButton } from "./OrderButton";

/** A machine on the counter: drawn as it stands, its state in words under it. */
export function MachineCard({ machine }: { machine: Machine }) {
  const condition = conditionOf(machine);
  const name = nameOf(machine);
  const { data: kinds } = useQuery(kindsQuery);
  const kind = kinds?.find((one) => one.kind === machine.kind);
  const making = useMaking(machine);
  const provenance = asProvenance(machine.sensors?.provenance);
  return (
    <article
      className="grid grid-cols-[9rem_minmax(0,1fr)] gap-x-4 border-b-2 border-espresso sm:flex sm:flex-col sm:border-b-0"
      aria-label={name}
    >
      <Link
        href={`/operations/machines/${encodeURIComponent(machine.machine_id)}`}
        className="group block self-end sm:self-stretch sm:px-4"
        tabIndex={-1}
        aria-hidden="true"
      >
        <MachineDrawing
          machine={machine}
          condition={condition}
          {...making}
          className="mx-auto block w-full max-w-80 sm:mx-0 transition-transform duration-240 group-hover:-translate-y-0.5"
        />
      </Link>
      <div className="flex grow flex-col gap-1.5 pb-4 sm:gap-2 sm:border-t-2 sm:border-espresso sm:px-4 sm:pt-3 sm:pb-0">
        <div className="flex flex-wrap items-start justify-between gap-x-3">
          <h3 className="font-serif text-title font-medium">
            <Link
              href={`/operations/machines/${encodeURIComponent(machine.machine_id)}`}
              className="-my-2 inline-block py-2 underline-offset-4 hover:underline"
            >
              {name}
            </Link>
          </h3>
        </div>
        <p>
          <span className={`font-semibold ${signalInk(signalOfCondition[condition])}`}>
            {t.machine.condition[condition]}
          </span>
          {condition === "working" && machine.step && <span> · {t.step(machine.step)}</span>}
          {condition === "hold" && <span> · {reasonText(machine.hold.reason, kind)}</span>}
        </p>
        <p className="flex flex-wrap gap-x-4 gap-y-1 text-espresso-soft">
          {typeof machine.sensors?.temperature_c === "number" && (
            <span>{formatNumber(machine.sensors.temperature_c, 1)} °C</span>
          )}
          {condition === "working" && typeof making.volumeMl === "number" && making.targetMl ? (
            <span className="text-espresso">
              {formatNumber(making.volumeMl, 1)} ml {t.live.of(`${formatNumber(making.targetMl)} ml`)}
            </span>
          ) : (
            typeof machine.sensors?.magazine_count === "number" && (
              <span>{t.machine.capsulesLeft(machine.sensors.magazine_count)}</span>
            )
          )}
          {machine.kind === "window" && typeof machine.sensors?.["position"] === "number" && (
            <span>{t.climate.openPercent(formatNumber(machine.sensors["position"]))}</span>
          )}
          {machine.pending_count > 0 && <span>{t.machine.pending(machine.pending_count)}</span>}
        </p>
        <Lamps machine={machine} brief />
        <p className="flex flex-wrap items-center gap-x-3 gap-y-1 text-note text-espresso-soft">
          {machine.last_seen_at ? (
            <span>
              {t.machine.heard} <TimeAgo at={machine.last_seen_at} staleAfterS={STALE_S} />
            </span>
          ) : (
            t.machine.neverHeard
          )}
          {provenance && <Provenance of={provenance} />}
        </p>
        <div className="mt-auto pt-2">
          <OrderButton machine={machine} tone={condition === "ready" ? "primary" : "plain"} />
        </div>
      </div>
    </article>
  );
}

/** What the running command has poured so far, from its live curve. */
export function useMaking(machine: Machine) {
  const running = machine.running;
  const curve = useCurve(running?.command_id);
  if (!running || running.state === "unknown") return {};
  const targetMl = numberIn(recipeOf(running), "volume_ml");
  const volumeMl = lastValue(curve, "volume_ml") ?? 0;
  return {
    volumeMl,
    targetMl,
    progress: targetMl ? Math.min(1, volumeMl / targetMl) : null,
    flowing: (lastValue(curve, "flow_ml_s") ?? 0) > 0.05,
  };
}
