import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { Button } from "../../design/Button";
import { Dialog } from "../../design/Dialog";
import { Select, TextField } from "../../design/Field";
import { Secret } from "../../design/Secret";
import { EmptyState, ErrorState, ProblemNote, Section, Skeleton } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { toast, toastProblem } from "../../design/Toast";
import { t } from "../../i18n";
import { Problem, call } from "../../lib/api";
import { queryClient } from "../../lib/queries";
import { useRights } from "../../lib/session";
import { setTheme, useTheme, type Theme } from "../../lib/theme";
import type { Account, ApiToken, Page, Role } from "../../lib/types";
import { signOut } from "./session";

const ROLES: Role[] = ["customer", "staff", "admin"];
const roleOptions = (highest: Role) =>
  ROLES.slice(0, Math.max(1, ROLES.indexOf(highest) + 1)).map((value) => ({ value, label: t.account.roles[value] }));
const asRole = (value: string): Role => ROLES.find((role) => role === value) ?? "customer";
const PASSWORD_MIN = 12;

export function AccountPage() {
  const rights = useRights();
  const { session } = rights;
  if (!session) return <Skeleton lines={3} />;
  if (!rights.signedIn)
    return (
      <EmptyState whole title={t.account.title} note={t.why.signIn}>
        <Link href="/signin?next=/account" className="button button--primary">
          {t.account.signIn}
        </Link>
      </EmptyState>
    );
  return (
    <div className="flex max-w-4xl flex-col gap-10">
      <h1 className="font-serif text-head font-medium md:text-display">{t.account.title}</h1>
      <You account={session.account} role={rights.role} open={session.open} />
      {session.account && !rights.admin && <OwnPassword account={session.account} />}
      <Tokens role={rights.role} />
      {rights.admin && <People me={session.account?.account_id} />}
    </div>
  );
}

function You({ account, role, open }: { account: Account | null; role: Role; open: boolean }) {
  const [, navigate] = useLocation();
  const theme = useTheme();
  const leave = useMutation({
    mutationFn: signOut,
    onSuccess: () => {
      toast(t.account.signedOut);
      navigate("/signin");
    },
    onError: toastProblem,
  });
  return (
    <Section title={t.account.you}>
      <p className="text-lead">
        {account ? t.account.signedInAs(account.name) : t.shell.openMode}
        <span className="text-espresso-soft"> · {t.account.roles[role]}</span>
      </p>
      <p className="max-w-[60ch] text-espresso-soft">
        {account ? t.account.sessionNote : open ? t.account.openNote : ""}
      </p>
      <div className="flex flex-wrap items-end gap-4">
        <Select
          label={t.account.theme}
          value={theme}
          onValue={(value) => setTheme(value as Theme)}
          options={[
            { value: "system", label: t.shell.themeSystem },
            { value: "light", label: t.shell.themeLight },
            { value: "dark", label: t.shell.themeDark },
          ]}
        />
        {account && (
          <Button busy={leave.isPending} onClick={() => leave.mutate()}>
            {t.account.signOut}
          </Button>
        )}
      </div>
    </Section>
  );
}

function OwnPassword({ account }: { account: Account }) {
  const [open, setOpen] = useState(false);
  return (
    <div>
      <Button aria-haspopup="dialog" onClick={() => setOpen(true)}>
        {t.account.setPassword}
      </Button>
      {open && <PasswordDialog account={account} own onClose={() => setOpen(false)} />}
    </div>
  );
}

const TOKENS = ["api-tokens"] as const;

function Tokens({ role }: { role: Role }) {
  const tokens = useQuery({
    queryKey: TOKENS,
    queryFn: async ({ signal }) => (await call<Page<ApiToken>>("GET", "/api/tokens", { signal })).items,
  });
  const [making, setMaking] = useState(false);
  const revoke = useMutation({
    mutationFn: (id: number | string) => call("DELETE", `/api/tokens/${encodeURIComponent(id)}`),
    onSuccess: () => {
      toast(t.account.tokenRevoked);
      void queryClient.invalidateQueries({ queryKey: TOKENS });
    },
    onError: toastProblem,
  });
  return (
    <Section
      title={t.account.tokens}
      action={
        <Button aria-haspopup="dialog" onClick={() => setMaking(true)}>
          {t.account.tokenMake}
        </Button>
      }
    >
      <p className="max-w-[60ch] text-espresso-soft">{t.account.tokensNote}</p>
      {tokens.isPending ? (
        <Skeleton lines={2} height={40} />
      ) : tokens.isError && !tokens.data ? (
        <ErrorState what={t.account.tokens} error={tokens.error} onRetry={() => void tokens.refetch()} />
      ) : tokens.data.length === 0 ? (
        <p>{t.account.tokensNone}</p>
      ) : (
        <ul className="flex flex-col">
          {tokens.data.map((token) => (
            <li key={token.token_id} className="flex flex-wrap items-center gap-x-4 border-b border-hairline py-1">
              <span className="min-w-0 grow">
                <span className="font-semibold">{token.name}</span> · {t.account.roles[token.role]}
                <span className="block text-note text-espresso-soft">
                  <TimeAgo at={token.created_at} />
                  {", "}
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
                aria-label={t.account.tokenRevoke(token.name)}
                onClick={() => revoke.mutate(token.token_id)}
              >
                {t.account.revoke}
              </Button>
            </li>
          ))}
        </ul>
      )}
      {making && <TokenDialog highest={role} onClose={() => setMaking(false)} />}
    </Section>
  );
}

function TokenDialog({ highest, onClose }: { highest: Role; onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("customer");
  const make = useMutation({
    mutationFn: () => call<{ token: string }>("POST", "/api/tokens", { body: { name: name.trim(), role } }),
    onSuccess: () => void queryClient.invalidateQueries({ queryKey: TOKENS }),
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={t.account.tokenMake}
      footer={
        make.data ? (
          <Button tone="primary" onClick={onClose}>
            {t.common.close}
          </Button>
        ) : (
          <Button
            tone="primary"
            busy={make.isPending}
            why={name.trim() ? undefined : t.why.fields(t.account.name.toLowerCase())}
            onClick={() => make.mutate()}
          >
            {t.account.tokenMake}
          </Button>
        )
      }
    >
      {make.data ? (
        <Secret label={t.account.tokenMade} value={make.data.token} note={t.account.tokenOnce} />
      ) : (
        <>
          <TextField label={t.account.tokenName} value={name} onText={setName} maxLength={80} />
          <Select
            label={t.account.tokenRole}
            value={role}
            onValue={(value) => setRole(asRole(value))}
            options={roleOptions(highest)}
          />
          {make.error && <ProblemNote error={make.error} />}
        </>
      )}
    </Dialog>
  );
}

const PEOPLE = ["accounts"] as const;

function People({ me }: { me: number | undefined }) {
  const people = useQuery({
    queryKey: PEOPLE,
    queryFn: async ({ signal }) => (await call<Page<Account>>("GET", "/api/accounts", { signal })).items,
  });
  const [adding, setAdding] = useState(false);
  const [passwordFor, setPasswordFor] = useState<Account | null>(null);
  const change = useMutation({
    mutationFn: ({ account, ...body }: { account: Account; role?: Role; disabled?: boolean }) =>
      call("PATCH", `/api/accounts/${account.account_id}`, { body }),
    onSuccess: (_, { account }) => {
      toast(t.account.changed(account.name));
      void queryClient.invalidateQueries({ queryKey: PEOPLE });
    },
    onError: toastProblem,
  });
  return (
    <Section
      title={t.account.accounts}
      action={
        <Button aria-haspopup="dialog" onClick={() => setAdding(true)}>
          {t.account.accountNew}
        </Button>
      }
    >
      <p className="max-w-[60ch] text-espresso-soft">{t.account.accountsNote}</p>
      {people.isPending ? (
        <Skeleton lines={2} height={48} />
      ) : people.isError && !people.data ? (
        <ErrorState what={t.account.accounts} error={people.error} onRetry={() => void people.refetch()} />
      ) : (
        <ul className="flex flex-col">
          {people.data.map((account) => (
            <li
              key={account.account_id}
              className="grid grid-cols-2 items-center gap-x-4 gap-y-1 border-b border-hairline py-2 sm:grid-cols-[minmax(0,1fr)_9rem_auto]"
            >
              <span className={account.disabled ? "text-espresso-soft line-through" : "font-semibold"}>
                {account.name}
                {account.disabled && <span className="sr-only"> ({t.account.disabled})</span>}
              </span>
              <Select
                label={t.account.roleOf(account.name)}
                hideLabel
                value={account.role}
                onValue={(value) => change.mutate({ account, role: asRole(value) })}
                options={roleOptions("admin")}
              />
              <span
                className="col-span-2 flex flex-wrap gap-1 sm:col-span-1 sm:justify-end"
                role="group"
                aria-label={t.account.actionsFor(account.name)}
              >
                <Button tone="quiet" aria-haspopup="dialog" onClick={() => setPasswordFor(account)}>
                  {t.account.setPassword}
                </Button>
                <Button tone="quiet" onClick={() => change.mutate({ account, disabled: !account.disabled })}>
                  {account.disabled ? t.account.enable : t.account.disable}
                </Button>
              </span>
            </li>
          ))}
        </ul>
      )}
      {adding && <PersonDialog onClose={() => setAdding(false)} />}
      {passwordFor && (
        <PasswordDialog
          account={passwordFor}
          own={passwordFor.account_id === me}
          onClose={() => setPasswordFor(null)}
        />
      )}
    </Section>
  );
}

const passwordFault = (password: string): string | undefined =>
  password.length > 0 && password.length < PASSWORD_MIN ? t.account.passwordHint : undefined;

function PersonDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("staff");
  const [password, setPassword] = useState("");
  const add = useMutation({
    mutationFn: () => call("POST", "/api/accounts", { body: { name: name.trim(), role, password } }),
    onSuccess: () => {
      toast(t.account.accountAdded(name.trim()));
      void queryClient.invalidateQueries({ queryKey: PEOPLE });
      onClose();
    },
  });
  const refusal = add.error instanceof Problem ? add.error : undefined;
  const missing = [
    ...(name.trim() ? [] : [t.account.name.toLowerCase()]),
    ...(password.length >= PASSWORD_MIN ? [] : [t.account.password.toLowerCase()]),
  ];
  return (
    <Dialog
      open
      onClose={onClose}
      title={t.account.accountNew}
      footer={
        <Button
          tone="primary"
          busy={add.isPending}
          why={missing.length > 0 ? t.why.fields(missing.join(t.common.and)) : undefined}
          onClick={() => add.mutate()}
        >
          {t.account.accountNew}
        </Button>
      }
    >
      <TextField
        label={t.account.name}
        value={name}
        onText={setName}
        autoComplete="off"
        maxLength={64}
        fault={refusal?.field === "name" ? refusal.detail : undefined}
      />
      <Select
        label={t.account.role}
        value={role}
        onValue={(value) => setRole(asRole(value))}
        options={roleOptions("admin")}
      />
      <TextField
        label={t.account.password}
        type="password"
        value={password}
        onText={setPassword}
        autoComplete="new-password"
        hint={t.account.passwordHint}
        fault={refusal?.field === "password" ? refusal.detail : undefined}
      />
      {add.error && refusal?.field !== "name" && refusal?.field !== "password" && <ProblemNote error={add.error} />}
    </Dialog>
  );
}

/** One's own password needs the present one: a browser left open must not be enough to take an account over. */
function PasswordDialog({ account, own, onClose }: { account: Account; own: boolean; onClose: () => void }) {
  const [password, setPassword] = useState("");
  const [old, setOld] = useState("");
  const set = useMutation({
    mutationFn: () =>
      call("POST", `/api/accounts/${account.account_id}/password`, {
        body: { password, ...(own ? { old_password: old } : {}) },
      }),
    onSuccess: () => {
      toast(t.account.passwordSet);
      onClose();
    },
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={`${t.account.setPassword}: ${account.name}`}
      footer={
        <Button
          tone="primary"
          busy={set.isPending}
          why={password.length >= PASSWORD_MIN ? undefined : t.account.passwordHint}
          onClick={() => set.mutate()}
        >
          {t.account.setPassword}
        </Button>
      }
    >
      {own && (
        <TextField
          label={t.account.oldPassword}
          type="password"
          value={old}
          onText={setOld}
          autoComplete="current-password"
        />
      )}
      <TextField
        label={t.account.newPassword}
        type="password"
        value={password}
        onText={setPassword}
        autoComplete="new-password"
        hint={t.account.passwordHint}
        fault={passwordFault(password)}
      />
      {set.error && <ProblemNote error={set.error} />}
    </Dialog>
  );
}
