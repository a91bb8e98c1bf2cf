import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Button } from "../../design/Button";
import { Provenance } from "../../design/Provenance";
import { Section } from "../../design/States";
import { t } from "../../i18n";
import { query, serverNow } from "../../lib/api";
import { formatNumber } from "../../lib/number";
import { saidQuery, seriesQuery } from "../../lib/queries";
import {
  RANGES_H,
  axisTimes,
  firstRange,
  nearest,
  seriesColumns,
  zoomSpan,
  type Columns,
  type Span,
} from "../../lib/series";
import { useColourScheme } from "../../lib/theme";
import { formatMoment, useNow } from "../../lib/time";
import type { ProvenanceWord, Series } from "../../lib/types";
import { nameOfType, unitOfType } from "./LiveValues";
import { DIGITS } from "./room";
import { saidNear, saidOf, solidity, type Said } from "./said";

const TYPES = ["temperature", "humidity", "sound_volume", "position"] as const;
const HOUR_MS = 3_600_000;
const POINTS = 600;

interface Props {
  machineId: string;
  /** How the window's own position is known. */
  provenance: ProvenanceWord | null;
}

/**
 * Four signals over one time, and beside the window's what the model said and what people set instead: drag or keys to
 * look closer, T for the numbers. The server chooses how fine.
 */
export default function History({ machineId, provenance }: Props) {
  const minute = Math.floor(useNow() / 60) * 60_000;
  const first = useFirstReading(machineId);
  const [chosen, setHours] = useState<number | null>(null);
  const hours = chosen ?? firstRange(first, minute);
  const [looked, setLooked] = useState<Span | null>(null); // null: the last `hours`, moving on with time
  const [at, setAt] = useState<number | null>(null); // seconds
  const [asTable, setAsTable] = useState(false);
  const span: Span = looked ?? { from: minute + 60_000 - hours * HOUR_MS, to: minute + 60_000 };
  const from = new Date(span.from).toISOString();
  const to = new Date(span.to).toISOString();
  const answers = useQueries({
    queries: TYPES.map((type) => ({
      ...seriesQuery({ machine_id: machineId, type, from, to, points: POINTS }),
      placeholderData: keepPreviousData,
    })),
  });
  const asked = useQuery({ ...saidQuery(machineId, from, to), placeholderData: keepPreviousData });
  const said = useMemo(() => saidOf(asked.data?.items ?? []), [asked.data]);
  const data = answers.map((answer) => answer.data);
  const columns = data.map(columnsOf);
  const longest = columns.reduce<number[]>((a, b) => (b.at.length > a.length ? b.at : a), []);

  const look = (next: Span) => {
    const end = serverNow() + 60_000;
    setLooked(next.to > end ? { from: next.from - (next.to - end), to: end } : next);
    setAt(null);
  };
  const step = (by: number) => {
    const index = at === null ? longest.length - 1 : nearest(longest, at);
    const next = longest[Math.min(longest.length - 1, Math.max(0, index + by))];
    if (next !== undefined) setAt(next);
  };
  const onKey = (event: React.KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pointed = at === null ? undefined : at * 1000;
    const keys: Record<string, () => void> = {
      ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      ArrowRight: () => step(event.shiftKey ? 10 : 1),
      Home: () => setAt(longest[0] ?? null),
      End: () => setAt(longest.at(-1) ?? null),
      "+": () => look(zoomSpan(span, 0.5, pointed)),
      "=": () => look(zoomSpan(span, 0.5, pointed)),
      "-": () => look(zoomSpan(span, 2, pointed)),
      t: () => setAsTable(!asTable),
      T: () => setAsTable(!asTable),
      Escape: () => setAt(null),
    };
    const run = keys[event.key];
    if (!run) return;
    run();
    event.preventDefault();
  };
  const width = span.to - span.from;
  return (
    <Section
      title={t.climate.history}
      action={
        <Button tone="quiet" aria-keyshortcuts="T" onClick={() => setAsTable(!asTable)}>
          {asTable ? t.live.chart : t.live.table}
        </Button>
      }
    >
      <div className="flex flex-wrap items-center gap-2">
        <div role="group" aria-label={t.climate.range} className="flex flex-wrap gap-1">
          {RANGES_H.map((range) => (
            <button
              key={range}
              type="button"
              className={`button ${!looked && hours === range ? "button--primary" : "button--plain"}`}
              aria-pressed={!looked && hours === range}
              onClick={() => {
                setHours(range);
                setLooked(null);
                setAt(null);
              }}
            >
              {t.climate.ranges[range]}
            </button>
          ))}
        </div>
        <Button tone="quiet" onClick={() => look({ from: span.from - width / 2, to: span.to - width / 2 })}>
          {t.climate.back}
        </Button>
        <Button tone="quiet" onClick={() => look({ from: span.from + width / 2, to: span.to + width / 2 })}>
          {t.climate.forward}
        </Button>
        <Button tone="quiet" onClick={() => look(zoomSpan(span, 0.5))}>
          {t.climate.zoomIn}
        </Button>
        <Button tone="quiet" onClick={() => look(zoomSpan(span, 2))}>
          {t.climate.zoomOut}
        </Button>
      </div>
      <p className="text-note text-espresso-soft">
        {formatMoment(from)} – {formatMoment(to)}
        {data[0] && `, ${t.climate.resolution(data[0].resolution)}, ${t.climate.band}`}
      </p>
      {asTable ? (
        <NumberTable data={data} columns={columns} said={said} onKey={onKey} />
      ) : (
        <div
          role="group"
          tabIndex={0}
          aria-label={`${t.climate.history}. ${t.climate.keys}`}
          className="flex flex-col gap-1"
          onKeyDown={onKey}
        >
          {TYPES.map((type, i) => (
            <Signal
              key={type}
              type={type}
              unit={data[i]?.unit ?? null}
              columns={columns[i] ?? nothing}
              span={span}
              at={at}
              said={type === "position" ? said : noneSaid}
              provenance={type === "position" ? provenance : null}
              last={i === TYPES.length - 1}
              more={data[i]?.more ?? false}
              onAt={setAt}
              onLook={look}
            />
          ))}
          {said.length > 0 && (
            <p className="text-note text-espresso-soft">
              {t.climate.saidNote}
              {asked.data?.next && ` ${t.climate.saidSome(said.length)}`}
            </p>
          )}
          <p className="text-note text-espresso-soft">{t.climate.keys}</p>
          <p className="sr-only" aria-live="polite">
            {at === null ? "" : spoken(at, columns, saidNear(said, at, width / 100_000))}
          </p>
        </div>
      )}
      <p className="flex flex-wrap gap-x-4">
        {TYPES.map((type) => (
          <a
            key={type}
            className="button button--quiet"
            href={`/api/telemetry/export${query({ machine_id: machineId, type, from, to })}`}
            download
          >
            {t.climate.exportCsv(nameOfType(type))}
          </a>
        ))}
      </p>
    </Section>
  );
}

/** The oldest reading of the last day, or undefined where that is not known. */
function useFirstReading(machineId: string): number | undefined {
  const [span] = useState(() => ({
    from: new Date(serverNow() - 24 * HOUR_MS).toISOString(),
    to: new Date(serverNow() + 60_000).toISOString(),
  }));
  const day = useQuery(seriesQuery({ machine_id: machineId, type: "temperature", ...span, points: POINTS }));
  const at = day.data?.columns.indexOf("t_ms") ?? 0;
  return day.data?.rows[0]?.[at];
}

/** Worked out once for each answer: charts are only told of columns that are new. */
const worked = new WeakMap<Series, Columns>();
const nothing: Columns = { at: [], avg: [], min: [], max: [] };
const noneSaid: Said[] = [];

function columnsOf(series: Series | undefined): Columns {
  if (!series) return nothing;
  const known = worked.get(series);
  if (known) return known;
  const made = seriesColumns(series);
  worked.set(series, made);
  return made;
}

function valueAt(columns: Columns, at: number): number | null {
  const index = nearest(columns.at, at);
  return index < 0 ? null : (columns.avg[index] ?? null);
}

function saidText(one: Said): string {
  const text = t.climate.predictedAt(formatNumber(one.position), formatNumber(one.confidence, 2));
  return one.actual === null ? text : `${text}${t.common.and}${t.climate.personSet(formatNumber(one.actual))}`;
}

function spoken(at: number, columns: Columns[], said: Said | null): string {
  const parts = TYPES.map((type, i) => {
    const value = valueAt(columns[i] ?? nothing, at);
    return `${nameOfType(type)} ${value === null ? t.live.noValue : `${formatNumber(value, DIGITS[type] ?? 1)} ${unitOfType(type, null)}`}`;
  });
  if (said) parts.push(saidText(said));
  return `${formatMoment(new Date(at * 1000).toISOString())}: ${parts.join(t.common.and)}`;
}

interface SignalProps {
  type: (typeof TYPES)[number];
  unit: string | null;
  columns: Columns;
  span: Span;
  at: number | null;
  said: Said[];
  provenance: ProvenanceWord | null;
  last: boolean;
  more: boolean;
  onAt: (at: number | null) => void;
  onLook: (span: Span) => void;
}

function Signal(props: SignalProps) {
  const { type, unit, columns, span, at, said, provenance, last, more } = props;
  const shown = at ?? columns.at.at(-1);
  const value = shown === undefined ? null : valueAt(columns, shown);
  const guess = at === null ? said.at(-1) : saidNear(said, at, (span.to - span.from) / 100_000);
  return (
    <div className="grid grid-cols-1 items-start md:grid-cols-[9.5rem_minmax(0,1fr)]">
      <p className="flex flex-wrap items-baseline gap-x-2 pr-3 md:flex-col md:items-start md:pt-1">
        <span className="text-note text-espresso-soft">{nameOfType(type)}</span>
        <span className="text-lead font-semibold">
          {value === null ? "–" : formatNumber(value, DIGITS[type] ?? 1)}{" "}
          <span className="font-normal">{unitOfType(type, unit)}</span>
        </span>
        {provenance && <Provenance of={provenance} />}
        {guess && (
          <span className="flex flex-wrap items-baseline gap-x-2 md:mt-1">
            <span className="text-note text-copper">{saidText(guess)}</span>
            <Provenance of="predicted" />
          </span>
        )}
        {more && <span className="text-note text-waiting">{t.climate.tooMuch}</span>}
      </p>
      {columns.at.length === 0 && said.length === 0 ? (
        <p className="flex min-h-20 items-center text-espresso-soft">{t.climate.noData}</p>
      ) : (
        <Plot {...props} span={span} last={last} />
      )}
    </div>
  );
}

function Plot(props: SignalProps) {
  const { columns, span, at, last, type } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  const scheme = useColourScheme();

  useEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    const holder = box.current;
    if (!holder) return;
    const made = makePlot(holder, type, last, latest);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: holder.clientWidth, height: made.height }));
    observer.observe(holder);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [type, last, scheme]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    // What is drawn last lies on top: the mean, over the band between lowest and highest.
    made.setData([columns.at, columns.min, columns.max, columns.avg] as uPlot.AlignedData, false);
    made.setScale("x", { min: span.from / 1000, max: span.to / 1000 });
  }, [columns, span.from, span.to, scheme]);

  const { said } = props;
  useEffect(() => {
    plot.current?.redraw(false);
  }, [said, scheme]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.setCursor({ left: at === null ? -10 : made.valToPos(at, "x"), top: made.over.clientHeight / 2 }, false);
  }, [at, scheme, columns]);

  return <div ref={box} className="curve min-w-0" />;
}

/** A canvas knows no custom properties: let the browser work them out. */
function inks(holder: HTMLElement) {
  const probe = document.createElement("span");
  holder.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const out = {
    ink: read("--espresso"),
    soft: read("--espresso-soft"),
    hairline: read("--hairline"),
    wash: read("--crema"),
    copper: read("--copper"),
    ground: read("--milk"),
  };
  probe.remove();
  return out;
}

function makePlot(holder: HTMLElement, type: string, last: boolean, latest: React.RefObject<SignalProps>): uPlot {
  const colour = inks(holder);
  const font = '12px "Source Sans 3 Variable", sans-serif';
  const axis: uPlot.Axis = {
    stroke: colour.soft,
    font,
    grid: { stroke: colour.hairline, width: 1 },
    ticks: { show: false },
  };
  const range = (_: uPlot, min: number | null, max: number | null): [number, number] => {
    if (type === "position") return [0, 100];
    if (min === null || max === null) return [0, 1];
    const room = Math.max((max - min) * 0.12, 10 ** -(DIGITS[type] ?? 1));
    return [min - room, max + room];
  };
  const bound = { stroke: "transparent", width: 0, points: { show: false } };
  return new uPlot(
    {
      width: Math.max(200, holder.clientWidth),
      height: (type === "position" ? 150 : 104) + (last ? 26 : 0),
      padding: [8, 12, 4, 0],
      cursor: { drag: { x: true, y: false, dist: 6, setScale: false }, y: false, points: { size: 7 } },
      scales: { x: { time: true }, y: { range } },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: last ? 34 : 0,
          values: (_, splits, __, ___, stepS) => (last ? axisTimes(splits, stepS) : []),
        },
        { ...axis, size: 48 },
      ],
      series: [
        {},
        { ...bound, spanGaps: false },
        { ...bound, spanGaps: false },
        { stroke: colour.ink, width: 1.6, spanGaps: false, points: { show: false } },
      ],
      bands: [{ series: [2, 1], fill: colour.wash }],
      hooks: {
        draw: [(u) => drawSaid(u, latest.current.said, colour, font)],
        setCursor: [
          (u) => {
            const index = u.cursor.idx;
            const at = index === null || index === undefined ? undefined : u.data[0][index];
            // Only a hand on this plot speaks; what the others were told comes through `at`.
            if (u.cursor.event && at !== undefined && at !== latest.current.at) latest.current.onAt(at);
          },
        ],
        setSelect: [
          (u) => {
            if (u.select.width <= 0) return;
            const span = {
              from: u.posToVal(u.select.left, "x") * 1000,
              to: u.posToVal(u.select.left + u.select.width, "x") * 1000,
            };
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            latest.current.onLook(span);
          },
        ],
      },
      legend: { show: false },
    },
    [[], [], [], []],
    holder,
  );
}

/** A dot where the model would have had it; where a person set it otherwise, a diamond, and a line as long as the error. */
function drawSaid(u: uPlot, said: Said[], colour: ReturnType<typeof inks>, font: string): void {
  if (said.length === 0) return;
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  const place = (one: Said, value: number) => [u.valToPos(one.at, "x", true), u.valToPos(value, "y", true)] as const;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - 6 * scale, bbox.width, bbox.height + 12 * scale);
  ctx.clip();
  for (const one of said) {
    const [x, y] = place(one, one.position);
    ctx.globalAlpha = solidity(one.confidence);
    ctx.fillStyle = colour.copper;
    ctx.beginPath();
    ctx.arc(x, y, 3 * scale, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1.5 * scale;
  const set = said.filter((one) => one.actual !== null);
  for (const one of set) drawSet(ctx, place(one, one.position), place(one, one.actual ?? 0), colour, scale);
  const labelled = set.at(-1);
  if (labelled) {
    const [x, y] = place(labelled, labelled.actual ?? 0);
    ctx.font = font.replace("12px", `${12 * scale}px`);
    ctx.fillStyle = colour.ink;
    ctx.textBaseline = "middle";
    const left = x > bbox.left + bbox.width / 2;
    ctx.textAlign = left ? "right" : "left";
    ctx.lineWidth = 3 * scale;
    ctx.strokeStyle = colour.ground;
    const at = [x + (left ? -9 : 9) * scale, y] as const;
    ctx.strokeText(t.climate.setByPerson, ...at);
    ctx.fillText(t.climate.setByPerson, ...at);
  }
  ctx.restore();
}

type Place = readonly [number, number];

function drawSet(
  ctx: CanvasRenderingContext2D,
  from: Place,
  [x, y]: Place,
  colour: ReturnType<typeof inks>,
  scale: number,
): void {
  const r = 5 * scale;
  ctx.strokeStyle = colour.ink;
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(x, y);
  ctx.stroke();
  ctx.fillStyle = colour.ground;
  ctx.beginPath();
  ctx.moveTo(x, y - r);
  ctx.lineTo(x + r, y);
  ctx.lineTo(x, y + r);
  ctx.lineTo(x - r, y);
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

interface TableProps {
  data: (Series | undefined)[];
  columns: Columns[];
  said: Said[];
  onKey: (event: React.KeyboardEvent) => void;
}

/** The numbers of one signal after the other: their times need not agree. */
function NumberTable({ data, columns, said, onKey }: TableProps) {
  const [type, setType] = useState<number>(0);
  const guesses = type === TYPES.length;
  const shown = columns[type];
  const digits = DIGITS[TYPES[type] ?? ""] ?? 1;
  const unit = unitOfType(TYPES[type] ?? "", data[type]?.unit ?? null);
  return (
    <div className="flex flex-col gap-3">
      <div role="group" aria-label={t.climate.history} className="flex flex-wrap gap-1">
        {[...TYPES.map(nameOfType), t.provenance.predicted].map((name, i) => (
          <button
            key={name}
            type="button"
            className={`button ${i === type ? "button--primary" : "button--plain"}`}
            aria-pressed={i === type}
            onClick={() => setType(i)}
          >
            {name.charAt(0).toUpperCase() + name.slice(1)}
          </button>
        ))}
      </div>
      <div
        className="max-h-128 overflow-auto"
        role="region"
        tabIndex={0}
        aria-label={t.live.table}
        onKeyDown={(event) => (event.key === "t" || event.key === "T") && onKey(event)}
      >
        {guesses ? <SaidTable said={said} /> : <ReadingTable columns={shown} unit={unit} digits={digits} />}
        {(guesses ? said.length : (shown?.at.length ?? 0)) === 0 && (
          <p className="text-espresso-soft">{guesses ? t.climate.predictionsEmpty : t.climate.noData}</p>
        )}
      </div>
    </div>
  );
}

function ReadingTable({
  columns: shown,
  unit,
  digits,
}: {
  columns: Columns | undefined;
  unit: string;
  digits: number;
}) {
  return (
    <table className="table text-right">
      <thead className="sticky top-0 bg-milk">
        <tr>
          {[t.climate.at, t.climate.mean, t.climate.lowest, t.climate.highest].map((head, i) => (
            <th key={head} scope="col" className="text-right">
              {head} {i > 0 && unit ? `(${unit})` : ""}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {shown?.at.map((time, i) =>
          shown.avg[i] === null ? null : (
            <tr key={time}>
              <th scope="row" className="text-right font-normal whitespace-nowrap">
                {formatMoment(new Date(time * 1000).toISOString())}
              </th>
              {[shown.avg, shown.min, shown.max].map((column, j) => (
                <td key={j} className="text-right">
                  {formatNumber(column[i] ?? 0, digits)}
                </td>
              ))}
            </tr>
          ),
        )}
      </tbody>
    </table>
  );
}

function SaidTable({ said }: { said: Said[] }) {
  return (
    <table className="table text-right">
      <thead className="sticky top-0 bg-milk">
        <tr>
          {[t.climate.at, t.climate.table.said, t.climate.confidence, t.climate.table.person].map((head) => (
            <th key={head} scope="col" className="text-right">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {said.map((one, i) => (
          <tr key={i}>
            <th scope="row" className="text-right font-normal whitespace-nowrap">
              {formatMoment(new Date(one.at * 1000).toISOString())}
            </th>
            <td className="text-right">{formatNumber(one.position)} %</td>
            <td className="text-right">{formatNumber(one.confidence, 2)}</td>
            <td className="text-right">{one.actual === null ? "" : `${formatNumber(one.actual)} %`}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
