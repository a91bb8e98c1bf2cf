import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";

interface Props {
  name: string;
  /** 0..100; null: nobody knows. */
  position: number | null;
  target: number | null;
  temperatureC: number | null;
  /** RMS, 0..1 of full scale. */
  sound: number | null;
  /** The readings are old: what is drawn may not be so any more. */
  faint?: boolean;
  className?: string;
}

const TOP = 40;
const SASH = 66; // how high the window is
const LEFT = 196;

/**
 * A room cut open: the street outside, a sash that tilts inwards as far as it is open, air that passes, people at a table
 * and how loud they are. Everything that moves comes from a reading.
 */
export function RoomSection({ name, position, target, temperatureC, sound, faint = false, className = "" }: Props) {
  const open = (position ?? 0) / 100;
  const words =
    position === null
      ? t.climate.positionUnknown
      : position < 0.5
        ? t.climate.closed
        : t.climate.openPercent(formatNumber(position));
  const warm = temperatureC === null ? t.climate.nothingYet : `${formatNumber(temperatureC, 1)} °C`;
  return (
    <svg
      viewBox="0 0 280 180"
      className={`drawn ${className}`}
      role="img"
      aria-label={t.climate.drawing(name, words, warm)}
    >
      {/* inside and outside */}
      <path className="no-line" d="M8 16h192v148H8z" fill="var(--crema)" />
      <path className="no-line" d="M206 4h70v160h-70z" fill="var(--water)" opacity="0.35" />
      <path className="fine" d="M226 164v-46h22v46M232 126h10M232 136h10M232 146h10M252 164v-70h20v70" />
      <g opacity={faint ? 0.5 : 1}>
        <People loudness={sound === null ? 0 : Math.min(1, sound * 6)} />
        <Thermometer celsius={temperatureC} />
        {open > 0.01 && <Air open={open} />}
        <g className="moves" style={{ transformOrigin: `${LEFT + 6}px ${TOP + SASH}px`, rotate: `${-34 * open}deg` }}>
          <path className="steel" d={`M${LEFT + 3} ${TOP}h6v${SASH}h-6z`} opacity={position === null ? 0.35 : 1} />
        </g>
        {target !== null && position !== null && Math.abs(target - position) >= 1 && (
          <path
            d={`M${LEFT + 6} ${TOP}v${SASH}`}
            className="at-work"
            strokeDasharray="3 4"
            style={{ transformOrigin: `${LEFT + 6}px ${TOP + SASH}px`, rotate: `${(-34 * target) / 100}deg` }}
          />
        )}
        {position === null && (
          <text x={LEFT - 22} y={TOP + 42} fontSize="20" fill="var(--unknown)" className="no-line">
            ?
          </text>
        )}
      </g>
      {/* walls, with the opening for the window */}
      <path d={`M8 164V16h192v${TOP - 16}M200 ${TOP + SASH}v${164 - TOP - SASH}`} strokeWidth="4" />
      <path d="M2 164h276" strokeWidth="2.5" />
    </svg>
  );
}

/** More arrows, further in, the wider it is open. */
function Air({ open }: { open: number }) {
  const lines = Math.max(1, Math.round(open * 4));
  return (
    <g stroke="var(--water)" strokeWidth="2">
      {Array.from({ length: lines }, (_, i) => {
        const y = TOP + SASH - 8 - i * 14;
        const reach = 20 + open * 46 - i * 6;
        return (
          <path
            key={i}
            d={`M214 ${y}q-${reach / 2}-8-${reach} 0t-${reach / 2} 0m5-4-5 4 5 4`}
            style={{ stroke: "var(--copper)", opacity: 0.35 + 0.5 * open }}
          />
        );
      })}
    </g>
  );
}

function People({ loudness }: { loudness: number }) {
  const waves = Math.round(loudness * 3);
  return (
    <g>
      <path d="M58 164v-30h44v30M50 134h60" />
      <path d="M36 164v-26q0-12 10-12M46 126a8 8 0 1 0-.1 0M124 164v-26q0-12-10-12M114 126a8 8 0 1 0-.1 0" />
      <path d="M72 134v-8h10v8M82 128h3a2 2 0 0 1 0 5h-3" className="fine" />
      {Array.from({ length: waves }, (_, i) => (
        <path key={i} className="fine" d={`M${128 + i * 7} ${108 - i * 3}q6 8 0 ${18 + i * 6}`} />
      ))}
    </g>
  );
}

function Thermometer({ celsius }: { celsius: number | null }) {
  // 10 to 35 degrees over the tube
  const part = celsius === null ? 0 : Math.min(1, Math.max(0, (celsius - 10) / 25));
  return (
    <g>
      <path className="steel" d="M24 40a5 5 0 0 1 10 0v44a8 8 0 1 1-10 0z" />
      {celsius !== null && (
        <path className="no-line" fill="var(--copper)" d={`M27 ${(86 - part * 44).toFixed(1)}h4V86a5 5 0 1 1-4 0z`} />
      )}
    </g>
  );
}
