import { useMutation, useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useLocation } from "wouter";
import { announce } from "../../../design/announce";
import { HoldButton } from "../../../design/Button";
import { Dialog } from "../../../design/Dialog";
import { LimitField } from "../../../design/Field";
import { ErrorState, ProblemNote, Skeleton } from "../../../design/States";
import { toast } from "../../../design/Toast";
import { t } from "../../../i18n";
import { PressKey, Problem, asProblem, call } from "../../../lib/api";
import { formatNumber } from "../../../lib/number";
import { kindsQuery, queryClient } from "../../../lib/queries";
import type { JsonObject, Kind, KindCommand, Limit, Machine } from "../../../lib/types";
import { bareField, formLimits, modelRefusesVertuo, nameOf, numberIn, textIn } from "../condition";
import { CapsuleChoice, capsuleKey } from "./CapsuleChoice";
import { faultyFields, firstDraft, recipeFrom, textOf, typed, untyped, type Draft } from "./recipe";

interface Props {
  machine: Machine;
  commandName: string;
  onClose: () => void;
  /** An earlier recipe to begin with. */
  again?: JsonObject | undefined;
}

export function BrewDialog({ machine, commandName, onClose, again }: Props) {
  const kinds = useQuery(kindsQuery);
  const kind = kinds.data?.find((one) => one.kind === machine.kind);
  const command = kind?.commands.find((one) => one.command === commandName);
  const title =
    commandName === "brew"
      ? t.brew.title(nameOf(machine))
      : t.brew.orderTitle(t.commandWord(commandName), nameOf(machine));
  if (kind && command)
    return <OrderForm machine={machine} kind={kind} command={command} title={title} onClose={onClose} again={again} />;
  return (
    <Dialog open onClose={onClose} title={title}>
      {kinds.isPending ? (
        <Skeleton lines={4} />
      ) : (
        <ErrorState
          what={t.commandWord(commandName)}
          error={kinds.error ?? new Problem(-1, "no_kind", t.why.noKind, t.why.noKind)}
          onRetry={() => void kinds.refetch()}
        />
      )}
    </Dialog>
  );
}

interface FormProps {
  machine: Machine;
  kind: Kind;
  command: KindCommand;
  title: string;
  onClose: () => void;
  again?: JsonObject | undefined;
}

function draftFrom(kind: Kind, again: JsonObject | undefined): Draft {
  const capsules = kind.capsules ?? [];
  const type = textIn(again, "capsule_type");
  const variant = textIn(again, "capsule_variant");
  const capsule =
    capsules.find((one) => one.capsule_type === type && one.variant === variant) ??
    capsules.find((one) => one.variant === "espresso") ??
    capsules[0];
  let draft = firstDraft(capsule);
  for (const [field, value] of Object.entries(again ?? {})) {
    if (typeof value === "number") draft = typed(draft, field, String(value));
  }
  return draft;
}

function OrderForm({ machine, kind, command, title, onClose, again }: FormProps) {
  const [, navigate] = useLocation();
  const [draft, setDraft] = useState(() => draftFrom(kind, again));
  const [tried, setTried] = useState(false);
  const [key] = useState(() => new PressKey());
  const fieldsBox = useRef<HTMLDivElement>(null);
  const isBrew = command.command === "brew";
  const limits = formLimits(command.limits, draft.capsule?.capsule_type);
  const recipe = recipeFrom(draft, limits);

  const order = useMutation({
    mutationFn: async (payload: JsonObject) => {
      const body = {
        machine_id: machine.machine_id,
        ...(isBrew ? { recipe: payload } : { command: command.command, payload }),
        execute_allowed: !draft.forApproval,
      };
      return call<{ command_id: number }>("POST", "/api/commands/create", { body, idempotencyKey: key.for(body) });
    },
    onSuccess: ({ command_id }) => {
      key.answered();
      const text = isBrew
        ? t.brew.ordered(command_id)
        : t.brew.orderedGeneric(t.commandWord(command.command), command_id);
      toast(text);
      announce(text);
      void queryClient.invalidateQueries({ queryKey: ["commands"] });
      onClose();
      navigate(`/commands/${command_id}`);
    },
    onError: (error) => {
      // No answer, or a server at its end, may still have ordered: the same press is asked again under the same key.
      const problem = asProblem(error);
      if (!problem.offline && problem.status < 500) key.answered();
    },
  });

  const refusal = order.error instanceof Problem && order.error.field ? order.error : undefined;
  const refusedField = refusal?.field ? bareField(refusal.field) : undefined;
  const fieldShown = limits.some((limit) => limit.field === refusedField);
  const bad = faultyFields(draft, limits);
  const change = (next: Draft) => {
    setDraft(next);
    if (order.isError) order.reset();
  };

  const press = () => {
    setTried(true);
    if (recipe) order.mutate(recipe);
    else fieldsBox.current?.querySelector<HTMLInputElement>("[aria-invalid]")?.focus();
  };

  return (
    <Dialog
      open
      onClose={onClose}
      title={title}
      width={600}
      footer={
        <div className="flex flex-col gap-3">
          <WhatWillHappen machine={machine} kind={kind} command={command} draft={draft} recipe={recipe} />
          {order.error && !fieldShown && (
            <ProblemNote error={order.error}>{asProblem(order.error).offline && <p>{t.brew.lost}</p>}</ProblemNote>
          )}
          <HoldButton
            onHeld={press}
            busy={order.isPending}
            why={
              bad.length > 0
                ? t.why.fields(bad.map((limit) => t.reading(limit.field).toLowerCase()).join(t.common.and))
                : undefined
            }
          >
            {draft.forApproval
              ? t.brew.pressHeld
              : isBrew
                ? t.brew.press
                : t.brew.pressGeneric(t.commandWord(command.command))}
          </HoldButton>
        </div>
      }
    >
      {(kind.capsules?.length ?? 0) > 0 && isBrew && (
        <CapsuleChoice
          capsules={kind.capsules ?? []}
          value={draft.capsule ? capsuleKey(draft.capsule) : ""}
          onValue={(capsule) => change({ ...draft, capsule })}
          refused={{ vertuo: modelRefusesVertuo(machine) ? t.why.vertuo : undefined }}
        />
      )}
      <div ref={fieldsBox} className="grid gap-5 sm:grid-cols-3">
        {limits.map((limit) => (
          <LimitField
            // A capsule of the other system has another range: the field starts afresh, the text stays.
            key={`${limit.field}/${limit.capsule_type ?? ""}`}
            label={t.reading(limit.field)}
            limit={limit}
            text={textOf(draft, limit)}
            onText={(text) => change(typed(draft, limit.field, text))}
            eager={tried || draft.touched.has(limit.field)}
            refusal={refusedField === limit.field ? refusal?.detail : undefined}
            mark={limit.field === "volume_ml" ? draft.capsule?.volume_ml : undefined}
          />
        ))}
      </div>
      <VolumeGuidance
        draft={draft}
        limits={limits}
        recipe={recipe}
        onReset={() => change(untyped(draft, "volume_ml"))}
      />
      <label className="flex min-h-11 items-start gap-3">
        <input
          type="checkbox"
          className="mt-0.5 size-5 accent-copper"
          checked={draft.forApproval}
          onChange={(event) => change({ ...draft, forApproval: event.target.checked })}
        />
        <span>
          <span className="font-semibold">{t.brew.forApproval}</span>
          <span className="block text-note text-espresso-soft">{t.brew.forApprovalNote}</span>
        </span>
      </label>
    </Dialog>
  );
}

function VolumeGuidance({
  draft,
  limits,
  recipe,
  onReset,
}: {
  draft: Draft;
  limits: Limit[];
  recipe: JsonObject | null;
  onReset: () => void;
}) {
  const volume = numberIn(recipe, "volume_ml");
  const { capsule } = draft;
  if (!capsule || volume === null || volume === capsule.volume_ml || !limits.some((one) => one.field === "volume_ml"))
    return null;
  const ml = formatNumber(capsule.volume_ml);
  return (
    <p className="-mt-2 flex flex-wrap items-center gap-x-2 text-note text-waiting">
      {t.brew.differs(t.capsuleName(capsule.variant), ml)}
      <button type="button" className="button button--quiet" onClick={onReset}>
        {t.brew.reset(ml)}
      </button>
    </p>
  );
}

function WhatWillHappen({
  machine,
  kind,
  command,
  draft,
  recipe,
}: {
  machine: Machine;
  kind: Kind;
  command: KindCommand;
  draft: Draft;
  recipe: JsonObject | null;
}) {
  const lines: string[] = [];
  if (!recipe) lines.push(t.brew.incomplete);
  else if (command.command === "brew") {
    lines.push(
      t.brew.will(
        nameOf(machine),
        draft.capsule
          ? `${t.capsuleSystem(draft.capsule.capsule_type)} ${draft.capsule.variant.replaceAll("_", " ")}`
          : "",
        formatNumber(numberIn(recipe, "volume_ml") ?? 0, 1, false),
        formatNumber(numberIn(recipe, "temperature_c") ?? 0, 1, false),
      ),
    );
    if (!draft.forApproval) lines.push(t.brew.cup);
  } else lines.push(t.brew.willGeneric(nameOf(machine), t.commandWord(command.command)));
  if (recipe && draft.forApproval) lines.push(t.brew.willApproval);
  else if (recipe) {
    const before = machine.pending_count + (machine.running ? 1 : 0);
    if (before > 0) lines.push(t.brew.willWait(before));
    if (machine.hold.held) lines.push(t.brew.willHold);
    else if (!machine.online) lines.push(t.brew.willOffline(Math.round(kind.not_after_s / 60)));
  }
  return (
    <p className="text-body" aria-live="polite">
      <span className="sr-only">{t.brew.willHappen}: </span>
      {lines.join(" ")}
    </p>
  );
}
