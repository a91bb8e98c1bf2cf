import { useQuery } from "@tanstack/react-query";
import { Bell, Coffee, Wind, ListOrdered, Monitor, Moon, ScrollText, Search, Sun, UserRound } from "lucide-react";
import { Suspense, lazy, useEffect, useRef, useState, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { announce } from "../design/announce";
import { Toasts } from "../design/Toast";
import { t } from "../i18n";
import { startLink, useLink } from "../lib/link";
import { alertsQuery } from "../lib/queries";
import { useRights } from "../lib/session";
import { setTheme, useTheme, type Theme } from "../lib/theme";

const CommandMenu = lazy(() => import("./CommandMenu"));

const pages = [
  { href: "/operations", label: t.nav.floor, Icon: Coffee },
  { href: "/climate", label: t.nav.climate, Icon: Wind },
  { href: "/commands", label: t.nav.commands, Icon: ListOrdered },
  { href: "/alerts", label: t.nav.alerts, Icon: Bell },
  { href: "/audit", label: t.nav.audit, Icon: ScrollText },
];

/** Everything around a page: where else one can go, whether what is shown is live, who one is. */
export function Shell({ children }: { children: ReactNode }) {
  const [path] = useLocation();
  const rights = useRights();
  const [menu, setMenu] = useState(false);
  const { signedIn } = rights;

  useEffect(() => {
    if (!signedIn) return undefined;
    return startLink();
  }, [signedIn]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey)
        return;
      event.preventDefault();
      setMenu((open) => !open);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  usePageFocus(path);

  return (
    <>
      <a href="#content" className="skip-link">
        {t.skip}
      </a>
      <header className="sticky top-0 z-30 border-b border-hairline bg-milk">
        <div className="mx-auto flex max-w-360 items-center gap-x-2 px-4 md:h-16 md:gap-x-6 md:px-8">
          <Link href="/operations" className="flex min-h-14 items-center gap-2" aria-label={t.appName}>
            <Mark />
            <span className="font-serif text-title font-semibold">{t.appName}</span>
          </Link>
          {signedIn && (
            <nav aria-label={t.nav.label} className="hidden h-full md:flex">
              {pages.map((page) => (
                <NavLink key={page.href} {...page} path={path} />
              ))}
            </nav>
          )}
          <span className="grow" />
          {signedIn && <LinkLamp />}
          {signedIn && (
            <button
              type="button"
              className="button button--quiet text-espresso-soft"
              aria-haspopup="dialog"
              aria-keyshortcuts="Control+K"
              onClick={() => setMenu(true)}
            >
              <Search size={18} aria-hidden="true" />
              <span className="sr-only">{t.shell.menu}</span>
              <kbd className="hidden rounded-s border border-edge px-1.5 font-sans text-note font-normal lg:inline">
                {t.shell.menuKey}
              </kbd>
            </button>
          )}
          <ThemeButton />
          {signedIn ? (
            <Link
              href="/account"
              className="button button--quiet px-2 text-espresso"
              aria-label={rights.session?.account ? `${t.nav.account}, ${rights.session.account.name}` : t.nav.account}
            >
              <UserRound size={18} aria-hidden="true" />
              <span className="hidden lg:inline">{rights.session?.account?.name ?? t.shell.openMode}</span>
            </Link>
          ) : (
            path !== "/signin" && (
              <Link href="/signin" className="button button--quiet">
                {t.shell.signIn}
              </Link>
            )
          )}
        </div>
        {signedIn && <LostBanner />}
      </header>
      <main
        id="content"
        tabIndex={-1}
        className="mx-auto max-w-360 px-4 pt-6 pb-28 outline-none md:px-8 md:pt-10 md:pb-20"
      >
        {children}
      </main>
      {signedIn && (
        <nav
          aria-label={t.nav.label}
          className="fixed inset-x-0 bottom-0 z-30 grid grid-cols-5 border-t border-hairline bg-milk pb-[env(safe-area-inset-bottom)] md:hidden"
        >
          {pages.map((page) => (
            <NavLink key={page.href} {...page} path={path} tab />
          ))}
        </nav>
      )}
      {menu && signedIn && (
        <Suspense fallback={null}>
          <CommandMenu onClose={() => setMenu(false)} />
        </Suspense>
      )}
      <Toasts />
    </>
  );
}

/** After a change of page the keyboard stands at its beginning, and the new title is read. */
function usePageFocus(path: string): void {
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    window.scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [path]);
}

interface NavProps {
  href: string;
  label: string;
  Icon: typeof Bell;
  path: string;
  tab?: boolean;
}

function NavLink({ href, label, Icon, path, tab = false }: NavProps) {
  const here = path === href || path.startsWith(`${href}/`);
  const open = useOpenAlerts(href === "/alerts");
  const count = open > 0 && (
    <span className="rounded-full bg-fault px-1.5 text-note leading-4.5 font-semibold text-milk">
      <span aria-hidden="true">{open}</span>
      <span className="sr-only">{t.nav.openAlerts(open)}</span>
    </span>
  );
  if (tab)
    return (
      <Link
        href={href}
        aria-current={here ? "page" : undefined}
        className={`relative flex min-h-14 flex-col items-center justify-center gap-0.5 border-t-2 text-note ${here ? "border-copper font-semibold" : "border-transparent text-espresso-soft"}`}
      >
        <Icon size={20} aria-hidden="true" />
        <span>{label}</span>
        {count && <span className="absolute top-1 left-1/2 ml-2">{count}</span>}
      </Link>
    );
  return (
    <Link
      href={href}
      aria-current={here ? "page" : undefined}
      className={`-mb-px flex h-full items-center gap-2 border-b-2 px-3 ${here ? "border-copper font-semibold" : "border-transparent text-espresso-soft hover:text-espresso"}`}
    >
      {label}
      {count}
    </Link>
  );
}

function useOpenAlerts(wanted: boolean): number {
  const { data } = useQuery({ ...alertsQuery("open"), enabled: wanted });
  return wanted ? (data?.filter((alert) => !alert.acknowledged_at && !alert.resolved_at).length ?? 0) : 0;
}

function LinkLamp() {
  const link = useLink();
  const word = link === "live" ? t.shell.live : link === "connecting" ? t.shell.connecting : t.shell.lost;
  return (
    <span className="flex items-center gap-1.5 text-note text-espresso-soft">
      <svg
        viewBox="0 0 12 12"
        width="10"
        height="10"
        aria-hidden="true"
        className={link === "live" ? "text-ready" : "text-waiting"}
      >
        {link === "live" ? (
          <circle cx="6" cy="6" r="4.5" fill="currentColor" />
        ) : (
          <circle
            cx="6"
            cy="6"
            r="4.5"
            fill="none"
            stroke="currentColor"
            strokeWidth="2"
            strokeDasharray="4 3"
            className="breathes"
          />
        )}
      </svg>
      <span className="hidden sm:inline">{word}</span>
      <span className="sr-only sm:hidden">{word}</span>
    </span>
  );
}

/** Visible and quiet: only when the link stays down for longer than a hiccup. */
function LostBanner() {
  return useLink() === "lost" ? <LostNote /> : null;
}

function LostNote() {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    let said = false;
    const timer = setTimeout(() => {
      said = true;
      setShown(true);
    }, 1200);
    return () => {
      clearTimeout(timer);
      if (said) announce(t.shell.backLive);
    };
  }, []);
  if (!shown) return null;
  return (
    <p
      role="status"
      className="border-t border-hairline bg-waiting-wash px-4 py-1.5 text-center text-note text-espresso"
    >
      {t.shell.lostNote}
    </p>
  );
}

const nextTheme: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const themeWord: Record<Theme, string> = {
  system: t.shell.themeSystem,
  light: t.shell.themeLight,
  dark: t.shell.themeDark,
};

function ThemeButton() {
  const theme = useTheme();
  const Icon = theme === "system" ? Monitor : theme === "light" ? Sun : Moon;
  return (
    <button
      type="button"
      className="button button--quiet px-0 text-espresso-soft"
      aria-label={t.shell.theme(themeWord[theme])}
      title={t.shell.theme(themeWord[theme])}
      onClick={() => setTheme(nextTheme[theme])}
    >
      <Icon size={18} aria-hidden="true" />
    </button>
  );
}

/** A capsule over a cup. */
function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" fill="none">
      <path d="M11 3h10l2 6H9z" fill="var(--copper)" />
      <path
        d="M7 17h15v5a7 7 0 0 1-7 7h-1a7 7 0 0 1-7-7zM22 18.5h2a3 3 0 0 1 0 6h-2M16 12v2"
        stroke="currentColor"
        strokeWidth="2.4"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
