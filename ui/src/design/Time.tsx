import { t } from "../i18n";
import { ageSeconds, formatAge, formatMoment, useNow } from "../lib/time";

/** How long ago, counted on the server's clock, with the moment itself one hover away. */
export function TimeAgo({ at, staleAfterS }: { at: string; staleAfterS?: number }) {
  const age = ageSeconds(at, useNow());
  const stale = staleAfterS !== undefined && age > staleAfterS;
  return (
    <time
      dateTime={at}
      title={stale ? t.time.staleNote(formatAge(age)) : formatMoment(at)}
      className="whitespace-nowrap"
    >
      {formatAge(age)}
      {stale && (
        <span className="ml-1.5 rounded-s border border-dashed border-waiting px-1 text-waiting">{t.time.stale}</span>
      )}
    </time>
  );
}
