// The operators' console: what runs, what has been, and what is set up.

import { CircleUserRound } from "lucide-react";
import { t } from "../strings";
import { useEvents } from "../people/events";
import { Incoming } from "../people/incoming";
import { SignedIn, signOut, useMe } from "../people/me";
import { Brand, Button, cx, Fault } from "../ui/kit";
import { LanguageChoice } from "../ui/language";
import { Audit } from "./audit";
import { Calls } from "./calls";
import { DialPlan } from "./dialplan";
import { Live } from "./live";
import { Collection } from "./collection";
import { Settings } from "./settings";
import { Protection } from "./protection";
import { Setup } from "./setup";
import { SyntheticCallers } from "./synthetic";
import { devices, meetings, numbers, trunks, users } from "./resources";

const rank = { user: 0, superuser: 1, administrator: 2 };

export type Section = "live" | "meetings" | "calls" | "setup" | "trunks" | "numbers" | "dialplan" | "protection" | "devices" | "users" | "audit" | "settings";

/** sections with the least role that may use them. */
const sections: [Section, keyof typeof rank][] = [
  ["live", "user"], ["meetings", "user"], ["calls", "superuser"], ["setup", "administrator"], ["trunks", "administrator"], ["numbers", "administrator"],
  ["dialplan", "administrator"], ["protection", "administrator"], ["devices", "administrator"], ["users", "superuser"], ["audit", "superuser"], ["settings", "superuser"],
];

export function Console({ section, id }: { section: string; id?: string }) {
  return (
    <SignedIn>
      <Desk section={section} id={id} />
    </SignedIn>
  );
}

function Desk({ section, id }: { section: string; id?: string }) {
  const me = useMe();
  const mine = sections.filter(([, role]) => rank[me.role] >= rank[role]).map(([name]) => name);
  const at = mine.find((s) => s === section) ?? "live";
  const { tick, live } = useEvents();
  return (
    <div className="flex min-h-full flex-col">
      <Incoming />
      <header className="border-b border-line bg-surface">
        <div className="mx-auto flex w-full max-w-7xl flex-wrap items-center justify-between gap-x-6 gap-y-1 px-4 py-2 sm:px-6">
          <Brand short />
          <nav aria-label={t.console.nav} className="order-last -mx-2 flex w-full gap-1 overflow-x-auto p-1">
            {mine.map((s) => (
              <a
                key={s}
                href={`/console/${s}`}
                aria-current={s === at ? "page" : undefined}
                className={cx("rounded-md px-3 py-2 text-sm font-medium whitespace-nowrap", s === at ? "bg-tint text-accent" : "text-soft hover:bg-raised")}
              >
                {t.console[s]}
              </a>
            ))}
          </nav>
          <div className="flex items-center gap-3 text-sm">
            <a href="/" className="rounded-md px-2 py-2 font-medium text-accent hover:underline">
              {t.mine.page}
            </a>
            <a href="/account" title={t.account.title} className="inline-flex min-h-9 items-center font-medium text-accent hover:underline">
              <CircleUserRound aria-hidden className="size-6 sm:hidden" />
              <span className="max-w-40 truncate max-sm:sr-only">{me.display_name || me.email}</span>
            </a>
            <Button small onClick={signOut}>
              {t.console.signOut}
            </Button>
          </div>
        </div>
      </header>
      <main className="mx-auto w-full max-w-7xl flex-1 px-4 py-6 sm:px-6">
        {!live && (
          <div className="mb-4">
            <Fault>{t.console.offline}</Fault>
          </div>
        )}
        {at === "live" && <Live tick={tick} />}
        {at === "calls" && <Calls tick={tick} id={id} />}
        {at === "meetings" && <Collection key={at} resource={meetings} tick={tick} />}
        {at === "setup" && <Setup />}
        {at === "trunks" && <Collection key={at} resource={trunks} tick={tick} />}
        {at === "numbers" && (
          <div className="flex flex-col gap-8">
            <Collection key={at} resource={numbers} tick={tick} />
            <SyntheticCallers tick={tick} />
          </div>
        )}
        {at === "dialplan" && <DialPlan tick={tick} />}
        {at === "protection" && <Protection tick={tick} />}
        {at === "devices" && <Collection key={at} resource={devices} tick={tick} />}
        {at === "users" && <Collection key={at} resource={users} tick={tick} />}
        {at === "audit" && <Audit tick={tick} />}
        {at === "settings" && <Settings tick={tick} />}
      </main>
      <footer className="mx-auto flex w-full max-w-7xl justify-end px-4 pb-4 text-sm sm:px-6">
        <LanguageChoice />
      </footer>
    </div>
  );
}
