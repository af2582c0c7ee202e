// The directory: who can be called, found as one types.

import { DoorOpen, MessageSquare, Monitor, Phone, Search, User, Video } from "lucide-react";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import type { Problem } from "../console/api";
import { t } from "../strings";
import { Button, cx, Fault } from "../ui/kit";
import { Desk } from "./desk";
import { call, find, write, type Entry, type Kind } from "./entries";
import { useEvent } from "./events";
import { useMe } from "./me";

export function Directory() {
  return (
    <Desk at="directory">
      <Finder />
    </Desk>
  );
}

const kinds: (Kind | "")[] = ["", "person", "room", "meeting"];
const icons = { person: User, room: Monitor, meeting: Video };

function Finder() {
  const [typed, setTyped] = useState("");
  const [kind, setKind] = useState<Kind | "">("");
  const { entries, next, fault, setFault, more } = useFound(typed, kind);
  const search = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  // "/" goes to the search, arrows walk through it and what was found.
  const keys = (e: KeyboardEvent) => {
    if (e.key === "/" && e.target !== search.current) {
      e.preventDefault();
      return search.current?.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (!step) return;
    const stops = [search.current, ...(list.current?.querySelectorAll<HTMLElement>("[data-stop]") ?? [])];
    const at = stops.findIndex((s) => s === e.target || s?.closest("li")?.contains(e.target as Node));
    e.preventDefault();
    stops[Math.min(Math.max(at + step, 0), stops.length - 1)]?.focus();
  };
  return (
    <section aria-labelledby="directory" onKeyDown={keys} className="flex flex-col gap-4">
      <h1 id="directory" className="text-2xl font-semibold">
        {t.directory.title}
      </h1>
      <form
        role="search"
        className="flex flex-col gap-3 sm:flex-row sm:items-center"
        onSubmit={(e) => {
          e.preventDefault();
          list.current?.querySelector<HTMLElement>("[data-stop]")?.focus();
        }}
      >
        <div className="relative flex-1">
          <Search aria-hidden className="absolute top-1/2 left-3 size-5 -translate-y-1/2 text-soft" />
          <input
            ref={search} type="search" className="input pl-10" aria-label={t.directory.search} placeholder={t.directory.placeholder} value={typed}
            maxLength={64} autoComplete="off" autoFocus onChange={(e) => setTyped(e.target.value)} aria-describedby="directory-keys"
          />
        </div>
        <fieldset className="flex gap-1 overflow-x-auto">
          <legend className="sr-only">{t.directory.kind}</legend>
          {kinds.map((k) => (
            <label
              key={k}
              className={cx(
                "inline-flex min-h-11 cursor-pointer items-center rounded-md px-3 text-sm font-medium has-focus-visible:outline-3 has-focus-visible:outline-accent",
                k === kind ? "bg-tint text-accent" : "text-soft hover:bg-raised",
              )}
            >
              <input type="radio" name="kind" value={k} checked={k === kind} onChange={() => setKind(k)} className="sr-only" />
              {t.directory.kinds[k || "all"]}
            </label>
          ))}
        </fieldset>
      </form>
      <p id="directory-keys" className="text-sm text-soft max-sm:hidden">
        {t.directory.keys}
      </p>
      {fault && <Fault>{fault}</Fault>}
      <p role="status" className={entries?.length === 0 ? "card p-6 text-soft" : "sr-only"}>
        {entries && (entries.length ? t.directory.found(entries.length, !!next) : t.directory.nothing)}
      </p>
      {!!entries?.length && (
        <ul ref={list} className="card divide-y divide-line">
          {entries.map((e) => (
            <Row key={e.kind + e.id} entry={e} failed={setFault} />
          ))}
        </ul>
      )}
      {next && (
        <Button onClick={more} className="self-center">
          {t.directory.more}
        </Button>
      )}
    </section>
  );
}

/** useFound is what fits to what was typed, kept current by events. */
function useFound(typed: string, kind: Kind | "") {
  const [entries, setEntries] = useState<Entry[]>();
  const [next, setNext] = useState("");
  const [fault, setFault] = useState("");
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let on = true;
    const load = window.setTimeout(() => {
      find(typed.trim(), kind).then(
        (f) => {
          if (!on) return;
          setEntries(f.entries);
          setNext(f.next ?? "");
          setFault("");
        },
        (err: Problem) => on && setFault(err.message),
      );
    }, 120);
    return () => {
      on = false;
      window.clearTimeout(load);
    };
  }, [typed, kind, again]);
  useEvent<Entry>("registrations", (now) => setEntries((list) => list?.map((e) => (e.kind === now.kind && e.id === now.id ? now : e))));
  useEvent("open", () => setAgain((n) => n + 1));
  const more = () =>
    void find(typed.trim(), kind, next).then(
      (f) => {
        setEntries((list) => [...(list ?? []), ...f.entries]);
        setNext(f.next ?? "");
      },
      (err: Problem) => setFault(err.message),
    );
  return { entries, next, fault, setFault, more };
}

function Row({ entry: e, failed }: { entry: Entry; failed(text: string): void }) {
  const me = useMe();
  const [busy, setBusy] = useState(false);
  const Icon = icons[e.kind];
  const act = (f: () => Promise<void>) => {
    setBusy(true);
    f()
      .catch((err: Problem) => failed(err.message))
      .finally(() => setBusy(false));
  };
  // A person is called by its devices, and in the pages that it has open.
  const callable = e.kind === "person" ? e.id !== me.id && (!!e.address || e.present) : !!e.address;
  const writable = e.kind === "person" && e.id !== me.id;
  return (
    <li className="flex items-center gap-3 p-3 sm:px-4">
      <span className="grid size-10 shrink-0 place-items-center rounded-full bg-raised text-soft">
        <Icon aria-hidden className="size-5" />
      </span>
      <div className="min-w-0 flex-1">
        <p className="relative truncate font-medium">
          {e.name}
          <span className="sr-only">, {t.directory.kindOf[e.kind]}</span>
        </p>
        <p className="flex min-w-0 items-center gap-2 text-sm text-soft">
          <PresenceDot entry={e} />
          <span className="truncate">{[presence(e), e.number].filter(Boolean).join(" · ")}</span>
        </p>
      </div>
      {writable && (
        <Button look="plain" bare icon={MessageSquare} disabled={busy} onClick={() => act(() => write(e))} {...(!callable && { "data-stop": true })}>
          {t.directory.write(e.name)}
        </Button>
      )}
      {callable && (
        <Button
          look="primary" bare icon={e.kind === "meeting" ? DoorOpen : Phone} disabled={busy} data-stop onClick={() => act(async () => call(e, t.directory.callTitle(me.display_name || me.email, e.name)))}
        >
          {e.kind === "meeting" ? t.directory.join(e.name) : t.directory.call(e.name)}
        </Button>
      )}
    </li>
  );
}

function presence(e: Entry): string {
  const words = t.directory.presence[e.kind];
  return e.in_call ? words.inCall : e.present ? words.here : words.away;
}

export function PresenceDot({ entry: e }: { entry: Entry }) {
  return (
    <span
      aria-hidden
      className={cx("size-2.5 shrink-0 rounded-full", e.in_call ? "bg-warn" : e.present ? "bg-good" : "border border-edge bg-transparent")}
    />
  );
}
