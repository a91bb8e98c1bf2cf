import { QueryClient, infiniteQueryOptions, queryOptions, type InfiniteData } from "@tanstack/react-query";
import { Problem, call, query, setCsrfToken } from "./api";
import { appendCurve, mergeCurve } from "./curves";
import type {
  Alert,
  AuditEntry,
  AuditVerdict,
  Climate,
  ClimateWindow,
  Command,
  Curve,
  HistoryEntry,
  Kind,
  LiveEvent,
  Machine,
  MachineToken,
  ModelErrorPoint,
  ModelInfo,
  Page,
  Prediction,
  Reading,
  Refusal,
  RetentionPolicy,
  Series,
  Session,
} from "./types";

/** What the page asks of the server, and how events change what it already knows. */

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000, // events keep it fresh, or link.ts asks again while there are none
      retry: (failures, error) => failures < 2 && error instanceof Problem && (error.offline || error.status >= 500),
      retryDelay: (attempt) => 400 * 2 ** attempt,
      // A browser's idea of "online" says nothing about a server on the same machine.
      networkMode: "always",
    },
    mutations: { networkMode: "always", retry: false },
  },
});

/** What events would keep fresh. Everything else changes rarely, or only by our own hand. */
const LIVE_KEYS = new Set<unknown>([
  "machines",
  "machine",
  "commands",
  "command",
  "command-history",
  "command-curve",
  "alerts",
  "audit",
  "readings",
  "climate",
  "predictions",
  "series",
]);

/** Asks again for what is on the screen: events were missed, or there is no link to bring them. */
export function askAgain(client: QueryClient): void {
  void client.invalidateQueries({ predicate: (query) => LIVE_KEYS.has(query.queryKey[0]) });
}

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }) => {
    const session = await call<Session>("GET", "/api/session", { signal });
    setCsrfToken(session.csrf_token);
    return session;
  },
  staleTime: 5 * 60_000,
});

export const kindsQuery = queryOptions({
  queryKey: ["kinds"],
  queryFn: async ({ signal }) => (await call<Page<Kind>>("GET", "/api/kinds", { signal })).items,
  staleTime: 10 * 60_000,
});

export const machinesQuery = queryOptions({
  queryKey: ["machines"],
  queryFn: async ({ signal }) => (await call<Page<Machine>>("GET", "/api/machines?limit=200", { signal })).items,
});

export const machineQuery = (id: string) =>
  queryOptions({
    queryKey: ["machine", id],
    queryFn: ({ signal }) => call<Machine>("GET", `/api/machines/${encodeURIComponent(id)}`, { signal }),
  });

export const tokensQuery = (id: string) =>
  queryOptions({
    queryKey: ["machine-tokens", id],
    queryFn: async ({ signal }) =>
      (await call<Page<MachineToken>>("GET", `/api/machines/${encodeURIComponent(id)}/tokens`, { signal })).items,
  });

export interface CommandFilter {
  machine_id?: string | undefined;
  state?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export const commandsQuery = (filter: CommandFilter, limit = 50) =>
  infiniteQueryOptions({
    queryKey: ["commands", filter, limit],
    queryFn: ({ signal, pageParam }) =>
      call<Page<Command>>("GET", `/api/commands${query({ ...filter, limit, cursor: pageParam })}`, { signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  });

export const commandQuery = (id: number) =>
  queryOptions({
    queryKey: ["command", id],
    queryFn: ({ signal }) => call<Command>("GET", `/api/commands/${id}`, { signal }),
  });

export const historyQuery = (id: number) =>
  queryOptions({
    queryKey: ["command-history", id],
    queryFn: async ({ signal }) =>
      (await call<Page<HistoryEntry>>("GET", `/api/commands/${id}/history`, { signal })).items,
  });

/** Rows go to the curve store; the query only says whether they are there. */
export const curveQuery = (id: number) =>
  queryOptions({
    queryKey: ["command-curve", id],
    queryFn: async ({ signal }) => {
      const curve = await call<Curve>("GET", `/api/commands/${id}/curve`, { signal });
      mergeCurve(id, curve);
      return curve.samples.length;
    },
  });

export const alertsQuery = (state: "open" | "all") =>
  queryOptions({
    queryKey: ["alerts", state],
    queryFn: async ({ signal }) =>
      (await call<Page<Alert>>("GET", `/api/alerts?state=${state}&limit=200`, { signal })).items,
  });

export const auditQuery = infiniteQueryOptions({
  queryKey: ["audit"],
  queryFn: ({ signal, pageParam }) =>
    call<Page<AuditEntry>>("GET", `/api/audit${query({ limit: 100, cursor: pageParam })}`, { signal }),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last) => last.next ?? undefined,
});

export const verifyQuery = queryOptions({
  queryKey: ["audit-verify"],
  queryFn: ({ signal }) => call<AuditVerdict>("GET", "/api/audit/verify", { signal }),
  staleTime: 0,
});

/* ---- the room: readings, windows, the model ---- */

export const readingsQuery = queryOptions({
  queryKey: ["readings"],
  queryFn: async ({ signal }) => (await call<Page<Reading>>("GET", "/api/telemetry/latest", { signal })).items,
});

export const climateQuery = queryOptions({
  queryKey: ["climate"],
  queryFn: ({ signal }) => call<Climate>("GET", "/api/climate", { signal }),
});

export interface SeriesWanted {
  machine_id: string;
  type: string;
  from: string;
  to: string;
  points: number;
}

export const seriesQuery = (wanted: SeriesWanted) =>
  queryOptions({
    queryKey: ["series", wanted],
    queryFn: ({ signal }) =>
      call<Series>("GET", `/api/telemetry/series${query({ ...wanted, resolution: "auto" })}`, { signal }),
  });

export const predictionsQuery = (machineId: string, from: string, to: string) =>
  infiniteQueryOptions({
    queryKey: ["predictions", machineId, from, to],
    queryFn: ({ signal, pageParam }) =>
      call<Page<Prediction>>(
        "GET",
        `/api/climate/${encodeURIComponent(machineId)}/predictions${query({ from, to, limit: 12, cursor: pageParam })}`,
        { signal },
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  });

/** The newest of a time, at most as many as one answer holds. */
export const saidQuery = (machineId: string, from: string, to: string) =>
  queryOptions({
    queryKey: ["predictions", machineId, "said", from, to],
    queryFn: ({ signal }) =>
      call<Page<Prediction>>(
        "GET",
        `/api/climate/${encodeURIComponent(machineId)}/predictions${query({ from, to, limit: 200 })}`,
        { signal },
      ),
  });

export const modelQuery = queryOptions({
  queryKey: ["model"],
  queryFn: ({ signal }) => call<ModelInfo>("GET", "/api/climate/model", { signal }),
});

export const modelErrorsQuery = (from: string, to: string) =>
  queryOptions({
    queryKey: ["model-errors", from, to],
    queryFn: async ({ signal }) =>
      (await call<Page<ModelErrorPoint>>("GET", `/api/climate/model/errors${query({ from, to })}`, { signal })).items,
  });

export const refusalsQuery = queryOptions({
  queryKey: ["refusals"],
  queryFn: async ({ signal }) => (await call<Page<Refusal>>("GET", "/api/telemetry/refusals", { signal })).items,
});

export const policyQuery = queryOptions({
  queryKey: ["policy"],
  queryFn: ({ signal }) => call<RetentionPolicy>("GET", "/api/telemetry/policy", { signal }),
});

/* ---- events ---- */

type CommandPages = InfiniteData<Page<Command>, string | undefined>;

function fits(command: Command, filter: CommandFilter): boolean {
  return (
    (!filter.machine_id || filter.machine_id === command.machine_id) &&
    (!filter.state || filter.state === command.state) &&
    (!filter.from || command.created_at >= filter.from) &&
    (!filter.to || command.created_at <= filter.to)
  );
}

/** One list with the command put in, changed or taken out; newest first. The very list again if nothing changes. */
export function placeCommand(pages: CommandPages, command: Command, filter: CommandFilter): CommandPages {
  const wanted = fits(command, filter);
  const known = pages.pages.some((page) => page.items.some((item) => item.command_id === command.command_id));
  if (known) {
    return {
      ...pages,
      pages: pages.pages.map((page) => ({
        ...page,
        items: page.items.flatMap((item) =>
          item.command_id !== command.command_id ? [item] : wanted ? [command] : [],
        ),
      })),
    };
  }
  const first = pages.pages[0];
  if (!wanted || !first) return pages;
  // Older than everything shown: it belongs to a page that is not loaded yet.
  const last = pages.pages.at(-1);
  if (last?.next && command.command_id < (last.items.at(-1)?.command_id ?? 0)) return pages;
  const at = first.items.findIndex((item) => item.command_id < command.command_id);
  const items = [...first.items];
  items.splice(at < 0 ? items.length : at, 0, command);
  return { ...pages, pages: [{ ...first, items }, ...pages.pages.slice(1)] };
}

/** An event may overtake a slower answer; the newer of the two stays. */
function newer(known: Command | undefined, command: Command): Command {
  return known && known.updated_at > command.updated_at ? known : command;
}

export function learnCommand(client: QueryClient, command: Command): void {
  client.setQueryData<Command>(["command", command.command_id], (known) => newer(known, command));
  for (const [key, pages] of client.getQueriesData<CommandPages>({ queryKey: ["commands"] })) {
    if (pages) client.setQueryData(key, placeCommand(pages, command, key[1] as CommandFilter));
  }
  void client.invalidateQueries({ queryKey: ["command-history", command.command_id] });
}

export function learnMachine(client: QueryClient, machine: Machine): void {
  client.setQueryData(["machine", machine.machine_id], machine);
  client.setQueryData<Machine[]>(["machines"], (known) => {
    if (!known) return known;
    return known.some((one) => one.machine_id === machine.machine_id)
      ? known.map((one) => (one.machine_id === machine.machine_id ? machine : one))
      : [...known, machine];
  });
}

export function learnAlert(client: QueryClient, alert: Alert): void {
  for (const state of ["open", "all"] as const) {
    client.setQueryData<Alert[]>(["alerts", state], (known) => {
      if (!known) return known;
      const rest = known.filter((one) => one.alert_id !== alert.alert_id);
      if (state === "open" && alert.resolved_at) return rest;
      return [alert, ...rest].sort((a, b) => b.last_at.localeCompare(a.last_at));
    });
  }
}

/** A reading may overtake an answer that was asked for before it; the newer of the two stays. */
export function learnReadings(client: QueryClient, machineId: string, items: Omit<Reading, "machine_id">[]): void {
  client.setQueryData<Reading[]>(["readings"], (known) => {
    if (!known) return known;
    const next = [...known];
    for (const item of items) {
      const reading = { ...item, machine_id: machineId };
      const at = next.findIndex((one) => one.machine_id === machineId && one.type === item.type);
      if (at < 0) next.push(reading);
      else if (next[at] && next[at].at <= item.at) next[at] = reading;
    }
    return next;
  });
}

export function learnWindow(client: QueryClient, window: ClimateWindow): void {
  client.setQueryData<Climate>(["climate"], (known) =>
    known
      ? {
          ...known,
          items: known.items.some((one) => one.machine_id === window.machine_id)
            ? known.items.map((one) => (one.machine_id === window.machine_id ? window : one))
            : [...known.items, window],
        }
      : known,
  );
}

export function applyEvent(client: QueryClient, event: LiveEvent): void {
  switch (event.type) {
    case "reading":
      learnReadings(client, event.machine_id, event.items);
      break;
    case "climate": {
      const window: ClimateWindow = event;
      learnWindow(client, window);
      void client.invalidateQueries({ queryKey: ["predictions", window.machine_id] });
      break;
    }
    case "command":
      learnCommand(client, event.command);
      break;
    case "machine":
      learnMachine(client, event.machine);
      break;
    case "progress":
      appendCurve(event.command_id, event.step, event.columns, event.samples);
      break;
    case "alert":
      learnAlert(client, event.alert);
      break;
    case "audit":
      client.setQueryData<InfiniteData<Page<AuditEntry>, string | undefined>>(["audit"], (known) => {
        const first = known?.pages[0];
        if (!first || first.items.some((item) => item.audit_id === event.entry.audit_id)) return known;
        return { ...known, pages: [{ ...first, items: [event.entry, ...first.items] }, ...known.pages.slice(1)] };
      });
      break;
    case "welcome":
      break;
  }
}
