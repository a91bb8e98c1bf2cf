import { useId } from "react";

/**
 * The espresso machine and its accessory in front elevation, standing on a counter at y = 248 under an arch whose
 * outline is the machine's condition. Parts stand where the machine says they are; the part at work is copper.
 */

export interface EspressoPose {
  step: string | null;
  headClosed: boolean | null;
  capsules: number | null;
  waterMl: number | null;
  temperatureC: number | null;
  /** Into the cup; null draws no cup. */
  volumeMl: number | null;
  targetMl: number | null;
  flowing: boolean;
}

const TANK_ML = 1200;
const ARM_HOME = 56;
const ARM_INSERT = 126;

const CUP_TOP = 198;
const CUP_BOTTOM = 231;

export function EspressoMachine({ pose }: { pose: EspressoPose }) {
  const cup = useId();
  const { step } = pose;
  const picking = step === "picking";
  const inserting = step === "inserting";
  const closing = step === "closing_head";
  const pressing = step === "pressing_button";
  const brewing = step === "brewing" || step === "monitoring";
  const ejecting = step === "ejecting";

  // The head's own contact is believed; where it is silent, the step says what must be so.
  const closed = pose.headClosed ?? (closing || pressing || brewing);
  const armX = inserting ? ARM_INSERT : ARM_HOME;
  const grip = picking ? 22 : inserting ? 26 : 8;
  const carries = picking || inserting;
  const capsules = pose.capsules === null ? null : Math.min(8, Math.max(0, pose.capsules));
  const water = pose.waterMl === null ? 0 : Math.min(1, Math.max(0, pose.waterMl / TANK_ML));
  const heat = pose.temperatureC === null ? 0 : Math.min(1, Math.max(0, (pose.temperatureC - 30) / 65));
  // A cup holds a quarter more than was asked for, so that the target stays below the brim.
  const room = (pose.targetMl ?? 40) * 1.25;
  const level = (ml: number) => CUP_BOTTOM - (CUP_BOTTOM - CUP_TOP) * Math.min(1, ml / room);
  const volume = pose.volumeMl ?? 0;

  return (
    <g>
      {/* tank */}
      <rect x="217" y="120" width="20" height="116" rx="4" className="steel" />
      <rect
        x="219"
        y={122 + 112 * (1 - water)}
        width="16"
        height={112 * water}
        rx="2"
        className="no-line"
        fill="var(--water)"
      />
      <path className="fine" d="M222 150h4M222 178h4M222 206h4" />

      {/* body, thermal block, button */}
      <path className="steel" d="M158 236V106a10 10 0 0 1 10-10h44a6 6 0 0 1 6 6v134z" />
      <path
        className={brewing ? "at-work" : "fine"}
        style={{ stroke: `color-mix(in oklch, var(--edge), var(--copper) ${Math.round(heat * 100)}%)` }}
        d="M174 122h26a6 6 0 0 1 0 12h-26a6 6 0 0 0 0 12h26a6 6 0 0 1 0 12h-26"
      />
      <circle cx="188" cy="188" r="7" className={pressing ? "at-work" : ""} fill="var(--porcelain)" />
      <g className="moves" style={{ transform: `rotate(${pressing ? 0 : 32}deg)`, transformOrigin: "210px 210px" }}>
        <path className={pressing ? "at-work" : ""} d="M210 210l-16-17" />
      </g>
      <circle cx="210" cy="210" r="2.5" className="steel-dark" />

      {/* head and lever */}
      <path className={`steel ${brewing ? "at-work" : ""}`} d="M104 146v-22a6 6 0 0 1 6-6h48v28z" />
      <path d="M119 146h14l-3 10h-8z" className="steel-dark" />
      {(ejecting || carries) && !closed && <path className="fine" d="M116 118h20" strokeDasharray="3 3" />}
      <g className="moves" style={{ transform: `rotate(${closed ? 0 : 64}deg)`, transformOrigin: "158px 116px" }}>
        <path className={closing || ejecting ? "at-work" : ""} strokeWidth="3.5" d="M158 115h-44" />
        <circle cx="112" cy="115" r="3.5" className={`steel-dark ${closing || ejecting ? "at-work" : ""}`} />
      </g>
      <circle cx="158" cy="116" r="4" className="steel-dark" />

      {/* magazine with capsules on its stand */}
      <path className="fine" d="M56 248v-70M46 248h20" />
      <path className={picking ? "at-work" : ""} d="M44 84v90a4 4 0 0 0 4 4h16a4 4 0 0 0 4-4V84" />
      {capsules === null ? (
        <path className="fine" d="M50 132h12M50 144h12M50 156h12" strokeDasharray="2 3" />
      ) : (
        Array.from({ length: capsules }, (_, i) => (
          <path key={i} d={capsulePath(56, 173 - i * 11)} fill="var(--copper-wash)" strokeWidth="1.1" />
        ))
      )}

      {/* rail, carriage, gripper */}
      <path d="M44 68h102" className={carries ? "at-work" : ""} />
      <path className="fine" d="M48 68v16M142 68v12" />
      <g className="moves" style={{ transform: `translateX(${armX}px)` }}>
        <rect x="-9" y="62" width="18" height="11" rx="2" className={`steel-dark ${carries ? "at-work" : ""}`} />
        <g className="moves" style={{ transform: `translateY(${grip}px)` }}>
          <path className={carries ? "at-work" : ""} d="M0 66v10m-6 6v-6h12v6" />
          {inserting && <path d={capsulePath(0, 92)} fill="var(--copper-wash)" strokeWidth="1.1" />}
        </g>
        <path className="fine" d={`M0 73v${grip}`} />
      </g>
      {ejecting && <path d={capsulePath(146, 226)} fill="var(--copper-wash)" className="at-work" strokeWidth="1.1" />}

      {/* tray */}
      <path className="steel-dark" d="M88 236h150v8a4 4 0 0 1-4 4H92a4 4 0 0 1-4-4z" />
      <path className="fine" d="M98 240h52" strokeDasharray="6 4" />

      {/* stream and cup */}
      {pose.flowing && (
        <path
          className="breathes"
          d={`M126 157V${level(volume)}`}
          style={{ stroke: "var(--coffee)", strokeWidth: 2.5 }}
        />
      )}
      {pose.volumeMl !== null && (
        <g>
          <clipPath id={cup}>
            <path d="M107 199h38l-4 26a8 8 0 0 1-8 7h-14a8 8 0 0 1-8-7z" />
          </clipPath>
          <g clipPath={`url(#${cup})`}>
            <rect x="100" y="190" width="50" height="50" className="no-line" fill="var(--porcelain)" />
            {volume > 0 && (
              <rect x="100" y={level(volume)} width="50" height="60" className="no-line" fill="var(--coffee)" />
            )}
            {volume > 0 && (
              <rect x="100" y={level(volume)} width="50" height="3" className="no-line" fill="var(--foam)" />
            )}
          </g>
          <path d="M106 198h40l-4 28a9 9 0 0 1-9 8h-14a9 9 0 0 1-9-8z" />
          <path d="M106 203h-3a7 7 0 0 0 0 14h5" />
          {pose.targetMl !== null && (
            <path
              d={`M101 ${level(pose.targetMl)}h50`}
              strokeDasharray="3 3"
              style={{ stroke: "var(--copper)", strokeWidth: 1.25 }}
            />
          )}
        </g>
      )}
    </g>
  );
}

/** A capsule lying on its rim: the foot of the drawing is its wide side. */
function capsulePath(x: number, y: number): string {
  return `M${x - 9} ${y}h18M${x - 7.5} ${y}l2.5-7.5h10l2.5 7.5`;
}
