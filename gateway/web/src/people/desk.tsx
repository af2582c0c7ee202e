// The frame of the pages for those who are signed in.

import { BookUser, CircleUserRound, History, House, MessageSquare } from "lucide-react";
import type { ReactNode } from "react";
import { t } from "../strings";
import { Brand, Button, cx } from "../ui/kit";
import { Incoming } from "./incoming";
import { SignedIn, signOut, useMe } from "./me";

const pages = [
  { at: "home", title: t.mine.page, icon: House },
  { at: "directory", title: t.directory.title, icon: BookUser },
  { at: "chat", title: t.chats.title, icon: MessageSquare },
  { at: "history", title: t.history.title, icon: History },
] as const;

export function Desk({ at, children }: { at: string; children: ReactNode }) {
  return (
    <SignedIn>
      <Frame at={at}>{children}</Frame>
    </SignedIn>
  );
}

function Frame({ at, children }: { at: string; children: ReactNode }) {
  const me = useMe();
  return (
    <div className="flex h-full flex-col">
      <header className="border-b border-line bg-surface">
        <div className="mx-auto flex w-full max-w-6xl flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2 sm:px-6">
          <Brand short />
          <nav aria-label={t.directory.pages} className="order-last -mx-2 flex w-full gap-1 overflow-x-auto p-1 md:order-none md:mx-0 md:w-auto">
            {pages.map(({ at: page, title, icon: Icon }) => (
              <a
                key={page}
                href={page === "home" ? "/" : `/${page}`}
                aria-current={page === at ? "page" : undefined}
                className={cx("inline-flex min-h-9 items-center gap-2 rounded-md px-3 text-sm font-medium", page === at ? "bg-tint text-accent" : "text-soft hover:bg-raised")}
              >
                <Icon aria-hidden className="size-4" />
                <span className="max-sm:sr-only">{title}</span>
              </a>
            ))}
          </nav>
          <a href="/console" className="ml-auto rounded-md px-2 py-2 text-sm font-medium text-soft hover:bg-raised">
            {t.console.title}
          </a>
          <a href="/account" title={t.account.title} className="inline-flex min-h-9 items-center text-sm font-medium text-accent hover:underline">
            <CircleUserRound aria-hidden className="size-6 md:hidden" />
            <span className="max-w-40 truncate max-md:sr-only">{me.display_name || me.email}</span>
          </a>
          <Button small onClick={signOut}>
            {t.console.signOut}
          </Button>
        </div>
      </header>
      <Incoming />
      <main className="mx-auto flex min-h-0 w-full max-w-6xl flex-1 flex-col px-4 py-4 sm:px-6 sm:py-6">{children}</main>
    </div>
  );
}
