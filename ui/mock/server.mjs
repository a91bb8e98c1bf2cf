// A pretend Automat server for working on the front end: the same routes, in memory, with a brew that looks like one.
// node mock/server.mjs [--port 8000] [--speed 4] [--empty] [--dist dist]
// It knows one sign-in link (code "demo"), one account (alice, password "espresso-please"). It promises nothing.
import { readFileSync, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { KINDS, World, FINAL } from "./world.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8000" },
    speed: { type: "string", default: "1" },
    dist: { type: "string", default: new URL("../dist", import.meta.url).pathname },
    empty: { type: "boolean", default: false },
    open: { type: "boolean", default: false },
  },
});

const world = new World({ speed: Number(options.speed), empty: options.empty });
const serverId = randomBytes(8).toString("hex");
const csrf = "mock-csrf-token";
const sessions = new Map([["mock-alice", { account_id: 1, name: "alice", role: "admin" }]]); // outlives a restart
const accounts = [
  { account_id: 1, name: "alice", role: "admin", disabled: false },
  { account_id: 2, name: "mihai", role: "staff", disabled: false },
  { account_id: 3, name: "ioana", role: "customer", disabled: true },
];
const apiTokens = [
  {
    token_id: 1,
    name: "Grafana",
    role: "guest",
    created_at: new Date(Date.now() - 4e8).toISOString(),
    last_used_at: null,
  },
];
let seq = 0;

class Refused extends Error {
  constructor(status, code, detail, field) {
    super(detail);
    Object.assign(this, { status, code, detail, field });
  }
}

const need = (value, code, what) => {
  if (value === undefined) throw new Refused(404, code, `${what} is not known here.`);
  return value;
};
const machineOf = (id) => need(world.machines.get(decodeURIComponent(id)), "unknown_machine", "This machine");
const commandOf = (id) => need(world.commands.get(Number(id)), "unknown_command", "This command");

function page(all, search) {
  const limit = Number(search.get("limit") ?? 50);
  const from = Number(search.get("cursor") ?? 0);
  const items = all.slice(from, from + limit);
  return { items, next: from + limit < all.length ? String(from + limit) : null };
}

function checkRecipe(machine, recipe) {
  if (machine.kind === "window") {
    if (typeof recipe?.position !== "number")
      throw new Refused(400, "missing_field", "This is needed.", "payload.position");
    if (recipe.position < 0 || recipe.position > 100)
      throw new Refused(422, "out_of_limits", "Allowed is 0 to 100.", "payload.position");
    return;
  }
  for (const { field, min, max, integer, capsule_type } of KINDS[0].commands[0].limits) {
    if (!field.startsWith("recipe.") || (capsule_type && capsule_type !== recipe.capsule_type)) continue;
    const value = recipe[field.slice(7)];
    if (typeof value !== "number") throw new Refused(400, "missing_field", "This is needed.", field);
    if (value < min || value > max || (integer && !Number.isInteger(value)))
      throw new Refused(422, "out_of_limits", `Allowed is ${min} to ${max}.`, field);
  }
}

function create(body, { key, actor }) {
  const known = key && world.keys.get(key);
  if (known && known.body !== JSON.stringify(body))
    throw new Refused(409, "idempotency_mismatch", "This key was used for another order.");
  if (known) return known.answer;
  const machine = machineOf(body.machine_id ?? "");
  const recipe = body.recipe ?? body.payload;
  checkRecipe(machine, recipe);
  if (recipe.capsule_type === "vertuo" && machine.config.model === "original_only")
    throw new Refused(422, "capsule_mismatch", "The machine has no place for this capsule.", "recipe.capsule_type");
  const held = body.execute_allowed === false;
  const command = world.addCommand(machine.machine_id, recipe, {
    state: held ? "held" : "pending",
    created_by: actor,
    kind: machine.kind,
    command: body.command ?? "brew",
  });
  world.remember(command, null, command.state, actor);
  world.emit({ type: "command", command });
  world.refresh(machine.machine_id);
  const answer = { status: "created", command_id: command.command_id };
  if (key) world.keys.set(key, { body: JSON.stringify(body), answer });
  return answer;
}

function cancel(command, actor) {
  if (command.state === "running") {
    command.stop_requested = true;
    world.emit({ type: "command", command });
    return { result: "stop_requested", command };
  }
  if (FINAL.has(command.state)) throw new Refused(409, "already_settled", "This command is over.");
  world.move(command, "cancelled", actor);
  return { result: "cancelled", command };
}

function settle(command, body, actor) {
  if (command.state !== "unknown")
    throw new Refused(409, "wrong_transition", "Only an unknown command can be settled.");
  if (!body.evidence) throw new Refused(400, "missing_field", "Say what you saw.", "evidence");
  world.move(command, body.outcome, actor, { settled_by: actor }, { evidence: body.evidence });
  return command;
}

const verbs = {
  hold: (machine, body, actor) => world.hold(machine, body.reason, actor),
  release: (machine, body, actor) => {
    machine.hold = { held: false, reason: null, since: null };
    machine.failures_in_row = 0;
    world.note(actor, "machine.release", `machine:${machine.machine_id}`, body);
  },
  admit: (machine, _, actor) => {
    machine.admission = "admitted";
    machine.sensors ??= {
      magazine_count: 8,
      water_ml: 1100,
      head_closed: false,
      home: true,
      estop: false,
      temperature_c: 24,
      provenance: "measured",
    };
    world.note(actor, "machine.admit", `machine:${machine.machine_id}`);
  },
  block: (machine, _, actor) => {
    machine.admission = "blocked";
    world.note(actor, "machine.block", `machine:${machine.machine_id}`);
  },
};

// [method, pattern, handler(match, request) -> body | [status, body]]; pattern groups come as match[1..].
const routes = [
  ...(world.rooms?.routes() ?? []),
  ["GET", /^\/api\/kinds$/, () => ({ items: KINDS, next: null })],
  ["GET", /^\/api\/machines$/, (_, r) => page([...world.machines.values()], r.search)],
  [
    "POST",
    /^\/api\/machines$/,
    (_, r) => {
      if (!/^[a-z0-9][a-z0-9-]*$/.test(r.body.machine_id ?? ""))
        throw new Refused(422, "out_of_limits", "Lower-case letters, digits and hyphens only.", "machine_id");
      if (world.machines.has(r.body.machine_id))
        throw new Refused(409, "machine_exists", "There is a machine by that id.", "machine_id");
      const machine = world.addMachine(r.body.machine_id, {
        name: r.body.name ?? null,
        online: false,
        last_seen_at: null,
        sensors: null,
        sensors_at: null,
        step: null,
        demo: false,
      });
      world.refresh(machine.machine_id);
      return [201, { machine, token: randomBytes(24).toString("base64url") }];
    },
  ],
  ["GET", /^\/api\/machines\/([^/]+)$/, (m) => machineOf(m[1])],
  [
    "PATCH",
    /^\/api\/machines\/([^/]+)$/,
    (m, r) => {
      const machine = machineOf(m[1]);
      if (r.body.name !== undefined) machine.name = r.body.name;
      if (r.body.metadata !== undefined) machine.metadata = r.body.metadata;
      world.note(r.actor, "machine.describe", `machine:${machine.machine_id}`, r.body);
      world.refresh(machine.machine_id);
      return machine;
    },
  ],
  [
    "GET",
    /^\/api\/machines\/([^/]+)\/tokens$/,
    (m) => ({ items: world.tokens.get(machineOf(m[1]).machine_id) ?? [], next: null }),
  ],
  [
    "POST",
    /^\/api\/machines\/([^/]+)\/tokens$/,
    (m) => {
      const list = world.tokens.get(machineOf(m[1]).machine_id);
      list.push({ token_id: list.length + 1, created_at: new Date().toISOString(), last_used_at: null });
      return [201, { token_id: list.length, token: randomBytes(24).toString("base64url") }];
    },
  ],
  [
    "DELETE",
    /^\/api\/machines\/([^/]+)\/tokens\/(\d+)$/,
    (m) => {
      const id = machineOf(m[1]).machine_id;
      world.tokens.set(
        id,
        world.tokens.get(id).filter((one) => one.token_id !== Number(m[2])),
      );
      return {};
    },
  ],
  [
    "PUT",
    /^\/api\/machines\/([^/]+)\/config$/,
    (m, r) => {
      const machine = machineOf(m[1]);
      machine.config = r.body;
      world.refresh(machine.machine_id);
      return machine;
    },
  ],
  [
    "POST",
    /^\/api\/machines\/([^/]+)\/(hold|release|admit|block)$/,
    (m, r) => {
      const machine = machineOf(m[1]);
      verbs[m[2]](machine, r.body, r.actor);
      world.refresh(machine.machine_id);
      return machine;
    },
  ],
  ["POST", /^\/api\/commands\/create$/, (_, r) => [201, create(r.body, r)]],
  [
    "GET",
    /^\/api\/commands$/,
    (_, r) => {
      const { search } = r;
      const all = [...world.commands.values()]
        .reverse()
        .filter(
          (one) =>
            (!search.get("state") || one.state === search.get("state")) &&
            (!search.get("machine_id") || one.machine_id === search.get("machine_id")),
        );
      return page(all, search);
    },
  ],
  ["GET", /^\/api\/commands\/(\d+)$/, (m) => commandOf(m[1])],
  [
    "GET",
    /^\/api\/commands\/(\d+)\/history$/,
    (m) => ({ items: world.history.get(commandOf(m[1]).command_id), next: null }),
  ],
  [
    "GET",
    /^\/api\/commands\/(\d+)\/curve$/,
    (m) => world.curves.get(commandOf(m[1]).command_id) ?? { columns: [], samples: [], steps: [] },
  ],
  ["POST", /^\/api\/commands\/(\d+)\/cancel$/, (m, r) => cancel(commandOf(m[1]), r.actor)],
  [
    "POST",
    /^\/api\/commands\/(\d+)\/approve$/,
    (m, r) => {
      const command = commandOf(m[1]);
      if (command.state !== "held") throw new Refused(409, "wrong_transition", "Only a held command can be approved.");
      world.move(command, "pending", r.actor, {
        execute_allowed: true,
        not_after: new Date(Date.now() + 600_000).toISOString(),
      });
      return { command };
    },
  ],
  ["POST", /^\/api\/commands\/(\d+)\/settle$/, (m, r) => ({ command: settle(commandOf(m[1]), r.body, r.actor) })],
  [
    "GET",
    /^\/api\/alerts$/,
    (_, r) =>
      page(
        [...world.alerts].reverse().filter((one) => r.search.get("state") === "all" || !one.resolved_at),
        r.search,
      ),
  ],
  [
    "POST",
    /^\/api\/alerts\/(\d+)\/acknowledge$/,
    (m, r) => {
      const alert = need(world.alerts[Number(m[1]) - 1], "unknown_alert", "This alert");
      Object.assign(alert, { acknowledged_at: new Date().toISOString(), acknowledged_by: r.actor });
      world.emit({ type: "alert", alert });
      return alert;
    },
  ],
  ["GET", /^\/api\/audit$/, (_, r) => page([...world.audit].reverse(), r.search)],
  [
    "GET",
    /^\/api\/audit\/verify$/,
    () => ({ intact: true, entries: world.audit.length, head: world.audit.at(-1)?.hash ?? "" }),
  ],
  ["GET", /^\/api\/accounts$/, () => ({ items: accounts, next: null })],
  [
    "POST",
    /^\/api\/accounts$/,
    (_, r) => {
      accounts.push({ account_id: accounts.length + 1, name: r.body.name, role: r.body.role, disabled: false });
      return [201, accounts.at(-1)];
    },
  ],
  [
    "PATCH",
    /^\/api\/accounts\/(\d+)$/,
    (m, r) => Object.assign(need(accounts[Number(m[1]) - 1], "unknown_account", "This account"), r.body),
  ],
  ["POST", /^\/api\/accounts\/(\d+)\/password$/, () => ({})],
  ["GET", /^\/api\/tokens$/, () => ({ items: apiTokens, next: null })],
  [
    "POST",
    /^\/api\/tokens$/,
    (_, r) => {
      apiTokens.push({
        token_id: apiTokens.length + 1,
        name: r.body.name,
        role: r.body.role,
        created_at: new Date().toISOString(),
        last_used_at: null,
      });
      return [201, { token_id: apiTokens.length, token: randomBytes(24).toString("base64url") }];
    },
  ],
  [
    "DELETE",
    /^\/api\/tokens\/(\d+)$/,
    (m) => {
      const at = apiTokens.findIndex((one) => one.token_id === Number(m[1]));
      if (at >= 0) apiTokens.splice(at, 1);
      return {};
    },
  ],
];

function sessionRoute(request, r) {
  const begin = (account) => {
    const id = `mock-${account.name}`;
    sessions.set(id, account);
    r.headers["Set-Cookie"] = `automat_session=${id}; HttpOnly; SameSite=Strict; Path=/`;
    return { account, csrf_token: csrf };
  };
  if (request.method === "GET") {
    if (options.open) return { account: null, role: "admin", open: true };
    return r.account
      ? { account: r.account, role: r.account.role, csrf_token: csrf, open: false }
      : { account: null, role: "guest", open: false };
  }
  if (request.method === "DELETE") {
    sessions.delete(r.sessionId);
    return {};
  }
  if (r.path === "/api/session/link") {
    if (r.body.code !== "demo") throw new Refused(401, "bad_credentials", "This link is not valid any more.");
    return begin(accounts[0]);
  }
  if (r.body.name !== "alice" || r.body.password !== "espresso-please")
    throw new Refused(401, "bad_credentials", "Name and password do not match.");
  return begin(accounts[0]);
}

async function readBody(request) {
  let text = "";
  for await (const part of request) text += part;
  return text ? JSON.parse(text) : {};
}

function cookie(request) {
  return /automat_session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
}

async function api(request, response, url) {
  const headers = { "X-Request-Id": randomBytes(6).toString("hex"), "Cache-Control": "no-store" };
  try {
    const sessionId = cookie(request);
    const account = sessions.get(sessionId);
    const body = request.method === "GET" ? {} : await readBody(request);
    const r = {
      path: url.pathname,
      search: url.searchParams,
      body,
      headers,
      sessionId,
      account,
      actor: `account:${account?.name ?? "open"}`,
      key: request.headers["idempotency-key"],
    };
    let answer;
    if (url.pathname.startsWith("/api/session")) answer = sessionRoute(request, r);
    else {
      if (!account && !options.open) throw new Refused(401, "unauthorized", "Sign in first.");
      if (request.method !== "GET" && !options.open && request.headers["x-csrf-token"] !== csrf)
        throw new Refused(403, "bad_csrf", "The form is not from this site.");
      const route = routes.find(([method, pattern]) => method === request.method && pattern.test(url.pathname));
      if (!route) throw new Refused(404, "not_found", "There is nothing at this address.");
      const paged = /^\/api\/(machines|commands|alerts|audit)$/.test(url.pathname);
      const asked = /^\/api\/(telemetry|climate)\//.test(url.pathname);
      const series = ["machine_id", "type", "from", "to", "points", "resolution", "limit", "cursor"];
      const taken = asked ? series : paged ? ["limit", "cursor", "state", "machine_id", "from", "to"] : [];
      const odd = [...url.searchParams.keys()].find((name) => !taken.includes(name));
      if (odd) throw new Refused(400, "unknown_parameter", "There is no such parameter here.", odd);
      answer = route[2](route[1].exec(url.pathname), r);
    }
    const [status, document, type] = Array.isArray(answer) ? answer : [200, answer];
    const text = type ? document : JSON.stringify(document);
    response.writeHead(status, { ...headers, "Content-Type": type ?? "application/json" }).end(text);
  } catch (error) {
    const refused = error instanceof Refused ? error : new Refused(500, "internal", String(error));
    const { status, code, detail, field } = refused;
    response.writeHead(status, { ...headers, "Content-Type": "application/problem+json" }).end(
      JSON.stringify({
        type: "about:blank",
        title: code.replaceAll("_", " "),
        status,
        code,
        detail,
        field,
        request_id: headers["X-Request-Id"],
      }),
    );
  }
}

const types = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".json": "application/json",
};
const policy = "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'";

function file(response, url) {
  const wanted = normalize(join(options.dist, decodeURIComponent(url.pathname)));
  const found = wanted.startsWith(options.dist) && existsSync(wanted) && statSync(wanted).isFile();
  const path = found ? wanted : join(options.dist, "index.html");
  response
    .writeHead(200, {
      "Content-Type": types[extname(path)] ?? "application/octet-stream",
      "Content-Security-Policy": policy,
    })
    .end(readFileSync(path));
}

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://mock");
  if (url.pathname.startsWith("/api/")) void api(request, response, url);
  else if (url.pathname === "/healthz") response.end("ok\n");
  else file(response, url);
});

const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  if (request.url !== "/ws" || (!options.open && !sessions.has(cookie(request)))) return socket.destroy();
  return sockets.handleUpgrade(request, socket, head, (peer) =>
    peer.send(JSON.stringify({ seq, type: "welcome", server_id: serverId })),
  );
});
world.listeners.add((event) => {
  const text = JSON.stringify({ seq: ++seq, ...event });
  for (const peer of sockets.clients) if (peer.readyState === 1) peer.send(text);
});

setInterval(() => world.tick(), 250);
server.listen(Number(options.port), "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ event: "ready", http: url }));
  console.error(`sign in: ${url}/signin#code=demo`);
});
