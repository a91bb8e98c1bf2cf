import { useEffect, useId, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Button } from "../../../design/Button";
import { Provenance, type ProvenanceKind } from "../../../design/Provenance";
import { t } from "../../../i18n";
import { chartColumns, type CurveData } from "../../../lib/curves";
import { formatNumber } from "../../../lib/number";
import { useColourScheme } from "../../../lib/theme";

/** Column, decimals, and the scale it is drawn on unless the numbers need more. */
const KNOWN_ROWS = [
  { name: "position", digits: 1, low: 0, high: 100 },
  { name: "temperature_c", digits: 1, low: 20, high: 100 },
  { name: "pressure_bar", digits: 1, low: 0, high: 12 },
  { name: "flow_ml_s", digits: 2, low: 0, high: 3 },
  { name: "volume_ml", digits: 1, low: 0, high: 50 },
  { name: "current_a", digits: 2, low: 0, high: 1 },
] as const;

type Row = (typeof KNOWN_ROWS)[number];

interface Props {
  curve: CurveData;
  targets: Partial<Record<Row["name"], number>>;
  provenance: ProvenanceKind | null;
}

/** Five curves over one time, sharing cursor and zoom; the same numbers as a table under T. */
export default function Curves({ curve, targets, provenance }: Props) {
  const [asTable, setAsTable] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const [zoomed, setZoomed] = useState(false);
  const plots = useRef(new Map<string, uPlot>());
  const panel = useRef<HTMLDivElement>(null);
  const byKey = useRef(false);
  const syncKey = useId();
  const rows = useMemo(() => KNOWN_ROWS.filter((row) => curve.columns.includes(row.name)), [curve.columns]);
  const columns = useMemo(
    () =>
      chartColumns(
        curve,
        rows.map((row) => row.name),
      ),
    [curve, rows],
  );
  const times = columns[0] ?? [];
  const shown = at !== null && at < times.length ? at : times.length - 1;
  const value = (index: number): number | null => columns[index + 1]?.[shown] ?? null;

  const point = (index: number | null) => {
    for (const plot of plots.current.values()) {
      const x = index === null ? undefined : times[index];
      plot.setCursor(
        { left: x === undefined || x === null ? -10 : plot.valToPos(x, "x"), top: plot.over.clientHeight / 2 },
        false,
      );
    }
    setAt(index);
  };

  const onKey = (event: React.KeyboardEvent) => {
    const step = event.shiftKey ? 10 : 1;
    const last = times.length - 1;
    const move: Record<string, number> = {
      ArrowLeft: Math.max(0, shown - step),
      ArrowRight: Math.min(last, shown + step),
      Home: 0,
      End: last,
    };
    const next = move[event.key];
    if ((event.key === "t" || event.key === "T") && !event.ctrlKey && !event.metaKey && !event.altKey) {
      byKey.current = true;
      setAsTable(!asTable);
    } else if (event.key === "Escape" && at !== null) point(null);
    else if (next !== undefined && !asTable) point(next);
    else return;
    event.preventDefault();
  };

  // The panel that had the focus is gone: the one in its place takes it, and the same key leads back.
  useEffect(() => {
    if (byKey.current) panel.current?.focus();
    byKey.current = false;
  }, [asTable]);

  const wholeCurve = () => {
    for (const plot of plots.current.values()) plot.setScale("x", fullRange(times));
    setZoomed(false);
  };

  const spoken =
    at === null
      ? ""
      : `${t.live.at(formatNumber(times[shown] ?? 0, 1))}: ${rows
          .map((row, i) => {
            const v = value(i);
            return `${t.reading(row.name)} ${v === null ? t.live.noValue : `${formatNumber(v, row.digits)} ${t.unit(row.name)}`}`;
          })
          .join(t.common.and)}`;

  return (
    <section aria-label={t.live.curves} className="flex flex-col gap-3" onKeyDown={onKey}>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-hairline pb-1">
        <h2 className="font-serif text-title font-medium">{t.live.curves}</h2>
        {provenance && <Provenance of={provenance} />}
        <span className="grow" />
        {zoomed && !asTable && (
          <Button tone="quiet" onClick={wholeCurve}>
            {t.live.resetZoom}
          </Button>
        )}
        <Button tone="quiet" aria-keyshortcuts="T" onClick={() => setAsTable(!asTable)}>
          {asTable ? t.live.chart : t.live.table}
        </Button>
      </div>
      {asTable ? (
        <NumberTable rows={rows} columns={columns} panel={panel} />
      ) : (
        <div
          ref={panel}
          role="group"
          tabIndex={0}
          aria-label={`${t.live.curves}. ${t.live.keys}`}
          className="flex flex-col gap-1"
          onBlur={() => point(null)}
        >
          {rows.map((row, index) => (
            <div key={row.name} className="grid grid-cols-1 items-start md:grid-cols-[9.5rem_minmax(0,1fr)]">
              <p className="flex items-baseline gap-x-2 md:flex-col md:pt-1">
                <span className="text-note text-espresso-soft">{t.reading(row.name)}</span>
                <span className="text-lead font-semibold">
                  {formatOr(value(index), row.digits)} <span className="font-normal">{t.unit(row.name)}</span>
                </span>
                {targets[row.name] !== undefined && (
                  <span className="text-note text-copper">
                    {t.live.targetValue(formatNumber(targets[row.name] ?? 0, 1, false))}
                  </span>
                )}
              </p>
              <Plot
                row={row}
                data={[times, columns[index + 1] ?? []]}
                target={targets[row.name]}
                steps={curve.steps}
                syncKey={syncKey}
                last={index === rows.length - 1}
                first={index === 0}
                zoomed={zoomed}
                onPlot={(plot) => {
                  if (plot) plots.current.set(row.name, plot);
                  else plots.current.delete(row.name);
                }}
                onPoint={setAt}
                onZoom={() => setZoomed(true)}
              />
            </div>
          ))}
          <p className="text-note text-espresso-soft">{t.live.keys}</p>
          <p className="sr-only" aria-live="polite">
            {spoken}
          </p>
        </div>
      )}
    </section>
  );
}

function formatOr(value: number | null, digits: number): string {
  return value === null ? "–" : formatNumber(value, digits);
}

function fullRange(times: (number | null)[]): { min: number; max: number } {
  return { min: 0, max: Math.max(8, (times.at(-1) ?? 0) * 1.02) };
}

interface PlotProps {
  row: Row;
  data: (number | null)[][];
  target: number | undefined;
  steps: { step: string; t_ms: number }[];
  syncKey: string;
  first: boolean;
  last: boolean;
  zoomed: boolean;
  onPlot: (plot: uPlot | null) => void;
  onPoint: (index: number | null) => void;
  onZoom: () => void;
}

function Plot(props: PlotProps) {
  const { row, data, target, syncKey, first, last, zoomed } = props;
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
    const made = makePlot(holder, row, { target, syncKey, first, last, latest });
    plot.current = made;
    latest.current.onPlot(made);
    const observer = new ResizeObserver(() => {
      made.setSize({ width: holder.clientWidth, height: made.height });
    });
    observer.observe(holder);
    return () => {
      observer.disconnect();
      latest.current.onPlot(null);
      made.destroy();
      plot.current = null;
    };
  }, [row, target, syncKey, first, last, scheme]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.setData(data as uPlot.AlignedData, false);
    // Changing a scale draws; while someone looks closely at a part the scale stays, so ask for it.
    if (zoomed) made.redraw(false, true);
    else made.setScale("x", fullRange(data[0] ?? []));
  }, [data, zoomed, scheme]);

  return <div ref={box} className="curve min-w-0" />;
}

interface PlotShape {
  target: number | undefined;
  syncKey: string;
  first: boolean;
  last: boolean;
  latest: React.RefObject<PlotProps>;
}

function makePlot(holder: HTMLElement, row: Row, shape: PlotShape): uPlot {
  const colour = colours(holder);
  const font = '12px "Source Sans 3 Variable", sans-serif';
  const axis: uPlot.Axis = {
    stroke: colour.soft,
    font,
    grid: { stroke: colour.hairline, width: 1 },
    ticks: { show: false },
  };
  const range = (_: uPlot, min: number | null, max: number | null): [number, number] => {
    const high = Math.max(row.high, (max ?? 0) * 1.08, (shape.target ?? 0) * 1.15);
    return [Math.min(row.low, min ?? row.low), high];
  };
  return new uPlot(
    {
      width: Math.max(200, holder.clientWidth),
      height: (shape.first ? 112 : 92) + (shape.last ? 24 : 0),
      padding: [shape.first ? 22 : 6, 12, 4, 0],
      cursor: {
        sync: { key: shape.syncKey, setSeries: false, scales: ["x", null] },
        drag: { x: true, y: false, dist: 6 },
        y: false,
        points: { size: 7 },
      },
      scales: { x: { time: false }, y: { range } },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: shape.last ? 26 : 0,
          values: shape.last ? (_, ticks) => ticks.map((s) => `${s} s`) : () => [],
        },
        { ...axis, size: 44, splits: (u) => splits(u.scales["y"]?.min ?? 0, u.scales["y"]?.max ?? 1) },
      ],
      series: [{}, { stroke: colour.ink, width: 1.75, spanGaps: false, points: { show: false } }],
      hooks: {
        drawClear: [(u) => drawBehind(u, shape, colour, font)],
        setCursor: [(u) => shape.latest.current.onPoint(u.cursor.idx ?? null)],
        setSelect: [(u) => u.select.width > 0 && shape.latest.current.onZoom()],
      },
      legend: { show: false },
    },
    [[], []],
    holder,
  );
}

/** Three round lines a chart are enough to read it by. */
function splits(min: number, max: number): number[] {
  const raw = (max - min) / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
  const out: number[] = [];
  for (let at = Math.ceil(min / step) * step; at <= max; at += step) out.push(Number(at.toFixed(6)));
  return out;
}

interface Colours {
  ink: string;
  soft: string;
  hairline: string;
  copper: string;
}

/** A canvas knows no custom properties: let the browser work them out. */
function colours(holder: HTMLElement): Colours {
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
    copper: read("--copper"),
  };
  probe.remove();
  return out;
}

/** Where each step began, and the recipe's target as a ghost. */
function drawBehind(u: uPlot, shape: PlotShape, colour: Colours, font: string): void {
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
  ctx.clip();
  ctx.font = font.replace("12px", `${12 * scale}px`);
  ctx.textBaseline = "top";
  ctx.textAlign = "left"; // the axes leave theirs behind
  ctx.lineWidth = scale;
  const steps = shape.latest.current.steps.map(({ step, t_ms }, i, all) => {
    const next = all[i + 1]?.t_ms ?? Infinity;
    return { step, lasted: next - t_ms, x: Math.round(u.valToPos(t_ms / 1000, "x", true)) };
  });
  ctx.strokeStyle = colour.hairline;
  for (const { x } of steps) {
    ctx.beginPath();
    ctx.moveTo(x, shape.first ? 0 : bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  if (shape.first) {
    // Where names crowd, the longer step has its name.
    ctx.fillStyle = colour.soft;
    const taken: [number, number][] = [];
    for (const { step, x } of [...steps].sort((a, b) => b.lasted - a.lasted)) {
      const word = t.step(step);
      const end = x + ctx.measureText(word).width + 10 * scale;
      if (end > bbox.left + bbox.width || x < bbox.left - 1 || taken.some(([from, to]) => x < to && end > from))
        continue;
      taken.push([x, end]);
      ctx.fillText(word, x + 4 * scale, 2 * scale);
    }
  }
  if (shape.target !== undefined) {
    const y = Math.round(u.valToPos(shape.target, "y", true));
    ctx.strokeStyle = colour.copper;
    ctx.setLineDash([5 * scale, 4 * scale]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

interface NumberTableProps {
  rows: readonly Row[];
  columns: (number | null)[][];
  panel: React.Ref<HTMLDivElement>;
}

function NumberTable({ rows, columns, panel }: NumberTableProps) {
  const times = columns[0] ?? [];
  return (
    <div ref={panel} className="max-h-128 overflow-auto" role="region" tabIndex={0} aria-label={t.live.table}>
      <table className="table text-right">
        <thead className="sticky top-0 bg-milk">
          <tr>
            <th scope="col" className="text-right">
              {t.live.t}
            </th>
            {rows.map((row) => (
              <th key={row.name} scope="col" className="text-right">
                {t.reading(row.name)} ({t.unit(row.name)})
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times.map((time, index) => (
            <tr key={time}>
              <th scope="row" className="text-right font-normal">
                {formatOr(time, 1)}
              </th>
              {rows.map((row, column) => (
                <td key={row.name} className="text-right">
                  {formatOr(columns[column + 1]?.[index] ?? null, row.digits)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
