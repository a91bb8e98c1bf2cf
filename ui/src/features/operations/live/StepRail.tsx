import { t } from "../../../i18n";

interface Props {
  steps: string[];
  current: string | null;
  /** Where it stopped for good, and whether that was a good end. */
  ended?: "good" | "bad" | "open" | undefined;
}

/** The machine's states in order, as stations on one line. */
export function StepRail({ steps, current, ended }: Props) {
  const now = current === null ? -1 : steps.indexOf(current);
  const done = ended === "good" ? steps.length : now;
  const label = now >= 0 && current !== null ? t.live.stepOf(t.step(current), now + 1, steps.length) : t.live.steps;
  return (
    <div className="flex flex-col gap-2">
      <p className="font-serif text-title font-medium md:sr-only">{label}</p>
      <ol aria-label={t.live.steps} className="flex">
        {steps.map((step, index) => {
          const passed = index < done;
          const here = index === now && !ended;
          const stopped = index === now && ended !== undefined && ended !== "good";
          return (
            <li
              key={step}
              aria-current={here ? "step" : undefined}
              className={`flex min-w-0 grow basis-0 flex-col gap-1.5 ${here ? "text-copper" : passed ? "" : "text-espresso-soft"}`}
            >
              <span className="flex items-center" aria-hidden="true">
                <span
                  className={`size-3 shrink-0 rounded-full border-2 ${
                    stopped
                      ? ended === "open"
                        ? "border-dashed border-unknown"
                        : "border-fault bg-fault"
                      : here
                        ? "breathes border-copper bg-copper"
                        : passed
                          ? "border-espresso bg-espresso"
                          : "border-edge"
                  }`}
                />
                {index < steps.length - 1 && (
                  <span className={`h-0.5 grow ${index < done ? "bg-espresso" : "bg-hairline"}`} />
                )}
              </span>
              <span className={`hidden pr-2 text-note md:block ${here || stopped ? "font-semibold" : ""}`}>
                {t.step(step)}
              </span>
            </li>
          );
        })}
      </ol>
    </div>
  );
}
