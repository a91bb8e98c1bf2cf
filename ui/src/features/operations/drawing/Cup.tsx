import { useId } from "react";
import { t } from "../../../i18n";
import { formatNumber } from "../../../lib/number";

interface Props {
  volumeMl: number;
  targetMl: number | null;
  flowing: boolean;
  className?: string;
}

/** Half widths at brim and foot, and height: a demitasse, a cup, a mug. */
const SHAPES = [
  { upTo: 60, brim: 46, foot: 26, height: 74 },
  { upTo: 180, brim: 56, foot: 34, height: 98 },
  { upTo: Infinity, brim: 52, foot: 44, height: 128 },
];

const FLOOR = 184;
const MIDDLE = 118;

/** The cup under the spout, filled to what was measured, with the recipe's target as a ghost line and a scale in ml. */
export function Cup({ volumeMl, targetMl, flowing, className = "" }: Props) {
  const clip = useId();
  const room = Math.max(10, (targetMl ?? 40) * 1.25, volumeMl * 1.04); // the target stays below the brim
  const shape = SHAPES.find((one) => (targetMl ?? 40) <= one.upTo) ?? { brim: 52, foot: 44, height: 128 };
  const { brim, foot, height } = shape;
  const inside = height - 6; // above the cup's own floor
  const level = (ml: number) => FLOOR - 6 - inside * Math.min(1, ml / room);
  const halfAt = (y: number) => foot + ((brim - foot) * (FLOOR - y)) / height;
  const outline = `M${MIDDLE - brim} ${FLOOR - height}L${MIDDLE - foot} ${FLOOR - 8}q2 8 10 8h${2 * foot - 20}q8 0 10-8L${MIDDLE + brim} ${FLOOR - height}`;
  const said = targetMl === null ? "" : ` ${t.live.of(`${formatNumber(targetMl)} ml`)}`;
  return (
    <svg
      viewBox="0 0 220 204"
      className={`drawn ${className}`}
      role="img"
      aria-label={volumeMl > 0 ? `${t.live.inCup(formatNumber(volumeMl, 1))}${said}` : t.live.cupEmpty}
    >
      <path d="M108 2h20l-4 14h-12z" className="steel-dark" />
      {flowing && (
        <path
          className="breathes"
          d={`M118 18V${level(volumeMl)}`}
          style={{ stroke: "var(--coffee)", strokeWidth: 4 }}
        />
      )}
      <clipPath id={clip}>
        <path d={`${outline}z`} />
      </clipPath>
      <g clipPath={`url(#${clip})`}>
        <rect x="40" y="20" width="160" height="180" className="no-line" fill="var(--porcelain)" />
        <g style={{ transform: `translateY(${level(volumeMl)}px)`, transition: "transform 260ms linear" }}>
          {volumeMl > 0 && <rect x="40" y="0" width="160" height="200" className="no-line" fill="var(--coffee)" />}
          {volumeMl > 0.5 && <rect x="40" y="0" width="160" height="6" className="no-line" fill="var(--foam)" />}
        </g>
      </g>
      {ticks(room).map((ml) => (
        <g key={ml}>
          <path className="fine" d={`M${MIDDLE - halfAt(level(ml)) - 12} ${level(ml)}h8`} />
          <text
            x={MIDDLE - halfAt(level(ml)) - 17}
            y={level(ml) + 4}
            textAnchor="end"
            className="no-line text-note"
            fill="var(--espresso-soft)"
          >
            {ml}
          </text>
        </g>
      ))}
      <path d={outline} strokeWidth="2" />
      <path d={`M${MIDDLE + brim - 3} ${FLOOR - height + 14}h10a17 17 0 0 1 0 34h-18`} strokeWidth="2" />
      {targetMl !== null && (
        <path
          d={`M${MIDDLE - halfAt(level(targetMl)) - 6} ${level(targetMl)}H${MIDDLE + halfAt(level(targetMl)) + 6}`}
          strokeDasharray="5 4"
          style={{ stroke: "var(--copper)", strokeWidth: 1.75 }}
        />
      )}
      <path d="M62 188h112" strokeWidth="2" />
      <path className="fine" d="M40 200h156" />
    </svg>
  );
}

/** Three or four round marks, the lowest above the floor. */
function ticks(room: number): number[] {
  const raw = room / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
  const out: number[] = [];
  for (let ml = step; ml < room; ml += step) out.push(ml);
  return out;
}
