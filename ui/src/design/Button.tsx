import { useCallback, useEffect, useId, useRef, useState, type ComponentProps, type ReactNode } from "react";
import { t } from "../i18n";
import { announce } from "./announce";

type Tone = "primary" | "plain" | "quiet" | "stop";

interface Common {
  tone?: Tone;
  /** Why it cannot be pressed now, in words. Its presence is what disables the button. */
  why?: string | undefined;
  busy?: boolean;
  children: ReactNode;
}

type ButtonProps = Common & Omit<ComponentProps<"button">, "disabled" | "aria-disabled">;

/** Stays in the tab order when disabled, so that the reason beside it can be found and read. */
export function Button({ tone = "plain", why, busy = false, children, onClick, className = "", ...rest }: ButtonProps) {
  const whyId = useId();
  const off = why !== undefined || busy;
  const button = (
    <button
      type="button"
      {...rest}
      className={`button button--${tone} ${className}`}
      aria-disabled={off || undefined}
      aria-describedby={why ? whyId : rest["aria-describedby"]}
      onClick={(event) => {
        if (off) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {busy ? t.common.working : children}
    </button>
  );
  return why ? (
    <WithWhy id={whyId} why={why}>
      {button}
    </WithWhy>
  ) : (
    button
  );
}

function WithWhy({ id, why, children }: { id: string; why: string; children: ReactNode }) {
  return (
    <span className="inline-flex flex-wrap items-center gap-x-3 gap-y-1">
      {children}
      <span id={id} className="text-note text-espresso-soft">
        {why}
      </span>
    </span>
  );
}

export const HOLD_MS = 600;
const CONFIRM_MS = 5_000;

type HoldProps = Common & {
  tone?: "primary" | "plain";
  onHeld: () => void;
  className?: string;
  "aria-describedby"?: string;
};

/**
 * For what moves metal: pressed for HOLD_MS by pointer or by Space or Enter. Let go before, and nothing is sent.
 * Assistive technology that can only click is asked to click twice.
 */
export function HoldButton({
  tone = "primary",
  why,
  busy = false,
  children,
  onHeld,
  className = "",
  ...rest
}: HoldProps) {
  const whyId = useId();
  const hintId = useId();
  const button = useRef<HTMLButtonElement>(null);
  const timers = useRef<{
    fire?: ReturnType<typeof setTimeout>;
    frame?: number;
    confirm?: ReturnType<typeof setTimeout>;
  }>({});
  const held = useRef(onHeld);
  const [hint, setHint] = useState<"rest" | "early" | "confirm">("rest");
  const off = why !== undefined || busy;

  useEffect(() => {
    held.current = onHeld;
  });

  const show = (part: number) => button.current?.style.setProperty("--held", part.toFixed(3));

  const stop = useCallback(() => {
    const pressed = timers.current.fire !== undefined;
    clearTimeout(timers.current.fire);
    if (timers.current.frame !== undefined) cancelAnimationFrame(timers.current.frame);
    delete timers.current.fire;
    delete timers.current.frame;
    show(0);
    return pressed;
  }, []);

  useEffect(() => {
    const running = timers.current;
    return () => {
      stop();
      clearTimeout(running.confirm);
    };
  }, [stop]);

  const fire = () => {
    stop();
    clearTimeout(timers.current.confirm);
    setHint("rest");
    held.current();
  };

  const start = () => {
    if (off || timers.current.fire !== undefined) return;
    const from = performance.now();
    timers.current.fire = setTimeout(fire, HOLD_MS);
    const grow = () => {
      show(Math.min(1, (performance.now() - from) / HOLD_MS));
      timers.current.frame = requestAnimationFrame(grow);
    };
    grow();
  };

  const release = () => {
    if (!stop()) return;
    setHint("early");
    announce(t.hold.early);
  };

  const clickedOnly = () => {
    if (off) return;
    if (hint === "confirm") {
      fire();
      return;
    }
    setHint("confirm");
    announce(t.hold.confirm);
    timers.current.confirm = setTimeout(() => setHint("rest"), CONFIRM_MS);
  };

  const isPress = (key: string) => key === " " || key === "Enter";
  const note = hint === "early" ? t.hold.early : hint === "confirm" ? t.hold.confirm : t.hold.hint;
  return (
    <span className={`inline-flex flex-col gap-1 ${className}`}>
      <button
        ref={button}
        type="button"
        className={`button button--${tone} hold hold--${tone}`}
        aria-disabled={off || undefined}
        aria-describedby={[why ? whyId : hintId, rest["aria-describedby"]].filter(Boolean).join(" ")}
        onPointerDown={(event) => event.button === 0 && start()}
        onPointerUp={release}
        onPointerLeave={release}
        onPointerCancel={release}
        onBlur={release}
        onContextMenu={(event) => event.preventDefault()}
        onKeyDown={(event) => {
          if (!isPress(event.key)) return;
          event.preventDefault();
          if (!event.repeat) start();
        }}
        onKeyUp={(event) => {
          if (!isPress(event.key)) return;
          event.preventDefault();
          release();
        }}
        onClick={(event) => event.detail === 0 && clickedOnly()}
      >
        <span className="hold__fill" aria-hidden="true" />
        <span className="hold__label">{busy ? t.common.working : hint === "confirm" ? t.hold.confirm : children}</span>
      </button>
      {why ? (
        <span id={whyId} className="text-note text-espresso-soft">
          {why}
        </span>
      ) : (
        <span id={hintId} className={`text-note ${hint === "early" ? "text-waiting" : "text-espresso-soft"}`}>
          {note}
        </span>
      )}
    </span>
  );
}
