import { call, setCsrfToken } from "../../lib/api";
import { forgetCurves } from "../../lib/curves";
import { queryClient, sessionQuery } from "../../lib/queries";
import type { Account, Session } from "../../lib/types";

interface SignedIn {
  account: Account;
  csrf_token: string;
}

function begin({ account, csrf_token }: SignedIn): void {
  setCsrfToken(csrf_token);
  queryClient.clear();
  queryClient.setQueryData<Session>(sessionQuery.queryKey, { account, role: account.role, csrf_token, open: false });
}

export async function signIn(name: string, password: string): Promise<void> {
  begin(await call<SignedIn>("POST", "/api/session", { body: { name, password } }));
}

export async function signInByLink(code: string): Promise<void> {
  begin(await call<SignedIn>("POST", "/api/session/link", { body: { code } }));
}

/** Nothing of the one who left stays in the page. */
export async function signOut(): Promise<void> {
  await call("DELETE", "/api/session");
  setCsrfToken(undefined);
  forgetCurves();
  queryClient.clear();
}

/** The code of a sign-in link: in the fragment, which no server log sees; ?code= is understood as well. */
export function linkCode(location: Pick<Location, "hash" | "search">): string | null {
  const fromHash = new URLSearchParams(location.hash.replace(/^#/, "")).get("code");
  return fromHash ?? new URLSearchParams(location.search).get("code");
}

/** Where to go after signing in: a path of ours, never another site's. */
export function nextPath(search: string): string {
  const next = new URLSearchParams(search).get("next");
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith("/signin") ? next : "/operations";
}
