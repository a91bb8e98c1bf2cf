import { useQuery } from "@tanstack/react-query";
import { Suspense, lazy, useEffect, useRef } from "react";
import { announce } from "../../../design/announce";
import { Provenance, asProvenance } from "../../../design/Provenance";
import { ErrorState, Skeleton } from "../../../design/States";
import { t } from "../../../i18n";
import { lastValue, useCurve } from "../../../lib/curves";
import { formatNumber } from "../../../lib/number";
import { curveQuery, kindsQuery, machineQuery } from "../../../lib/queries";
import { formatDuration, useNow } from "../../../lib/time";
import type { Command } from "../../../lib/types";
import { conditionOf, measuredVolume, numberIn, railSteps, recipeOf, textIn, type Condition } from "../condition";
import { Cup } from "../drawing/Cup";
import { MachineDrawing } from "../drawing/MachineDrawing";
import { StepRail } from "./StepRail";
import { stepMarks } from "./steps";

const Curves = lazy(() => import("./Curves"));

const conditionOfEnd: Partial<Record<Command["state"], Condition>> = {
  complete: "ready",
  failed: "stopped",
  unknown: "unknown",
  cancelled: "offline",
};

/** One command as its machine carries it out, or as it was: steps, the drawn machine, numbers, curves. */
export function LiveBrew({ command }: { command: Command }) {
  const id = command.command_id;
  const running = command.state === "running";
  const { data: machine } = useQuery(machineQuery(command.machine_id));
  const { data: kinds } = useQuery(kindsQuery);
  const stored = useQuery(curveQuery(id));
  const curve = useCurve(id);
  const kind = kinds?.find((one) => one.kind === command.kind);
  const steps = railSteps(kind);
  const curveStep = curve?.steps.at(-1)?.step ?? null;
  // The machine's own word is newest while it works; afterwards the curve remembers where it ended.
  const machineStep = running && machine?.running?.command_id === id ? machine.step : null;
  const step = machineStep && machineStep !== "idle" ? machineStep : curveStep;

  useStepAnnouncement(running ? step : null, steps);

  const recipe = recipeOf(command);
  const targetMl = numberIn(recipe, "volume_ml");
  const volume = lastValue(curve, "volume_ml") ?? measuredVolume(command) ?? 0;
  const flow = lastValue(curve, "flow_ml_s");
  const provenance = asProvenance(machine?.sensors?.provenance);
  const seen = (curve?.steps ?? []).map((one) => one.step);
  const marks = stepMarks({
    steps,
    seen: machineStep && machineStep !== "idle" ? [...seen, machineStep] : seen,
    state: command.state,
    endedIn: running ? undefined : (textIn(command.meta, "step") ?? undefined),
  });
  const condition: Condition = running
    ? "working"
    : (conditionOfEnd[command.state] ?? (machine ? conditionOf(machine) : "ready"));

  return (
    <div className="flex flex-col gap-8">
      {steps.length > 0 && marks && <StepRail steps={steps} marks={marks} state={command.state} />}
      <div className="grid items-end gap-x-10 gap-y-6 md:grid-cols-[minmax(0,20rem)_minmax(0,1fr)]">
        {machine && (
          <div className="border-b border-espresso">
            <MachineDrawing
              machine={
                running
                  ? machine
                  : { ...machine, step: step === "error" ? null : command.state === "complete" ? "complete" : step }
              }
              condition={condition}
              progress={targetMl ? Math.min(1, volume / targetMl) : null}
              volumeMl={volume}
              targetMl={targetMl}
              flowing={running && (flow ?? 0) > 0.05}
              className="mx-auto block w-full max-w-80"
            />
          </div>
        )}
        <div className="grid grid-cols-[minmax(0,11rem)_minmax(0,1fr)] items-end gap-x-6 gap-y-5 sm:grid-cols-[minmax(0,14rem)_minmax(0,1fr)]">
          <Cup volumeMl={volume} targetMl={targetMl} flowing={running && (flow ?? 0) > 0.05} className="block w-full" />
          <div className="flex flex-col items-start gap-1 pb-3">
            <p>
              <span className="font-serif text-display font-medium">{formatNumber(volume, 1)}</span>{" "}
              <span className="text-title">ml</span>
            </p>
            {targetMl !== null && (
              <p className="text-lead text-copper">{t.live.targetValue(`${formatNumber(targetMl)} ml`)}</p>
            )}
            {provenance && <Provenance of={provenance} />}
          </div>
          <dl className="col-span-2 grid grid-cols-2 gap-x-6 gap-y-4 sm:grid-cols-4">
            <Reading
              name="temperature_c"
              digits={1}
              value={lastValue(curve, "temperature_c") ?? (running ? (machine?.sensors?.temperature_c ?? null) : null)}
            />
            <Reading name="pressure_bar" digits={1} value={lastValue(curve, "pressure_bar")} />
            <Reading name="flow_ml_s" digits={2} value={running ? flow : null} />
            <Elapsed command={command} />
          </dl>
        </div>
      </div>
      {curve && curve.rows.length > 1 ? (
        <Suspense fallback={<Skeleton lines={3} height={92} />}>
          <Curves
            curve={curve}
            targets={targetsOf(targetMl, numberIn(recipe, "temperature_c"))}
            provenance={provenance}
          />
        </Suspense>
      ) : stored.isError && !running ? (
        <ErrorState what={t.live.curves} error={stored.error} onRetry={() => void stored.refetch()} />
      ) : (
        <p className="text-espresso-soft">{running ? t.live.noCurve : t.live.neverCurve}</p>
      )}
    </div>
  );
}

function targetsOf(volume: number | null, temperature: number | null) {
  return {
    ...(volume === null ? {} : { volume_ml: volume }),
    ...(temperature === null ? {} : { temperature_c: temperature }),
  };
}

function useStepAnnouncement(step: string | null, steps: string[]): void {
  const said = useRef<string | null>(null);
  const index = step === null ? -1 : steps.indexOf(step);
  const total = steps.length;
  useEffect(() => {
    if (step === null || step === said.current) return;
    said.current = step;
    announce(index < 0 ? t.step(step) : t.live.stepOf(t.step(step), index + 1, total));
  }, [step, index, total]);
}

function Reading({ name, value, digits }: { name: string; value: number | null; digits: number }) {
  return (
    <div>
      <dt className="text-note text-espresso-soft">{t.reading(name)}</dt>
      <dd className="text-title font-semibold">
        {value === null ? "–" : formatNumber(value, digits)}{" "}
        <span className="text-body font-normal text-espresso-soft">{t.unit(name)}</span>
      </dd>
    </div>
  );
}

function Elapsed({ command }: { command: Command }) {
  const now = useNow();
  if (!command.claimed_at) return null;
  const from = Date.parse(command.claimed_at);
  const ended = command.finished_at ?? (command.state === "running" ? null : command.updated_at);
  const to = ended ? Date.parse(ended) : now * 1000;
  return (
    <div>
      <dt className="text-note text-espresso-soft">{t.live.elapsed}</dt>
      <dd className="text-title font-semibold">{formatDuration(Math.max(0, to - from))}</dd>
    </div>
  );
}
