import { t } from "../../../i18n";
import type { CommandState } from "../../../lib/types";
import { railLength, stepShown, type StepMark } from "./steps";

interface Props {
  steps: string[];
  marks: StepMark[];
  state: CommandState;
}

const dot: Record<StepMark, string> = {
  passed: "border-espresso bg-espresso",
  here: "breathes border-copper bg-copper",
  stopped: "border-fault bg-fault",
  quiet: "border-espresso-soft bg-espresso-soft",
  open: "border-dashed border-unknown",
  skipped: "border-dashed border-hairline",
  ahead: "border-edge",
};

/** The machine's states in order, as stations on one line. */
export function StepRail({ steps, marks, state }: Props) {
  const shown = stepShown(steps, marks, state);
  const length = railLength(steps, marks, state);
  const step = steps[shown];
  // A finished command stands at its last word, which needs no count.
  const label =
    step === undefined
      ? t.live.steps
      : state === "complete"
        ? t.step(step)
        : t.live.stepOf(t.step(step), shown + 1, steps.length);
  return (
    <div className="flex flex-col gap-2">
      <p className="font-serif text-title font-medium md:sr-only">{label}</p>
      <ol aria-label={t.live.steps} className="flex">
        {steps.slice(0, length).map((one, index) => {
          const mark = marks[index] ?? "ahead";
          const ink = mark === "here" ? "text-copper" : mark === "passed" ? "" : "text-espresso-soft";
          return (
            <li
              key={one}
              aria-current={mark === "here" ? "step" : undefined}
              className={`flex min-w-0 grow basis-0 flex-col gap-1.5 ${ink}`}
              style={{ maxWidth: `${100 / steps.length}%` }}
            >
              <span className="flex items-center" aria-hidden="true">
                <span className={`size-3 shrink-0 rounded-full border-2 ${dot[mark]}`} />
                {index < length - 1 && (
                  <span className={`h-0.5 grow ${mark === "passed" ? "bg-espresso" : "bg-hairline"}`} />
                )}
              </span>
              <span
                className={`hidden pr-2 text-note md:block ${index === shown ? "font-semibold" : ""} ${mark === "skipped" ? "line-through" : ""}`}
              >
                {t.step(one)}
              </span>
            </li>
          );
        })}
      </ol>
    </div>
  );
}
