import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../design/Button";
import { TextField } from "../../design/Field";
import { ErrorState, ProblemNote, Section, Skeleton } from "../../design/States";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { call } from "../../lib/api";
import { parseNumber } from "../../lib/number";
import { policyQuery, queryClient } from "../../lib/queries";
import { useRights } from "../../lib/session";
import type { RetentionPolicy } from "../../lib/types";

const FIELDS = ["raw_days", "minutes5_days", "hour_days", "day_days"] as const;
const DAYS_MAX = 36_500;

/** How long readings and their means are kept. */
export function Policy() {
  const policy = useQuery(policyQuery);
  return (
    <Section title={t.climate.policy}>
      {policy.isPending ? (
        <Skeleton lines={2} />
      ) : policy.data ? (
        <Form policy={policy.data} />
      ) : (
        <ErrorState what={t.climate.policy} error={policy.error} onRetry={() => void policy.refetch()} />
      )}
    </Section>
  );
}

function daysFault(text: string): string | undefined {
  const value = parseNumber(text);
  if (value === null) return t.field.notNumber;
  if (!Number.isInteger(value)) return t.field.integer;
  if (value < 0) return t.field.low("0", "d");
  return value > DAYS_MAX ? t.field.high(String(DAYS_MAX), "d") : undefined;
}

function Form({ policy }: { policy: RetentionPolicy }) {
  const rights = useRights();
  const [typed, setTyped] = useState<Partial<Record<(typeof FIELDS)[number], string>>>({});
  const save = useAction(
    async (next: RetentionPolicy) => {
      await call("PUT", "/api/telemetry/policy", { body: next });
      await queryClient.invalidateQueries({ queryKey: ["policy"] });
    },
    () => {
      setTyped({});
      return t.climate.policySaved;
    },
    true,
  );
  const text = (field: (typeof FIELDS)[number]) => typed[field] ?? String(policy[field]);
  const changed = FIELDS.some((field) => text(field) !== String(policy[field]));
  const bad = FIELDS.filter((field) => daysFault(text(field)));
  const send = () =>
    save.mutate(Object.fromEntries(FIELDS.map((field) => [field, parseNumber(text(field)) ?? 0])) as never);
  return (
    <div className="flex flex-col gap-4">
      <p className="text-espresso-soft">{t.climate.policyNote}</p>
      <div className="grid grid-cols-2 gap-4">
        {FIELDS.map((field) => (
          <TextField
            key={field}
            label={t.climate.policyFields[field] ?? field}
            inputMode="numeric"
            value={text(field)}
            fault={daysFault(text(field))}
            readOnly={!rights.admin}
            onText={(next) => setTyped({ ...typed, [field]: next })}
          />
        ))}
      </div>
      {save.error && <ProblemNote error={save.error} />}
      {!rights.admin ? (
        <p className="text-note text-espresso-soft">{t.why.admin}</p>
      ) : (
        changed && (
          <div>
            <Button
              tone="primary"
              busy={save.isPending}
              why={
                bad.length > 0 ? t.why.fields(bad.map((field) => t.climate.policyFields[field]).join(", ")) : undefined
              }
              onClick={send}
            >
              {t.common.save}
            </Button>
          </div>
        )
      )}
    </div>
  );
}
