import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import { Dialog } from "../design/Dialog";
import { t } from "../i18n";
import { kindsQuery, machinesQuery } from "../lib/queries";
import { useRights } from "../lib/session";
import { setTheme } from "../lib/theme";
import type { Kind, Machine } from "../lib/types";

interface Entry {
  id: string;
  group: string;
  label: string;
  note?: string;
  run: () => void;
}

/** Everywhere one can go, by typing a part of its name. Loaded when it is first opened. */
export default function CommandMenu({ onClose }: { onClose: () => void }) {
  const [, navigate] = useLocation();
  const { data: machines } = useQuery(machinesQuery);
  const { data: kinds } = useQuery(kindsQuery);
  const { signedIn, staff } = useRights();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const listId = useId();
  const list = useRef<HTMLUListElement>(null);

  const entries = useMemo(() => {
    const go = (href: string) => () => navigate(href);
    const all: Entry[] = [
      { id: "floor", group: t.menu.pages, label: t.nav.floor, run: go("/operations") },
      { id: "climate", group: t.menu.pages, label: t.nav.climate, run: go("/climate") },
      { id: "commands", group: t.menu.pages, label: t.nav.commands, run: go("/commands") },
      { id: "held", group: t.menu.pages, label: `${t.nav.commands}: ${t.state.held}`, run: go("/commands?state=held") },
      {
        id: "unknown",
        group: t.menu.pages,
        label: `${t.nav.commands}: ${t.state.unknown}`,
        run: go("/commands?state=unknown"),
      },
      { id: "alerts", group: t.menu.pages, label: t.nav.alerts, run: go("/alerts") },
      { id: "audit", group: t.menu.pages, label: t.nav.audit, run: go("/audit") },
      { id: "account", group: t.menu.pages, label: t.nav.account, run: go("/account") },
      ...(machines ?? []).map((machine) => ({
        id: `machine-${machine.machine_id}`,
        group: t.menu.machines,
        label: machine.name ?? machine.machine_id,
        ...(machine.name ? { note: machine.machine_id } : {}),
        run: go(`/operations/machines/${encodeURIComponent(machine.machine_id)}`),
      })),
      ...(machines ?? []).filter(canAct).flatMap((machine) => actionsOn(machine, { signedIn, staff }, kinds, go)),
      {
        id: "light",
        group: t.menu.actions,
        label: t.menu.switchTheme(t.shell.themeLight),
        run: () => setTheme("light"),
      },
      { id: "dark", group: t.menu.actions, label: t.menu.switchTheme(t.shell.themeDark), run: () => setTheme("dark") },
      {
        id: "system",
        group: t.menu.actions,
        label: t.menu.switchTheme(t.shell.themeSystem),
        run: () => setTheme("system"),
      },
    ];
    const wanted = text.trim().toLowerCase();
    const number = /^#?(\d{1,15})$/.exec(wanted)?.[1];
    const found = all.filter((entry) => matches(`${entry.label} ${entry.note ?? ""}`.toLowerCase(), wanted));
    return number
      ? [
          {
            id: "number",
            group: t.menu.pages,
            label: t.menu.commandNumber(Number(number)),
            run: go(`/commands/${number}`),
          },
          ...found,
        ]
      : found;
  }, [machines, kinds, signedIn, staff, navigate, text]);

  const chosen = Math.min(at, entries.length - 1);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    entry.run();
  };

  return (
    <Dialog open onClose={onClose} title={t.menu.title}>
      <input
        className="input text-lead"
        role="combobox"
        aria-label={t.menu.title}
        aria-expanded="true"
        aria-controls={listId}
        aria-activedescendant={entries[chosen] ? `${listId}-${entries[chosen].id}` : undefined}
        autoFocus
        autoComplete="off"
        spellCheck={false}
        placeholder={t.menu.placeholder}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (step !== 0) setAt((chosen + step + entries.length) % Math.max(1, entries.length));
          else if (event.key === "Enter") run(entries[chosen]);
          else return;
          event.preventDefault();
        }}
      />
      <p className="sr-only" aria-live="polite">
        {t.menu.results(entries.length)}
      </p>
      <ul ref={list} id={listId} role="listbox" aria-label={t.menu.title} className="-mt-3 max-h-80 overflow-y-auto">
        {entries.map((entry, index) => (
          <li
            key={entry.id}
            id={`${listId}-${entry.id}`}
            role="option"
            aria-selected={index === chosen}
            className={`flex min-h-11 cursor-pointer items-baseline gap-3 rounded-s px-3 py-2.5 ${index === chosen ? "bg-copper-wash" : ""}`}
            onPointerMove={() => setAt(index)}
            onClick={() => run(entry)}
          >
            <span>{entry.label}</span>
            {entry.note && <span className="text-note text-espresso-soft">{entry.note}</span>}
            <span className="ml-auto text-note text-espresso-soft">{entry.group}</span>
          </li>
        ))}
        {entries.length === 0 && <li className="px-3 py-2.5 text-espresso-soft">{t.menu.none}</li>}
      </ul>
      <p className="text-note text-espresso-soft">{t.menu.hint}</p>
    </Dialog>
  );
}

function canAct(machine: Machine): boolean {
  return machine.admission === "admitted";
}

/** What can be begun with this machine: its page opens with the question already asked. Nothing moves from here. */
function actionsOn(
  machine: Machine,
  rights: { signedIn: boolean; staff: boolean },
  kinds: Kind[] | undefined,
  go: (href: string) => () => void,
): Entry[] {
  const name = machine.name ?? machine.machine_id;
  const page = `/operations/machines/${encodeURIComponent(machine.machine_id)}`;
  const command = kinds?.find((kind) => kind.kind === machine.kind)?.commands[0]?.command;
  const order: Entry[] =
    command && rights.signedIn
      ? [
          {
            id: `order-${machine.machine_id}`,
            group: t.menu.actions,
            label: t.menu.orderOn(t.commandWord(command), name),
            run: go(`${page}?do=order`),
          },
        ]
      : [];
  const hold: Entry[] =
    rights.staff && !machine.hold.held
      ? [
          {
            id: `hold-${machine.machine_id}`,
            group: t.menu.actions,
            label: t.menu.holdOn(name),
            run: go(`${page}?do=hold`),
          },
        ]
      : [];
  return [...order, ...hold];
}

/** Every word typed begins some word of the entry. */
function matches(entry: string, wanted: string): boolean {
  return wanted.split(/\s+/).every((word) => entry.includes(word));
}
