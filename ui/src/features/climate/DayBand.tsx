import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Section } from "../../design/States";
import { t } from "../../i18n";
import { serverNow } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { seriesQuery } from "../../lib/queries";
import { nearest, seriesColumns, type Columns } from "../../lib/series";
import { useNow } from "../../lib/time";
import { comfortOf, type Comfort } from "./room";

const DAY_MS = 86_400_000;
const PIECES = 96; // quarters of an hour
const ENOUGH = 4;

const wash: Record<Comfort, string> = {
  good: "var(--ready-wash)",
  fair: "var(--waiting-wash)",
  poor: "var(--fault-wash)",
  unknown: "transparent",
};
const ink: Record<Comfort, string> = {
  good: "var(--ready)",
  fair: "var(--waiting)",
  poor: "var(--fault)",
  unknown: "var(--edge)",
};
// A height for each, so that comfort is not told by colour alone.
const height: Record<Comfort, number> = { good: 10, fair: 18, poor: 26, unknown: 3 };

/** The last day in one strip: how the room felt, and how far its window was open meanwhile. */
export function DayBand({ machineId }: { machineId: string }) {
  const quarter = Math.floor(useNow() / 900) * 900_000 + 900_000;
  const wanted = (type: string) => ({
    machine_id: machineId,
    type,
    from: new Date(quarter - DAY_MS).toISOString(),
    to: new Date(quarter).toISOString(),
    points: 500,
  });
  const temperature = useQuery({ ...seriesQuery(wanted("temperature")), placeholderData: keepPreviousData });
  const humidity = useQuery({ ...seriesQuery(wanted("humidity")), placeholderData: keepPreviousData });
  const position = useQuery({ ...seriesQuery(wanted("position")), placeholderData: keepPreviousData });
  const pieces = useMemo(
    () => cut(quarter, seriesColumns(temperature.data), seriesColumns(humidity.data), seriesColumns(position.data)),
    [quarter, temperature.data, humidity.data, position.data],
  );
  const known = pieces.filter((piece) => piece.comfort !== "unknown");
  if (known.length < ENOUGH)
    return (
      <Section title={t.climate.day}>
        <p className="text-espresso-soft">{t.climate.dayYoung(minutesSince(temperature.data?.rows[0]?.[0]))}</p>
      </Section>
    );
  const good = known.filter((piece) => piece.comfort === "good").length;
  const share = t.climate.dayShare(formatNumber((good / known.length) * 100));
  return (
    <Section title={t.climate.day}>
      <svg
        viewBox={`0 0 ${PIECES * 10} 100`}
        className="block h-28 w-full"
        preserveAspectRatio="none"
        role="img"
        aria-label={share}
      >
        {pieces.map((piece, i) => (
          <g key={i}>
            <rect x={i * 10} y="0" width="10" height="100" fill={wash[piece.comfort]} />
            <rect
              x={i * 10}
              y={100 - height[piece.comfort]}
              width="9"
              height={height[piece.comfort]}
              fill={ink[piece.comfort]}
            />
          </g>
        ))}
        <path
          d={line(pieces.map((piece) => piece.position))}
          fill="none"
          stroke="var(--copper)"
          strokeWidth="2"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
      <p className="flex justify-between text-note text-espresso-soft">
        <span>{clock(quarter - DAY_MS)}</span>
        <span>{clock(quarter - DAY_MS / 2)}</span>
        <span>{clock(Math.min(quarter, serverNow()))}</span>
      </p>
      <p className="flex flex-wrap gap-x-5 gap-y-1 text-note">
        {(["good", "fair", "poor", "unknown"] as const).map((one) => (
          <span key={one} className="flex items-center gap-1.5">
            <span className="inline-block w-2.5" style={{ height: height[one] * 0.6, background: ink[one] }} />
            {t.climate.comfort[one]}
          </span>
        ))}
      </p>
      <p>
        {share}. <span className="text-espresso-soft">{t.climate.dayNote}</span>
      </p>
    </Section>
  );
}

function minutesSince(ms: number | undefined): number {
  return ms === undefined ? 0 : Math.max(1, Math.floor((serverNow() - ms) / 60_000));
}

interface Piece {
  comfort: Comfort;
  position: number | null;
}

/** What was true in each quarter of an hour, from the reading nearest to its middle. */
function cut(endMs: number, temperature: Columns, humidity: Columns, position: Columns): Piece[] {
  const near = (columns: Columns, at: number): number | null => {
    const index = nearest(columns.at, at);
    const found = columns.at[index];
    return found !== undefined && Math.abs(found - at) <= 900 ? (columns.avg[index] ?? null) : null;
  };
  return Array.from({ length: PIECES }, (_, i) => {
    const at = (endMs - DAY_MS) / 1000 + (i + 0.5) * 900;
    return { comfort: comfortOf(near(temperature, at), near(humidity, at)), position: near(position, at) };
  });
}

/** A path with a new beginning after each gap. */
function line(values: (number | null)[]): string {
  let path = "";
  let before = false;
  values.forEach((value, i) => {
    if (value === null) before = false;
    else {
      path += `${before ? "L" : "M"}${i * 10 + 5} ${(92 - value * 0.84).toFixed(1)}`;
      before = true;
    }
  });
  return path;
}

function clock(ms: number): string {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(ms);
}
