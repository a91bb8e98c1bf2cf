import { useQuery } from "@tanstack/react-query";
import { Suspense, lazy } from "react";
import { Provenance, asProvenance } from "../../../design/Provenance";
import { ErrorState, Skeleton } from "../../../design/States";
import { t } from "../../../i18n";
import { lastValue, useCurve, type CurveData } from "../../../lib/curves";
import { formatNumber } from "../../../lib/number";
import { curveQuery, kindsQuery, machineQuery } from "../../../lib/queries";
import type { Command } from "../../../lib/types";
import { numberIn, railSteps, recipeOf, textIn } from "../condition";
import { StepRail } from "./StepRail";
import { stepMarks } from "./steps";

const Curves = lazy(() => import("./Curves"));

const drawnOf = new WeakMap<CurveData, CurveData>();

/** The curve with the steps that are parts of a motion: when it was at rest needs no line. The same answer for the same curve. */
function drawn(curve: CurveData): CurveData {
  const known = drawnOf.get(curve);
  if (known) return known;
  const made = { ...curve, steps: curve.steps.filter(({ step }) => step !== "idle" && step !== "complete") };
  drawnOf.set(curve, made);
  return made;
}

/** A motion as its machine carries it out, or as it was: steps, how far it came, position and motor current. */
export function LiveMove({ command }: { command: Command }) {
  const id = command.command_id;
  const running = command.state === "running";
  const { data: machine } = useQuery(machineQuery(command.machine_id));
  const { data: kinds } = useQuery(kindsQuery);
  const stored = useQuery(curveQuery(id));
  const curve = useCurve(id);
  const machineStep = running && machine?.running?.command_id === id ? machine.step : null;
  const ended = running ? undefined : (textIn(command.meta, "step") ?? undefined);
  const told = (curve?.steps ?? []).map((one) => one.step);
  const seen = machineStep && machineStep !== "idle" ? [...told, machineStep] : told;
  const steps = railSteps(
    kinds?.find((one) => one.kind === command.kind),
    ended === undefined ? seen : [...seen, ended],
  );
  const marks = stepMarks({
    steps,
    seen,
    state: command.state,
    endedIn: ended,
  });
  const target = numberIn(recipeOf(command), "position");
  const position = numberIn(command.meta, "position") ?? lastValue(curve, "position");
  const provenance = asProvenance(command.meta?.["provenance"] ?? machine?.sensors?.provenance);
  return (
    <div className="flex flex-col gap-8">
      {steps.length > 0 && marks && <StepRail steps={steps} marks={marks} state={command.state} />}
      <p className="flex flex-wrap items-baseline gap-x-4">
        <span className="font-serif text-display font-medium">
          {position === null ? "–" : formatNumber(position, 0)} %
        </span>
        {target !== null && (
          <span className="text-lead text-copper">{t.live.targetValue(`${formatNumber(target)} %`)}</span>
        )}
        {provenance && <Provenance of={provenance} />}
      </p>
      {curve && curve.rows.length > 1 ? (
        <Suspense fallback={<Skeleton lines={2} height={92} />}>
          <Curves curve={drawn(curve)} targets={target === null ? {} : { position: target }} provenance={provenance} />
        </Suspense>
      ) : stored.isError && !running ? (
        <ErrorState what={t.live.curves} error={stored.error} onRetry={() => void stored.refetch()} />
      ) : (
        <p className="text-espresso-soft">{running ? t.live.noCurve : t.live.neverCurve}</p>
      )}
    </div>
  );
}
