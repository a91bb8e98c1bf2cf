import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../design/Button";
import { Dialog } from "../../design/Dialog";
import { Select, TextField } from "../../design/Field";
import { Secret } from "../../design/Secret";
import { ProblemNote } from "../../design/States";
import { useAction } from "../../design/useAction";
import { t } from "../../i18n";
import { Problem, call } from "../../lib/api";
import { kindsQuery, learnMachine, queryClient } from "../../lib/queries";
import type { Machine } from "../../lib/types";

/** A new machine; its token is shown here and never again. */
export function AddMachineDialog({ onClose }: { onClose: () => void }) {
  const { data: kinds } = useQuery(kindsQuery);
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const [kind, setKind] = useState("espresso");
  const add = useAction(
    () =>
      call<{ machine: Machine; token: string }>("POST", "/api/machines", {
        body: { machine_id: id.trim(), kind, ...(name.trim() ? { name: name.trim() } : {}) },
      }),
    ({ machine }) => {
      learnMachine(queryClient, machine);
      return t.machine.added(machine.machine_id);
    },
    true,
  );
  const refusal = add.error instanceof Problem ? add.error : undefined;
  return (
    <Dialog
      open
      onClose={onClose}
      title={t.machine.addTitle}
      footer={
        add.data ? (
          <Button tone="primary" onClick={onClose}>
            {t.common.close}
          </Button>
        ) : (
          <Button
            tone="primary"
            busy={add.isPending}
            why={id.trim() ? undefined : t.why.needs(t.machine.addId.toLowerCase())}
            onClick={() => add.mutate(undefined)}
          >
            {t.machine.add}
          </Button>
        )
      }
    >
      {add.data ? (
        <Secret
          label={t.machine.added(add.data.machine.machine_id)}
          value={add.data.token}
          note={t.machine.tokenOnce}
        />
      ) : (
        <>
          <TextField
            label={t.machine.addId}
            hint={t.machine.addIdHint}
            value={id}
            onText={setId}
            autoComplete="off"
            spellCheck={false}
            maxLength={64}
            fault={refusal?.field === "machine_id" ? refusal.detail : undefined}
          />
          <TextField
            label={`${t.machine.addName} (${t.common.optional})`}
            value={name}
            onText={setName}
            maxLength={80}
          />
          <Select
            label={t.machine.addKind}
            value={kind}
            onValue={setKind}
            options={(kinds ?? []).map((one) => ({ value: one.kind, label: t.kindName(one.kind) }))}
          />
          {add.error && refusal?.field !== "machine_id" && <ProblemNote error={add.error} />}
        </>
      )}
    </Dialog>
  );
}
