import { QueryClientProvider, useQuery } from "@tanstack/react-query";
import { Component, Suspense, lazy, useEffect, type ErrorInfo, type ReactNode } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { Button } from "../design/Button";
import { EmptyState, ErrorState, Skeleton } from "../design/States";
import { toast } from "../design/Toast";
import { t } from "../i18n";
import { onSignedOut } from "../lib/api";
import { queryClient, sessionQuery } from "../lib/queries";
import { useRights } from "../lib/session";
import { Shell } from "./Shell";

const Operations = lazy(() => import("../features/operations/routes"));
const Climate = lazy(() => import("../features/climate/routes"));
const Account = lazy(() => import("../features/account/routes"));

export function App() {
  return (
    <QueryClientProvider client={queryClient}>
      <Shell>
        <Pages />
      </Shell>
    </QueryClientProvider>
  );
}

function Pages() {
  const [path] = useLocation();
  const session = useQuery(sessionQuery);
  const rights = useRights();
  usePageTitle(path);
  useEffect(
    () =>
      onSignedOut(() => {
        const known = queryClient.getQueryData(sessionQuery.queryKey);
        if (known?.account) toast(t.problem.signedOut);
        void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
      }),
    [],
  );
  if (session.isPending) return <Skeleton lines={3} height={96} />;
  if (session.isError && !session.data)
    return <ErrorState what={t.appName} error={session.error} onRetry={() => void session.refetch()} />;
  const inside = rights.signedIn;
  return (
    <CrashNet key={path}>
      <Suspense fallback={<Skeleton lines={3} height={96} />}>
        <Switch>
          <Route path="/signin">
            <Account page="signin" />
          </Route>
          <Route path="/account">
            <Account page="account" />
          </Route>
          {inside && (
            <Route path="/climate/*?">
              <Climate fallback={<NotFound />} />
            </Route>
          )}
          <Route>
            {inside ? (
              <Operations fallback={<NotFound />} />
            ) : (
              <Redirect to={path === "/" ? "/signin" : `/signin?next=${encodeURIComponent(path)}`} replace />
            )}
          </Route>
        </Switch>
      </Suspense>
    </CrashNet>
  );
}

function usePageTitle(path: string): void {
  useEffect(() => {
    const [, first, , id] = path.split("/");
    const page =
      first === "commands"
        ? t.nav.commands
        : first === "alerts"
          ? t.nav.alerts
          : first === "climate"
            ? (path.split("/")[2] ?? t.nav.climate)
            : first === "audit"
              ? t.nav.audit
              : first === "account"
                ? t.nav.account
                : first === "signin"
                  ? t.account.signInTitle
                  : id
                    ? decodeURIComponent(id)
                    : t.nav.floor;
    document.title = t.title(page);
  }, [path]);
}

function NotFound() {
  return (
    <EmptyState whole title={t.shell.notFound} note={t.shell.notFoundNote}>
      <Link href="/operations" className="button button--plain">
        {t.shell.toFloor}
      </Link>
    </EmptyState>
  );
}

/** A fault in one page leaves the others, and the way to them, alive. */
class CrashNet extends Component<{ children: ReactNode }, { crashed: boolean }> {
  override state = { crashed: false };

  static getDerivedStateFromError(): { crashed: boolean } {
    return { crashed: true };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    console.error(error, info.componentStack);
  }

  override render(): ReactNode {
    if (!this.state.crashed) return this.props.children;
    return (
      <EmptyState whole title={t.shell.crashed} note={t.shell.crashedNote}>
        <Button onClick={() => location.reload()}>{t.shell.reload}</Button>
      </EmptyState>
    );
  }
}
