import { Provenance } from "../../design/Provenance";
import { TimeAgo } from "../../design/Time";
import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";
import type { Reading } from "../../lib/types";
import { DIGITS, STALE_S } from "./room";

/** Every number with how it is known and how old it is. */
export function LiveValues({ readings }: { readings: Reading[] }) {
  const order = Object.keys(t.climate.reading);
  const rank = (type: string) => (order.includes(type) ? order.indexOf(type) : order.length);
  const sorted = [...readings].sort((a, b) => rank(a.type) - rank(b.type) || a.type.localeCompare(b.type));
  if (sorted.length === 0) return <p className="text-espresso-soft">{t.climate.nothingYet}</p>;
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-5 sm:grid-cols-3">
      {sorted.map((reading) => (
        <div key={reading.type} className="flex flex-col gap-0.5">
          <dt className="text-note text-espresso-soft">{nameOfType(reading.type)}</dt>
          <dd className="text-title font-semibold">
            {formatNumber(reading.value, DIGITS[reading.type] ?? 1)}{" "}
            <span className="text-body font-normal text-espresso-soft">{unitOfType(reading.type, reading.unit)}</span>
          </dd>
          <dd className="flex flex-wrap items-center gap-2 text-note text-espresso-soft">
            <TimeAgo at={reading.at} staleAfterS={STALE_S} />
            <Provenance of={reading.provenance} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function nameOfType(type: string): string {
  return t.climate.reading[type] ?? t.commandWord(type);
}

export function unitOfType(type: string, unit: string | null): string {
  return t.climate.unit[type] ?? t.climate.unit[unit ?? ""] ?? unit ?? "";
}
