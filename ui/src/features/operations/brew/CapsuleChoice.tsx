import { useId } from "react";
import { t } from "../../../i18n";
import { formatNumber } from "../../../lib/number";
import type { Capsule } from "../../../lib/types";

interface Props {
  capsules: Capsule[];
  value: string;
  onValue: (capsule: Capsule) => void;
  /** Why a system cannot be used here, by its name. */
  refused: Record<string, string | undefined>;
}

export const capsuleKey = (capsule: Pick<Capsule, "capsule_type" | "variant">): string =>
  `${capsule.capsule_type}/${capsule.variant}`;

/** The capsules the kind knows, drawn to the size of the cup they fill. */
export function CapsuleChoice({ capsules, value, onValue, refused }: Props) {
  const name = useId();
  const systems = [...new Set(capsules.map((capsule) => capsule.capsule_type))];
  return (
    <fieldset className="flex flex-col gap-3">
      <legend className="mb-1.5 font-semibold">{t.brew.capsule}</legend>
      {systems.map((system) => {
        const why = refused[system];
        const whyId = `${name}-${system}`;
        return (
          <div key={system} role="group" aria-label={t.capsuleSystem(system)} className="flex flex-col gap-1.5">
            <p className="text-note text-espresso-soft" id={whyId}>
              {t.capsuleSystem(system)}
              {why && <span> · {why}</span>}
            </p>
            <div className="grid grid-cols-3 gap-2">
              {capsules
                .filter((capsule) => capsule.capsule_type === system)
                .map((capsule) => {
                  const key = capsuleKey(capsule);
                  const chosen = key === value;
                  return (
                    <label
                      key={key}
                      className={`relative flex min-h-18 flex-col items-center justify-end gap-0.5 rounded-s border px-1 pt-2 pb-1.5 text-center leading-tight has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-copper ${
                        why
                          ? "border-hairline text-espresso-soft"
                          : chosen
                            ? "border-copper bg-copper-wash shadow-[inset_0_0_0_1px_var(--copper)]"
                            : "border-edge bg-porcelain hover:border-espresso"
                      }`}
                    >
                      <input
                        type="radio"
                        name={name}
                        className="sr-only"
                        value={key}
                        checked={chosen}
                        disabled={why !== undefined}
                        aria-describedby={why ? whyId : undefined}
                        onChange={() => onValue(capsule)}
                      />
                      {!why && <CapsuleDrawing type={system} volumeMl={capsule.volume_ml} />}
                      <span className="font-semibold">{t.capsuleName(capsule.variant)}</span>
                      <span className="text-note text-espresso-soft">
                        {t.brew.guidance(formatNumber(capsule.volume_ml))}
                      </span>
                    </label>
                  );
                })}
            </div>
          </div>
        );
      })}
    </fieldset>
  );
}

/** Original is a cone with a rim, Vertuo a dome; the larger the cup, the larger the dome. */
function CapsuleDrawing({ type, volumeMl }: { type: string; volumeMl: number }) {
  const size = type === "vertuo" ? 15 + Math.min(13, Math.sqrt(volumeMl) * 0.6) : 22;
  return (
    <svg viewBox="0 0 32 32" width="34" height="34" className="drawn" aria-hidden="true">
      <g style={{ transform: `scale(${size / 28})`, transformOrigin: "16px 30px" }}>
        {type === "vertuo" ? (
          <path d="M2 30h28M4 30C4 17 9 12 16 12s12 5 12 18" fill="var(--copper-wash)" strokeWidth="1.3" />
        ) : (
          <path d="M2 30h28M4.5 30 9 9l4-3h6l4 3 4.5 21" fill="var(--copper-wash)" strokeWidth="1.3" />
        )}
      </g>
    </svg>
  );
}
