import { Link } from "wouter";
import { Provenance } from "../../design/Provenance";
import { Section } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { call } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { learnWindow, queryClient } from "../../lib/queries";
import { useRights } from "../../lib/session";
import type { Climate, ClimateWindow } from "../../lib/types";
import { becauseText, decisionText } from "./room";

/** The last question, its answer, and what came of it. */
export function WhyPanel({ window, climate }: { window: ClimateWindow; climate: Climate }) {
  const { answer } = window;
  return (
    <Section title={t.climate.why} action={answer && <Provenance of="predicted" />}>
      <p className="text-lead">{decisionText(window, climate.confidence_min)}</p>
      {window.asked_at && (
        <p className="text-espresso-soft">
          {t.climate.asked} <TimeAgo at={window.asked_at} />
          {window.asked_because ? `, ${becauseText(window.asked_because)}` : ""}
        </p>
      )}
      {answer && (
        <>
          <p>{t.climate.answered(formatNumber(answer.position), formatNumber(answer.spread))}</p>
          <ConfidenceBar value={answer.confidence} needed={climate.confidence_min} />
          <p className="text-note text-espresso-soft">
            {answer.model_version === null ? t.climate.untrained : t.climate.version(String(answer.model_version))}
          </p>
        </>
      )}
      {window.command_id !== null && window.command_id > 0 && (
        <Link href={`/commands/${window.command_id}`} className="button button--quiet self-start">
          {t.climate.toCommand(window.command_id)}
        </Link>
      )}
      <p className="text-note text-espresso-soft">{t.climate.source[climate.source]}</p>
      <Mode window={window} />
    </Section>
  );
}

function ConfidenceBar({ value, needed }: { value: number; needed: number }) {
  const enough = value >= needed;
  return (
    <div className="flex flex-col gap-1">
      <p className="text-note">
        {t.climate.confidence}: {t.climate.confidenceOf(formatNumber(value, 2), formatNumber(needed, 2))}
      </p>
      <div className="relative h-3 max-w-80 rounded-s border border-edge" aria-hidden="true">
        <div
          className={`h-full rounded-s ${enough ? "bg-copper" : "hatched text-espresso-soft"}`}
          style={{ width: `${Math.min(100, value * 100)}%` }}
        />
        <div className="absolute -inset-y-1 w-0.5 bg-espresso" style={{ left: `${needed * 100}%` }} />
      </div>
    </div>
  );
}

function Mode({ window }: { window: ClimateWindow }) {
  const rights = useRights();
  const set = useAction(
    async (mode: "auto" | "manual") => {
      const path = `/api/climate/${encodeURIComponent(window.machine_id)}`;
      learnWindow(queryClient, await call<ClimateWindow>("PUT", path, { body: { mode } }));
      return mode;
    },
    (mode) => t.climate.modeSet(t.climate.modes[mode][0]),
  );
  const chosen = set.isPending ? set.variables : window.mode; // what was pressed, until the server says what is
  return (
    <fieldset className="flex flex-col gap-2" disabled={!rights.staff}>
      <legend className="mb-1 font-semibold">{t.climate.mode}</legend>
      {(["auto", "manual"] as const).map((mode) => (
        <label key={mode} className="flex min-h-11 items-start gap-3">
          <input
            type="radio"
            name={`mode-${window.machine_id}`}
            className="mt-1 size-5 accent-copper"
            checked={chosen === mode}
            onChange={() => !set.isPending && set.mutate(mode)}
          />
          <span>
            {t.climate.modes[mode][0]}
            <span className="block text-note text-espresso-soft">{t.climate.modes[mode][1]}</span>
          </span>
        </label>
      ))}
      {!rights.staff && <p className="text-note text-espresso-soft">{t.why.staff}</p>}
    </fieldset>
  );
}
