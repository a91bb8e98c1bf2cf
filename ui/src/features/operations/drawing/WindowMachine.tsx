/**
 * A tilting window in its frame, seen from inside, standing on the counter line at y = 248. The sash leans as far as its
 * own encoder says; while that is unknown it is drawn dashed.
 */
export interface WindowPose {
  step: string | null;
  /** 0..100; null: the ends of the travel are not found yet. */
  position: number | null;
  target: number | null;
}

const MOVES = new Set(["homing", "calibrating", "moving", "sealing", "stopping", "backing_off"]);

export function WindowMachine({ pose }: { pose: WindowPose }) {
  const open = (pose.position ?? 0) / 100;
  const lean = 34 * open;
  const working = pose.step !== null && MOVES.has(pose.step);
  return (
    <g>
      {/* the street behind */}
      <path className="no-line" fill="var(--water)" opacity="0.4" d="M74 84h132v150H74z" />
      <path className="fine" d="M90 234v-60h34v60M132 234v-92h28v92M168 234v-48h26v48" />
      {/* frame */}
      <path className="steel" d="M64 74h152v174H64zM74 84v150h132V84z" fillRule="evenodd" />
      {/* the sash: its upper edge comes towards us, so it sinks and widens */}
      <g className="moves" strokeDasharray={pose.position === null ? "4 4" : undefined}>
        <path
          className={working ? "at-work" : ""}
          d={`M78 230V230L${78 - lean * 0.45} ${88 + lean}H${202 + lean * 0.45}L202 230z`}
        />
        <path className="fine" d={`M${86 - lean * 0.4} ${98 + lean}H${194 + lean * 0.4}M86 222H194`} />
        <path d={`M140 ${88 + lean}v-6h-6m6 0h6`} />
      </g>
      {/* motor and chain */}
      <rect x="124" y="236" width="32" height="10" rx="3" className={working ? "steel at-work" : "steel"} />
      {pose.target !== null && Math.abs(pose.target - (pose.position ?? 0)) >= 1 && (
        <path
          className="at-work"
          strokeDasharray="3 5"
          d={`M${78 - pose.target * 0.153} ${88 + pose.target * 0.34}H${202 + pose.target * 0.153}`}
        />
      )}
    </g>
  );
}
