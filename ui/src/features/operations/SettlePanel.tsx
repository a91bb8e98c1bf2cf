import { useId, useState } from "react";
import { Button } from "../../design/Button";
import { TextArea } from "../../design/Field";
import { ProblemNote } from "../../design/States";
import { StateGlyph } from "../../design/State";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { lastValue, useCurve } from "../../lib/curves";
import { formatNumber } from "../../lib/number";
import type { Command, Machine } from "../../lib/types";
import { settle } from "./actions";

type Outcome = "complete" | "failed";

interface Props {
  command: Command;
  machine: Machine | undefined;
  name: string;
  staff: boolean;
}

/** An unknown command is a question to whoever stands in front of the machine. */
export function SettlePanel({ command, name, staff }: Props) {
  const radios = useId();
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [evidence, setEvidence] = useState("");
  const curve = useCurve(command.command_id);
  const act = useAction(
    (answer: { outcome: Outcome; evidence: string }) => settle(command.command_id, answer.outcome, answer.evidence),
    (done) => t.command.settled(done.command_id),
    true,
  );
  const brew = command.command === "brew";
  const volume = lastValue(curve, "volume_ml");
  const lastStep = curve?.steps.at(-1)?.step;
  const choices: { value: Outcome; label: string; note: string }[] = [
    {
      value: "complete",
      label: brew ? t.command.outcomeComplete : t.command.outcomeCompleteGeneric,
      note: brew ? t.command.outcomeCompleteNote : "",
    },
    {
      value: "failed",
      label: brew ? t.command.outcomeFailed : t.command.outcomeFailedGeneric,
      note: brew ? t.command.outcomeFailedNote : "",
    },
  ];
  return (
    <section
      aria-labelledby={`${radios}-title`}
      className="grid gap-6 rounded-l border-2 border-dashed border-unknown bg-unknown-wash p-5 md:grid-cols-[minmax(0,1fr)_minmax(0,1.2fr)] md:p-7"
    >
      <div className="flex flex-col gap-2">
        <h2 id={`${radios}-title`} className="flex items-center gap-3 font-serif text-head font-medium text-unknown">
          <StateGlyph state="unknown" size={32} />
          {t.command.unknownTitle}
        </h2>
        <p className="max-w-[52ch]">{t.command.unknownNote(name)}</p>
        {lastStep && volume !== null && (
          <p className="font-semibold">{t.command.unknownLast(t.step(lastStep), formatNumber(volume, 1))}</p>
        )}
      </div>
      {staff ? (
        <div className="flex flex-col gap-4">
          <fieldset className="grid gap-2 sm:grid-cols-2">
            <legend className="sr-only">{t.command.unknownTitle}</legend>
            {choices.map((choice) => (
              <label
                key={choice.value}
                className={`flex min-h-16 items-start gap-3 rounded-s border bg-porcelain p-3 ${
                  outcome === choice.value ? "border-unknown shadow-[inset_0_0_0_1px_var(--unknown)]" : "border-edge"
                }`}
              >
                <input
                  type="radio"
                  name={radios}
                  className="mt-0.5 size-5 accent-unknown"
                  checked={outcome === choice.value}
                  onChange={() => setOutcome(choice.value)}
                />
                <span>
                  <span className="font-semibold">{choice.label}</span>
                  <span className="block text-note text-espresso-soft">{choice.note}</span>
                </span>
              </label>
            ))}
          </fieldset>
          <TextArea
            label={t.command.evidence}
            hint={t.command.evidenceHint}
            value={evidence}
            onText={setEvidence}
            maxLength={1000}
            required
          />
          {act.error && <ProblemNote error={act.error} />}
          <div>
            <Button
              tone="primary"
              busy={act.isPending}
              why={outcome === null ? t.why.outcome : evidence.trim() === "" ? t.why.evidence : undefined}
              onClick={() => {
                if (outcome) act.mutate({ outcome, evidence: evidence.trim() });
              }}
            >
              {t.command.settle}
            </Button>
          </div>
          <p className="text-note text-espresso-soft">{t.command.thenRelease}</p>
        </div>
      ) : (
        <p>{t.command.settleStaff}</p>
      )}
    </section>
  );
}
