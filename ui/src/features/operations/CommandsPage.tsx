import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "wouter";
import { Button } from "../../design/Button";
import { Select } from "../../design/Field";
import { EmptyState, ErrorState, Skeleton } from "../../design/States";
import { t } from "../../i18n";
import { commandsQuery, machinesQuery } from "../../lib/queries";
import { COMMAND_STATES } from "../../lib/types";
import { CommandList } from "./CommandRow";
import { nameOf } from "./condition";

/** The choice lives in the address, so that it can be sent to someone. */
export function CommandsPage() {
  const [params, setParams] = useSearchParams();
  const state = params.get("state") ?? "";
  const machineId = params.get("machine_id") ?? "";
  const { data: machines } = useQuery(machinesQuery);
  const commands = useInfiniteQuery(commandsQuery({ state: state || undefined, machine_id: machineId || undefined }));
  const items = commands.data?.pages.flatMap((page) => page.items) ?? [];
  const choose = (name: string, value: string) =>
    setParams((now) => {
      const next = new URLSearchParams(now);
      if (value) next.set(name, value);
      else next.delete(name);
      return next;
    });
  const chosen = state !== "" || machineId !== "";
  return (
    <div className="flex flex-col gap-6">
      <header>
        <h1 className="font-serif text-head font-medium md:text-display">{t.commands.title}</h1>
        <p className="text-espresso-soft">{t.commands.lead}</p>
      </header>
      <div className="grid grid-cols-2 gap-4 sm:flex sm:items-end">
        <Select
          label={t.commands.filterState}
          value={state}
          onValue={(value) => choose("state", value)}
          options={[
            { value: "", label: t.commands.any },
            ...COMMAND_STATES.map((value) => ({ value, label: t.state[value] })),
          ]}
        />
        <Select
          label={t.commands.filterMachine}
          value={machineId}
          onValue={(value) => choose("machine_id", value)}
          options={[
            { value: "", label: t.commands.any },
            ...(machines ?? []).map((machine) => ({ value: machine.machine_id, label: nameOf(machine) })),
          ]}
        />
        {chosen && (
          <Link href="/commands" className="button button--quiet">
            {t.commands.clear}
          </Link>
        )}
      </div>
      {commands.isPending ? (
        <Skeleton lines={6} height={48} />
      ) : commands.isError && items.length === 0 ? (
        <ErrorState what={t.commands.title} error={commands.error} onRetry={() => void commands.refetch()} />
      ) : items.length === 0 ? (
        <EmptyState title={t.commands.emptyTitle} note={chosen ? t.commands.emptyNote : t.commands.emptyAll} />
      ) : (
        <>
          <CommandList commands={items} label={t.commands.title} />
          <div className="flex items-center gap-4">
            {commands.hasNextPage && (
              <Button busy={commands.isFetchingNextPage} onClick={() => void commands.fetchNextPage()}>
                {t.common.more}
              </Button>
            )}
            <p className="text-note text-espresso-soft">{t.commands.count(items.length, commands.hasNextPage)}</p>
          </div>
        </>
      )}
    </div>
  );
}
