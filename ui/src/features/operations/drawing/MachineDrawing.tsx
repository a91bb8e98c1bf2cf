import { t } from "../../../i18n";
import { formatNumber } from "../../../lib/number";
import type { Machine } from "../../../lib/types";
import { signalInk, type Signal } from "../../../design/State";
import { signalOfCondition, type Condition } from "../condition";
import { EspressoMachine } from "./EspressoMachine";
import { WindowMachine } from "./WindowMachine";

interface Props {
  machine: Machine;
  condition: Condition;
  /** 0..1 of what is being made, from measurement; null: nothing is made. */
  progress?: number | null;
  volumeMl?: number | null;
  targetMl?: number | null;
  flowing?: boolean;
  className?: string;
}

const ARCH = "M10 248V140a130 130 0 0 1 260 0v108";

const archWash: Record<Signal, string> = {
  ready: "var(--ready-wash)",
  waiting: "var(--waiting-wash)",
  fault: "var(--fault-wash)",
  unknown: "var(--unknown-wash)",
  work: "var(--copper-wash)",
  quiet: "var(--crema)",
};

/** Dashes tell the conditions apart where colour does not. */
const archDash: Record<Condition, string | undefined> = {
  ready: undefined,
  working: undefined,
  queued: undefined,
  hold: "8 5",
  unknown: "1.5 6",
  offline: "1 5",
  stopped: "14 4",
  waiting: "3 4",
  blocked: "1 5",
};

const FAINT = new Set<Condition>(["offline", "waiting", "blocked"]);

/** A machine in its alcove. The alcove's outline is its condition; while it works the outline is its progress. */
export function MachineDrawing(props: Props) {
  const {
    machine,
    condition,
    progress = null,
    volumeMl = null,
    targetMl = null,
    flowing = false,
    className = "",
  } = props;
  const signal = signalOfCondition[condition];
  const working = condition === "working";
  const step = machine.step ? t.step(machine.step) : t.machine.condition[condition];
  const at = numberOf(machine.sensors?.["position"]);
  const cup =
    machine.kind === "window"
      ? at === null
        ? t.climate.positionUnknown
        : t.climate.openPercent(formatNumber(at))
      : cupText(volumeMl);
  return (
    <svg
      viewBox="0 0 280 252"
      className={`drawn ${className}`}
      role="img"
      aria-label={t.live.drawing(machine.name ?? machine.machine_id, step, cup)}
    >
      <path d={`${ARCH}z`} className="no-line" fill={archWash[signal]} />
      <g className={signalInk(signal)}>
        <path
          d={ARCH}
          pathLength={working ? 100 : undefined}
          style={{ stroke: "currentColor", strokeWidth: working ? 1.5 : 2.5, opacity: working ? 0.35 : 1 }}
          strokeDasharray={archDash[condition]}
        />
        {working && progress !== null && (
          <path
            d={ARCH}
            pathLength={100}
            strokeDasharray={`${(progress * 100).toFixed(2)} 100`}
            style={{ stroke: "currentColor", strokeWidth: 4, opacity: progress > 0 ? 1 : 0 }}
            strokeLinecap="butt"
          />
        )}
      </g>
      {/* What nobody has heard of for a while is drawn faint: it may not stand like that any more. */}
      <g opacity={FAINT.has(condition) ? 0.5 : 1}>
        {machine.kind === "espresso" ? (
          <EspressoMachine
            pose={{
              step: machine.step,
              headClosed: machine.sensors?.head_closed ?? null,
              capsules: machine.sensors?.magazine_count ?? null,
              waterMl: machine.sensors?.water_ml ?? null,
              temperatureC: machine.sensors?.temperature_c ?? null,
              volumeMl,
              targetMl,
              flowing,
            }}
          />
        ) : machine.kind === "window" ? (
          <WindowMachine
            pose={{
              step: machine.step,
              position: numberOf(machine.sensors?.["position"]),
              target: numberOf(machine.running?.payload?.["position"]),
            }}
          />
        ) : (
          <Plinth />
        )}
      </g>
    </svg>
  );
}

function cupText(volumeMl: number | null): string {
  if (volumeMl === null) return "";
  return volumeMl > 0 ? t.live.inCup(formatNumber(volumeMl, 1)) : t.live.cupEmpty;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** A kind that nobody has drawn yet: a box under a cloth. */
function Plinth() {
  return (
    <g>
      <path className="steel" d="M80 248V130q60-26 120 0v118z" />
      <path className="fine" d="M100 248q4-60 0-112M140 248q-3-70 0-127M180 248q-4-60 0-112" />
    </g>
  );
}
