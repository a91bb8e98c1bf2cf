import { t } from "../../../i18n";
import type { Rights } from "../../../lib/session";
import { ageSeconds } from "../../../lib/time";
import type { Machine } from "../../../lib/types";
import { STALE_S } from "../condition";

/**
 * Why this machine cannot be asked for anything now, or undefined. Only fresh readings forbid: an old one may be wrong,
 * and the server decides anyway.
 */
export function whyNotOrder(machine: Machine, rights: Rights, nowS: number): string | undefined {
  if (!rights.signedIn) return t.why.signIn;
  if (machine.admission === "waiting") return t.why.notAdmitted;
  if (machine.admission === "blocked") return t.why.blocked;
  const fresh = machine.online && machine.sensors_at !== null && ageSeconds(machine.sensors_at, nowS) <= STALE_S;
  if (fresh && machine.sensors?.estop === true) return t.why.estop;
  if (fresh && machine.sensors?.magazine_count === 0) return t.why.magazine;
  return undefined;
}
