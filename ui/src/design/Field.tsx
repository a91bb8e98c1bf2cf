import { Minus, Plus } from "lucide-react";
import { useId, useState, type ComponentProps, type ReactNode } from "react";
import { t } from "../i18n";
import { formatNumber, parseNumber } from "../lib/number";
import type { Limit } from "../lib/types";
import { limitFault, limitNudge, unitSign } from "./limits";

/** Says what is wrong, and where; read out when it appears. */
export function FieldFault({ id, children }: { id: string; children: ReactNode }) {
  return (
    <p id={id} role="alert" className="flex gap-1.5 text-note font-semibold text-fault">
      <span aria-hidden="true">▲</span>
      {children}
    </p>
  );
}

interface LimitFieldProps {
  label: string;
  limit: Limit;
  text: string;
  onText: (text: string) => void;
  /** What the server said about this field, shown until the text changes. */
  refusal?: string | undefined;
  /** Show faults before the field was left once. */
  eager?: boolean;
  /** A value worth a mark on the scale. */
  mark?: number | undefined;
  children?: ReactNode;
}

/** A number between the server's own limits. What was typed stays as it was typed. */
export function LimitField({ label, limit, text, onText, refusal, eager = false, mark, children }: LimitFieldProps) {
  const id = useId();
  const [left, setLeft] = useState(false);
  const unit = limit.unit ? unitSign(limit.unit) : "";
  const fault = refusal ?? (left || eager ? limitFault(text, limit) : null);
  const value = parseNumber(text);
  const place = (at: number) => `${Math.min(100, Math.max(0, ((at - limit.min) / (limit.max - limit.min)) * 100))}%`;
  const nudge = (direction: 1 | -1) => onText(limitNudge(text, limit, direction));
  return (
    <div className="flex flex-col gap-1.5">
      <label htmlFor={id} className="font-semibold">
        {label}
      </label>
      <div className="flex">
        <button
          type="button"
          className="button button--plain rounded-r-none px-0"
          aria-label={t.field.less(label)}
          onClick={() => nudge(-1)}
        >
          <Minus size={16} aria-hidden="true" />
        </button>
        <div className="relative -mx-px min-w-0 grow focus-within:z-10">
          <input
            id={id}
            className="input rounded-none text-lead font-semibold"
            style={{ paddingRight: `${unit.length * 0.6 + 1.25}rem` }}
            inputMode="decimal"
            autoComplete="off"
            value={text}
            aria-invalid={fault ? true : undefined}
            aria-describedby={`${id}-range ${fault ? `${id}-fault` : ""}`}
            onChange={(event) => onText(event.target.value)}
            onBlur={() => setLeft(true)}
            onKeyDown={(event) => {
              if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
              event.preventDefault();
              nudge(event.key === "ArrowUp" ? 1 : -1);
            }}
          />
          <span
            className="pointer-events-none absolute inset-y-0 right-3 flex items-center text-espresso-soft"
            aria-hidden="true"
          >
            {unit}
          </span>
        </div>
        <button
          type="button"
          className="button button--plain rounded-l-none px-0"
          aria-label={t.field.moreOf(label)}
          onClick={() => nudge(1)}
        >
          <Plus size={16} aria-hidden="true" />
        </button>
      </div>
      <div aria-hidden="true" className="relative mx-1 h-2">
        <div className="absolute inset-x-0 top-1/2 h-px bg-edge" />
        {mark !== undefined && <div className="absolute top-0 h-2 w-px bg-espresso" style={{ left: place(mark) }} />}
        {value !== null && (
          <div
            className={`absolute top-1/2 size-2 -translate-x-1/2 -translate-y-1/2 rounded-full ${fault ? "bg-fault" : "bg-copper"}`}
            style={{ left: place(value) }}
          />
        )}
      </div>
      <p id={`${id}-range`} className="flex justify-between text-note text-espresso-soft">
        {t.field.range(formatNumber(limit.min, 2, false), formatNumber(limit.max, 2, false), unit)}
      </p>
      {fault && <FieldFault id={`${id}-fault`}>{fault}</FieldFault>}
      {children}
    </div>
  );
}

interface TextFieldProps extends Omit<ComponentProps<"input">, "onChange" | "id"> {
  label: string;
  value: string;
  onText: (text: string) => void;
  hint?: string;
  fault?: string | undefined;
}

export function TextField({ label, value, onText, hint, fault, ...rest }: TextFieldProps) {
  const id = useId();
  return (
    <div className="flex flex-col gap-1.5">
      <label htmlFor={id} className="font-semibold">
        {label}
      </label>
      <input
        {...rest}
        id={id}
        className="input"
        value={value}
        aria-invalid={fault ? true : undefined}
        aria-describedby={`${hint ? `${id}-hint` : ""} ${fault ? `${id}-fault` : ""}`.trim() || undefined}
        onChange={(event) => onText(event.target.value)}
      />
      {hint && (
        <p id={`${id}-hint`} className="text-note text-espresso-soft">
          {hint}
        </p>
      )}
      {fault && <FieldFault id={`${id}-fault`}>{fault}</FieldFault>}
    </div>
  );
}

interface TextAreaProps extends Omit<ComponentProps<"textarea">, "onChange" | "id"> {
  label: string;
  value: string;
  onText: (text: string) => void;
  hint?: string;
  fault?: string | undefined;
  hideLabel?: boolean;
}

export function TextArea({ label, value, onText, hint, fault, hideLabel = false, ...rest }: TextAreaProps) {
  const id = useId();
  return (
    <div className="flex flex-col gap-1.5">
      <label htmlFor={id} className={hideLabel ? "sr-only" : "font-semibold"}>
        {label}
      </label>
      <textarea
        rows={3}
        {...rest}
        id={id}
        className={`input ${rest.className ?? ""}`}
        value={value}
        aria-invalid={fault ? true : undefined}
        aria-describedby={`${hint ? `${id}-hint` : ""} ${fault ? `${id}-fault` : ""}`.trim() || undefined}
        onChange={(event) => onText(event.target.value)}
      />
      {hint && (
        <p id={`${id}-hint`} className="text-note text-espresso-soft">
          {hint}
        </p>
      )}
      {fault && <FieldFault id={`${id}-fault`}>{fault}</FieldFault>}
    </div>
  );
}

interface SelectProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  options: { value: string; label: string }[];
  hideLabel?: boolean;
}

/** The browser's own list: every device knows how to show it. */
export function Select({ label, value, onValue, options, hideLabel = false }: SelectProps) {
  const id = useId();
  return (
    <div className="flex flex-col gap-1.5">
      <label htmlFor={id} className={hideLabel ? "sr-only" : "font-semibold"}>
        {label}
      </label>
      <select id={id} className="input" value={value} onChange={(event) => onValue(event.target.value)}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  );
}
