import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../design/Button";
import { t } from "../../i18n";
import { kindsQuery } from "../../lib/queries";
import { useRights } from "../../lib/session";
import { useNow } from "../../lib/time";
import type { Machine } from "../../lib/types";
import { BrewDialog } from "./brew/BrewDialog";
import { whyNotOrder } from "./brew/whyNot";
import { nameOf } from "./condition";

interface Props {
  machine: Machine;
  tone?: "primary" | "plain";
  /** Somebody came to order: the form is open, unless the machine cannot be asked now. */
  begin?: boolean;
}

/** Opens the form of what this machine can be asked for. */
export function OrderButton({ machine, tone = "primary", begin = false }: Props) {
  const { data: kinds } = useQuery(kindsQuery);
  const rights = useRights();
  const now = useNow();
  const why = whyNotOrder(machine, rights, now);
  const [open, setOpen] = useState(begin && why === undefined);
  const command = kinds?.find((kind) => kind.kind === machine.kind)?.commands[0]?.command ?? "brew";
  const word = t.commandWord(command);
  return (
    <>
      <Button
        tone={tone}
        why={why}
        aria-haspopup="dialog"
        aria-label={`${word}, ${nameOf(machine)}`}
        onClick={() => setOpen(true)}
      >
        {word}
      </Button>
      {open && <BrewDialog machine={machine} commandName={command} onClose={() => setOpen(false)} />}
    </>
  );
}
