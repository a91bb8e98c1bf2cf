import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { Button } from "../../design/Button";
import { TextField } from "../../design/Field";
import { ProblemNote } from "../../design/States";
import { t } from "../../i18n";
import { Problem } from "../../lib/api";
import { useRights } from "../../lib/session";
import { linkCode, nextPath, signIn, signInByLink } from "./session";

export function SignInPage() {
  const [, navigate] = useLocation();
  const rights = useRights();
  const [next] = useState(() => nextPath(location.search));
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const go = () => navigate(next, { replace: true });

  const link = useMutation({ mutationFn: signInByLink, onSuccess: go });
  const form = useMutation({ mutationFn: () => signIn(name.trim(), password), onSuccess: go });

  const used = useRef<string | null>(null);
  const { mutate: openLink } = link;
  useEffect(() => {
    const open = () => {
      const code = linkCode(location);
      if (!code || used.current === code) return;
      used.current = code; // a code works once: strict mode's second run must not spend it
      history.replaceState(null, "", location.pathname);
      openLink(code);
    };
    open();
    // A link pasted while this page is open changes the fragment only.
    window.addEventListener("hashchange", open);
    return () => window.removeEventListener("hashchange", open);
  }, [openLink]);

  const account = rights.session?.account;
  return (
    <div className="grid min-h-[70dvh] items-center gap-10 md:grid-cols-2">
      <div className="flex flex-col gap-6">
        <header>
          <h1 className="font-serif text-display font-medium">{t.account.signInTitle}</h1>
          <p className="text-lead text-espresso-soft">{t.account.signInLead}</p>
        </header>
        {link.isPending ? (
          <p role="status" className="text-lead">
            {t.account.signingIn}
          </p>
        ) : account ? (
          <p className="flex flex-wrap items-center gap-4">
            {t.account.already(account.name)}
            <Link href={next} className="button button--primary">
              {t.shell.toFloor}
            </Link>
          </p>
        ) : (
          <>
            {link.error && (
              <div role="alert" className="rounded-s bg-fault-wash p-4">
                <p className="font-semibold text-fault">{t.account.linkFailed}</p>
                <p>{t.account.linkFailedNote}</p>
              </div>
            )}
            <form
              className="flex max-w-sm flex-col gap-4"
              onSubmit={(event) => {
                event.preventDefault();
                if (!form.isPending) form.mutate();
              }}
            >
              <TextField label={t.account.name} value={name} onText={setName} autoComplete="username" required />
              <TextField
                label={t.account.password}
                type="password"
                value={password}
                onText={setPassword}
                autoComplete="current-password"
                required
              />
              {form.error && <SignInProblem error={form.error} />}
              <div>
                <Button tone="primary" type="submit" busy={form.isPending}>
                  {t.account.signIn}
                </Button>
              </div>
            </form>
          </>
        )}
      </div>
      <CupDrawing />
    </div>
  );
}

function SignInProblem({ error }: { error: Error }) {
  if (error instanceof Problem && error.status === 401)
    return (
      <p role="alert" className="font-semibold text-fault">
        {t.account.wrong}
      </p>
    );
  if (error instanceof Problem && error.status === 429)
    return (
      <p role="alert" className="font-semibold text-fault">
        {t.account.tooOften(error.retryAfterS ?? 30)}
      </p>
    );
  return <ProblemNote error={error} />;
}

/** The counter before anyone came: a cup under an arch, waiting. */
function CupDrawing() {
  return (
    <svg viewBox="0 0 280 260" className="drawn mx-auto hidden w-full max-w-md md:block" aria-hidden="true">
      <path d="M10 248V140a130 130 0 0 1 260 0v108z" className="no-line" fill="var(--copper-wash)" />
      <path d="M10 248V140a130 130 0 0 1 260 0v108" style={{ stroke: "var(--copper)", strokeWidth: 2 }} />
      <path d="M-20 248h320" strokeWidth="2" />
      <path className="fine" d="M140 28v62" />
      <path className="steel" d="M112 90h56l10 26h-76z" />
      <path className="fine" d="M102 116h76" />
      <path d="M88 170h96l-8 50a24 24 0 0 1-24 20h-32a24 24 0 0 1-24-20z" fill="var(--porcelain)" />
      <path d="M92 190h88l-5 30a24 24 0 0 1-23 20h-32a24 24 0 0 1-23-20z" className="no-line" fill="var(--coffee)" />
      <path d="M92 190h88" style={{ stroke: "var(--foam)", strokeWidth: 4 }} strokeLinecap="butt" />
      <path d="M88 170h96l-8 50a24 24 0 0 1-24 20h-32a24 24 0 0 1-24-20zM184 182h8a16 16 0 0 1 0 32h-14" />
      <path className="steel-dark" d="M64 240h144l-8 8H72z" />
      <path className="fine" d="M120 154q-7-9 0-17t0-14M150 154q7-9 0-17t0-14" />
    </svg>
  );
}
