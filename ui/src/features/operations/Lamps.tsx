import { Lamp } from "../../design/State";
import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";
import { ageSeconds, useNow } from "../../lib/time";
import type { Machine } from "../../lib/types";
import { STALE_S } from "./condition";

const LOW_WATER_ML = 60;

interface LampState {
  name: string;
  on: boolean | null;
  note?: string;
}

/** The conditions under which this machine may move, each by its name. Stale readings light no lamp. */
export function lampsOf(machine: Machine, nowS: number): LampState[] {
  const sensors = machine.sensors ?? {};
  const fresh = machine.online && machine.sensors_at !== null && ageSeconds(machine.sensors_at, nowS) <= STALE_S;
  const flag = (value: unknown): boolean | null => (fresh && typeof value === "boolean" ? value : null);
  const estop = flag(sensors.estop);
  const waterLow = flag(sensors.water_low);
  const tooHot = flag(sensors.over_temperature);
  const count = fresh && typeof sensors.magazine_count === "number" ? sensors.magazine_count : null;
  const water = fresh && typeof sensors.water_ml === "number" ? sensors.water_ml : null;
  const lamps: LampState[] = [{ name: "online", on: machine.online }];
  if (machine.mqtt === true) lamps.push({ name: "mqtt", on: true });
  if (machine.kind === "window")
    return [
      ...lamps,
      { name: "estop", on: estop === null ? null : !estop },
      { name: "calibrated", on: flag(sensors["calibrated"]) },
    ];
  if (machine.kind !== "espresso") return lamps;
  return [
    ...lamps,
    { name: "estop", on: estop === null ? null : !estop },
    ...(tooHot === null ? [] : [{ name: "heat", on: !tooHot }]),
    { name: "home", on: flag(sensors.home) },
    { name: "head", on: flag(sensors.head_closed) },
    { name: "magazine", on: count === null ? null : count > 0, ...(count ? { note: formatNumber(count) } : {}) },
    {
      name: "water",
      on: waterLow !== null ? !waterLow : water === null ? null : water >= LOW_WATER_ML,
      ...(water === null ? {} : { note: `${formatNumber(water)} ml` }),
    },
  ];
}

/** Lamps that only matter while nothing runs: an arm on its way is not a fault. */
const MOVES = new Set(["home", "head", "calibrated"]);

export function Lamps({ machine, brief = false }: { machine: Machine; brief?: boolean }) {
  const now = useNow();
  const lamps = lampsOf(machine, now).filter((lamp) => !brief || lamp.on === false);
  const shown = brief ? lamps.filter((lamp) => !MOVES.has(lamp.name) && lamp.name !== "online") : lamps;
  if (brief && shown.length === 0) return null;
  return (
    <ul className={brief ? "flex flex-wrap gap-x-4 gap-y-1 text-note" : "grid gap-2 sm:grid-cols-2"}>
      {shown.map((lamp) => {
        const words = t.machine.lamps[lamp.name] ?? [lamp.name, lamp.name];
        const idleOnly = MOVES.has(lamp.name) && lamp.on === false;
        return (
          <li key={lamp.name}>
            <Lamp
              on={idleOnly ? null : lamp.on}
              label={lamp.on === false ? words[1] : words[0]}
              note={lamp.on === null ? t.machine.lampUnknown : lamp.note}
            />
          </li>
        );
      })}
    </ul>
  );
}
