import { t } from "../i18n";

export type ProvenanceKind = "measured" | "simulated" | "estimated" | "predicted";

export function asProvenance(word: unknown): ProvenanceKind | null {
  return word === "measured" || word === "simulated" || word === "estimated" || word === "predicted" ? word : null;
}

const looks: Record<ProvenanceKind, string> = {
  measured: "border-solid",
  simulated: "border-dashed hatched",
  estimated: "border-dashed",
  predicted: "border-dotted hatched",
};

/** How we know a number. Hatched where no metal and no water took part. */
export function Provenance({ of }: { of: ProvenanceKind }) {
  return (
    <span
      title={t.provenance.notes[of]}
      className={`inline-block rounded-s border border-edge px-1.5 text-note text-espresso-soft ${looks[of]}`}
    >
      <span className="bg-porcelain px-0.5">{t.provenance[of]}</span>
    </span>
  );
}
