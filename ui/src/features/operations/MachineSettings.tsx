import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../design/Button";
import { TextArea, TextField } from "../../design/Field";
import { Secret } from "../../design/Secret";
import { ErrorState, ProblemNote, Section } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { call } from "../../lib/api";
import { learnMachine, queryClient, tokensQuery } from "../../lib/queries";
import type { JsonObject, Machine } from "../../lib/types";
import { blockMachine } from "./actions";

/** What staff look up or change rarely: facts, configuration, credentials. */
export function MachineSettings({ machine, staff, admin }: { machine: Machine; staff: boolean; admin: boolean }) {
  return (
    <div className="grid items-start gap-10 md:grid-cols-2">
      <Section title={t.machine.facts}>
        <dl className="grid gap-x-8 gap-y-2 sm:grid-cols-[max-content_minmax(0,1fr)]">
          <Fact label={t.machine.fact.machine_id}>{machine.machine_id}</Fact>
          <Fact label={t.machine.fact.kind}>{t.kindName(machine.kind)}</Fact>
          <Fact label={t.machine.fact.firmware}>{machine.firmware ?? t.common.none}</Fact>
          <Fact label={t.machine.fact.boot_id}>{machine.boot_id ?? t.common.none}</Fact>
          <Fact label={t.machine.fact.journal_id}>{machine.journal_id ?? t.common.none}</Fact>
          <Fact label={t.machine.fact.created_at}>
            <TimeAgo at={machine.created_at} />
          </Fact>
          <Fact label={t.machine.fact.failures}>{machine.failures_in_row}</Fact>
        </dl>
        {staff && <Name machine={machine} />}
      </Section>
      {admin && <Tokens machine={machine} />}
      {staff && <Configuration machine={machine} />}
    </div>
  );
}

function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <>
      <dt className="text-espresso-soft">{label}</dt>
      <dd className="mb-1 break-all sm:mb-0">{children}</dd>
    </>
  );
}

function Configuration({ machine }: { machine: Machine }) {
  const path = `/api/machines/${encodeURIComponent(machine.machine_id)}`;
  return (
    <>
      <JsonForm
        title={t.machine.config}
        note={t.machine.configNote}
        value={machine.config ?? {}}
        saved={t.machine.configSaved}
        send={(config) => call("PUT", `${path}/config`, { body: config })}
        machineId={machine.machine_id}
      />
      <JsonForm
        title={t.machine.metadata}
        note={t.machine.metadataNote}
        value={machine.metadata ?? {}}
        saved={t.machine.metadataSaved}
        send={(metadata) => call("PATCH", path, { body: { metadata } })}
        machineId={machine.machine_id}
      />
    </>
  );
}

/** What it is called by people. */
function Name({ machine }: { machine: Machine }) {
  const [text, setText] = useState<string | null>(null);
  const save = useAction(
    async (name: string) => {
      learnAnswer(
        machine.machine_id,
        await call<MachineAnswer>("PATCH", `/api/machines/${encodeURIComponent(machine.machine_id)}`, {
          body: { name },
        }),
      );
      return name;
    },
    (name) => {
      setText(null);
      return t.machine.nameSaved(name);
    },
    true,
  );
  const changed = text !== null && text.trim() !== (machine.name ?? "");
  return (
    <div className="flex max-w-md flex-col gap-3">
      <TextField label={t.machine.rename} value={text ?? machine.name ?? ""} maxLength={128} onText={setText} />
      {save.error && <ProblemNote error={save.error} />}
      {changed && (
        <div>
          <Button tone="primary" busy={save.isPending} onClick={() => save.mutate(text.trim())}>
            {t.common.save}
          </Button>
        </div>
      )}
    </div>
  );
}

type MachineAnswer = Machine | { machine: Machine } | undefined;
type Answering = ReturnType<typeof call<MachineAnswer>>;

function learnAnswer(machineId: string, answer: MachineAnswer): void {
  if (answer && "machine_id" in answer) learnMachine(queryClient, answer);
  else if (answer && "machine" in answer) learnMachine(queryClient, answer.machine);
  else void queryClient.invalidateQueries({ queryKey: ["machine", machineId] });
}

interface JsonFormProps {
  title: string;
  note: string;
  value: JsonObject;
  saved: string;
  send: (value: JsonObject) => Answering;
  machineId: string;
}

/** A JSON object as text, checked while it is typed. */
function JsonForm({ title, note, value, saved, send, machineId }: JsonFormProps) {
  const current = JSON.stringify(value, null, 2);
  const [text, setText] = useState<string | null>(null);
  const save = useAction(
    async (next: JsonObject) => learnAnswer(machineId, await send(next)),
    () => {
      setText(null);
      return saved;
    },
    true,
  );
  const parsed = text === null ? null : parseConfig(text);
  return (
    <Section title={title}>
      <TextArea
        label={title}
        hideLabel
        hint={note}
        rows={Math.min(16, Math.max(4, current.split("\n").length))}
        spellCheck={false}
        value={text ?? current}
        onText={setText}
        fault={typeof parsed === "string" ? t.machine.configBad(parsed) : undefined}
      />
      {save.error && <ProblemNote error={save.error} />}
      {text !== null && text !== current && (
        <div className="flex flex-wrap gap-3">
          <Button
            tone="primary"
            busy={save.isPending}
            why={typeof parsed === "string" ? t.why.fields(title.toLowerCase()) : undefined}
            onClick={() => {
              if (parsed && typeof parsed !== "string") save.mutate(parsed);
            }}
          >
            {t.common.save}
          </Button>
          <Button onClick={() => setText(null)}>{t.common.cancel}</Button>
        </div>
      )}
    </Section>
  );
}

function parseConfig(text: string): JsonObject | string {
  try {
    const value = JSON.parse(text) as unknown;
    return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as JsonObject) : "{ … }";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function Tokens({ machine }: { machine: Machine }) {
  const id = machine.machine_id;
  const tokens = useQuery(tokensQuery(id));
  const path = `/api/machines/${encodeURIComponent(id)}/tokens`;
  const refresh = () => queryClient.invalidateQueries({ queryKey: tokensQuery(id).queryKey });
  const make = useAction(async () => {
    const made = await call<{ token_id: number; token: string }>("POST", path, { body: {} });
    await refresh();
    return made;
  });
  const revoke = useAction(
    async (tokenId: number | string) => {
      await call("DELETE", `${path}/${encodeURIComponent(tokenId)}`);
      await refresh();
    },
    () => t.machine.tokenRevoked,
  );
  const block = useAction(blockMachine);
  return (
    <Section title={t.machine.tokens}>
      <p className="max-w-[60ch] text-espresso-soft">{t.machine.tokensNote}</p>
      {make.data && <Secret label={t.account.tokenMade} value={make.data.token} note={t.machine.tokenOnce} />}
      {tokens.isError && (
        <ErrorState what={t.machine.tokens} error={tokens.error} onRetry={() => void tokens.refetch()} />
      )}
      {tokens.data?.length === 0 && <p>{t.machine.tokensNone}</p>}
      <ul className="flex flex-col">
        {tokens.data?.map((token) => (
          <li key={token.token_id} className="flex flex-wrap items-center gap-x-4 border-b border-hairline py-1">
            <span className="grow">
              #{token.token_id}{" "}
              <span className="text-espresso-soft">
                <TimeAgo at={token.created_at} />
                {" · "}
                {token.last_used_at ? (
                  <>
                    {t.machine.tokenUsed("")} <TimeAgo at={token.last_used_at} />
                  </>
                ) : (
                  t.machine.tokenUsed(t.common.never)
                )}
              </span>
            </span>
            <Button
              tone="quiet"
              aria-label={`${t.machine.tokenRevoke} #${token.token_id}`}
              onClick={() => revoke.mutate(token.token_id)}
            >
              {t.machine.tokenRevoke}
            </Button>
          </li>
        ))}
      </ul>
      <div className="flex flex-wrap gap-3">
        <Button busy={make.isPending} onClick={() => make.mutate(undefined)}>
          {t.machine.tokenMake}
        </Button>
        {machine.admission === "admitted" && (
          <Button tone="stop" busy={block.isPending} onClick={() => block.mutate(id)}>
            {t.machine.block}
          </Button>
        )}
      </div>
    </Section>
  );
}
