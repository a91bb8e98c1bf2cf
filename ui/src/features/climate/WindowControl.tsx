import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button, HoldButton } from "../../design/Button";
import { LimitField } from "../../design/Field";
import { limitFault } from "../../design/limits";
import { ProblemNote, Section } from "../../design/States";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { PressKey, Problem, call } from "../../lib/api";
import { formatNumber, parseNumber } from "../../lib/number";
import { kindsQuery, learnCommand, queryClient } from "../../lib/queries";
import { useRights } from "../../lib/session";
import type { Command, Limit } from "../../lib/types";
import { nameOf, positionLimit, positionOf, whyNotMove, type Room } from "./room";

const PRESETS = [0, 10, 50, 100];

/** Where people move the window: a number from the server's own range, held for what it moves, stopped with one press. */
export function WindowControl({ room }: { room: Room }) {
  const kinds = useQuery(kindsQuery);
  const limit = positionLimit(kinds.data?.find((kind) => kind.kind === "window"));
  if (!limit) return null;
  return (
    <Section title={t.climate.control}>
      <Form room={room} limit={limit} />
    </Section>
  );
}

function Form({ room, limit }: { room: Room; limit: Limit }) {
  const { machine } = room;
  const rights = useRights();
  const now = positionOf(room);
  const [typed, setTyped] = useState<string | null>(null);
  const [press] = useState(() => new PressKey());
  const text = typed ?? formatNumber(now?.value ?? limit.preset, 0);
  const wanted = parseNumber(text);
  const fault = limitFault(text, limit);
  const move = useAction(
    async (position: number) => {
      const body = { machine_id: machine.machine_id, command: "set_position", payload: { position } };
      try {
        const made = await call<{ command_id: number }>("POST", "/api/commands/create", {
          body,
          idempotencyKey: press.for(body),
        });
        press.answered();
        return made.command_id;
      } catch (error) {
        if (error instanceof Problem && !error.offline) press.answered();
        throw error;
      }
    },
    (id) => {
      void queryClient.invalidateQueries({ queryKey: ["machines"] });
      return t.climate.ordered(id);
    },
    true,
  );
  const stop = useAction(
    async (id: number) => {
      const answer = await call<{ result: string; command: Command }>("POST", `/api/commands/${id}/cancel`, {
        body: {},
      });
      learnCommand(queryClient, answer.command);
    },
    () => t.climate.stopAsked,
  );
  const running = machine.running && machine.running.state === "running" ? machine.running : null;
  const why = whyNotMove(machine, rights.signedIn) ?? (fault ? t.climate.whyBadNumber : undefined);
  const percent = wanted === null ? "" : formatNumber(wanted);
  const there = now !== null && wanted !== null && Math.abs(now.value - wanted) < 0.5;
  return (
    <div className="flex max-w-md flex-col gap-4">
      <p className="text-espresso-soft">{t.climate.controlNote}</p>
      <input
        type="range"
        className="h-11 w-full accent-copper"
        aria-label={t.climate.position}
        min={limit.min}
        max={limit.max}
        step={1}
        value={wanted ?? limit.preset}
        onChange={(event) => setTyped(event.target.value)}
      />
      <div className="flex flex-wrap gap-2" role="group" aria-label={t.climate.position}>
        {PRESETS.map((preset) => (
          <Button key={preset} onClick={() => setTyped(String(preset))}>
            {t.climate.presets[preset]}
          </Button>
        ))}
      </div>
      <LimitField label={t.climate.position} limit={limit} text={text} onText={setTyped} mark={now?.value} />
      <p className="text-lead" id="window-will">
        {fault ? "" : there ? t.climate.willStay(percent) : t.climate.will(nameOf(machine), percent)}
      </p>
      {machine.hold.held && <p className="text-waiting">{t.climate.onHold}</p>}
      <div className="flex flex-wrap items-start gap-3">
        <HoldButton
          busy={move.isPending}
          why={why}
          aria-describedby="window-will"
          onHeld={() => wanted !== null && move.mutate(wanted)}
        >
          {t.climate.press(percent)}
        </HoldButton>
        {running && (
          <Button tone="stop" busy={stop.isPending} onClick={() => stop.mutate(running.command_id)}>
            {t.climate.stop}
          </Button>
        )}
      </div>
      {move.error && <ProblemNote error={move.error} />}
    </div>
  );
}
