// Conversations: the list of them, one thread, and how a new one begins.

import { ArrowLeft, LogOut, MessageSquarePlus, SendHorizontal, Trash2, Users, Video, User } from "lucide-react";
import { useCallback, useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import type { Conversation, Message } from "../api/schema";
import { request, type Problem } from "../console/api";
import { t } from "../strings";
import { Button, Confirm, cx, Dialog, Fault, Field, Spinner } from "../ui/kit";
import { go } from "../ui/route";
import { Desk } from "./desk";
import { find, type Entry } from "./entries";
import { useEvent } from "./events";
import { useMe } from "./me";

export function Chat({ id }: { id: string }) {
  return (
    <Desk at="chat">
      <Conversations at={id} />
    </Desk>
  );
}

/** titleOf is what a conversation is called by one of its members. */
export function titleOf(c: Pick<Conversation, "kind" | "name" | "meeting" | "members">, me: string): string {
  if (c.kind === "meeting") return c.name || t.prejoin.title(c.meeting ?? "");
  const others = c.members.filter((m) => m.id !== me).map((m) => m.name);
  return c.name || others.join(", ") || t.chats.alone;
}

const clock = new Intl.DateTimeFormat(t.locale, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(t.locale, { weekday: "short", day: "numeric", month: "short" });

/** when is the time of today, or the day. */
function when(at: string) {
  const d = new Date(at);
  return d.toDateString() === new Date().toDateString() ? clock.format(d) : day.format(d);
}

function Conversations({ at }: { at: string }) {
  const me = useMe();
  const [list, setList] = useState<Conversation[]>();
  const [fault, setFault] = useState("");
  const [adding, setAdding] = useState(false);
  const load = useCallback(
    () =>
      void request("get", "/conversations").then(
        (l) => {
          setList(l);
          setFault("");
        },
        (err: Problem) => setFault(err.message),
      ),
    [],
  );
  useEffect(load, [load]);
  useEvent("open", load);
  useEvent("message", load);
  const chosen = list?.find((c) => c.id === at);
  if (fault && !list) return <Fault action={<Button small onClick={load}>{t.console.retry}</Button>}>{fault}</Fault>;
  if (!list)
    return (
      <div className="grid flex-1 place-items-center" role="status" aria-label={t.console.loading}>
        <Spinner />
      </div>
    );
  return (
    <div className="card flex min-h-0 flex-1 overflow-hidden">
      <h1 className="sr-only">{t.chats.title}</h1>
      <section aria-labelledby="chats" className={cx("flex min-h-0 w-full flex-col border-line md:w-80 md:shrink-0 md:border-r", at && "max-md:hidden")}>
        <div className="flex items-center justify-between gap-2 border-b border-line p-3">
          <h2 id="chats" className="text-lg font-semibold">
            {t.chats.all}
          </h2>
          <Button look="primary" small icon={MessageSquarePlus} onClick={() => setAdding(true)}>
            {t.chats.add}
          </Button>
        </div>
        {list.length === 0 && <p className="p-4 text-soft">{t.chats.none}</p>}
        <ul className="min-h-0 flex-1 overflow-y-auto">
          {list.map((c) => (
            <Line key={c.id} conversation={c} me={me.id} current={c.id === at} />
          ))}
        </ul>
      </section>
      <section aria-label={chosen ? titleOf(chosen, me.id) : t.chats.choose} className={cx("flex min-h-0 min-w-0 flex-1 flex-col", !at && "max-md:hidden")}>
        {chosen ? (
          <Thread key={chosen.id} conversation={chosen} changed={load} />
        ) : (
          <div className="m-auto flex flex-col items-center gap-4 p-6 text-center text-soft">
            <p>{at ? t.chats.gone : t.chats.choose}</p>
            {at && <Button onClick={() => go("/chat")}>{t.chats.back}</Button>}
          </div>
        )}
      </section>
      <New open={adding} onClose={() => setAdding(false)} done={(id) => { setAdding(false); load(); go(`/chat/${id}`); }} />
    </div>
  );
}

const icons = { direct: User, group: Users, meeting: Video };

function Line({ conversation: c, me, current }: { conversation: Conversation; me: string; current: boolean }) {
  const Icon = icons[c.kind];
  const last = c.last;
  return (
    <li>
      <a href={`/chat/${c.id}`} aria-current={current ? "page" : undefined} className={cx("flex items-center gap-3 p-3", current ? "bg-tint" : "hover:bg-raised")}>
        <Icon aria-hidden className="size-5 shrink-0 text-soft" />
        <span className="min-w-0 flex-1">
          <span className="flex items-baseline gap-2">
            <span className={cx("min-w-0 flex-1 truncate", c.unread > 0 ? "font-semibold" : "font-medium")}>{titleOf(c, me)}</span>
            {last && <time dateTime={last.at} className="shrink-0 text-xs text-soft">{when(last.at)}</time>}
          </span>
          <span className="flex items-center gap-2 text-sm text-soft">
            <span className="min-w-0 flex-1 truncate">{last ? (last.sender === me ? `${t.meeting.you}: ${last.text}` : last.text) : t.chats.empty}</span>
            {c.unread > 0 && (
              <span className="shrink-0 rounded-full bg-accent px-2 text-xs leading-5 font-semibold text-on-accent">
                <span aria-hidden>{c.unread}</span>
                <span className="sr-only">{t.controls.unread(c.unread)}</span>
              </span>
            )}
          </span>
        </span>
      </a>
    </li>
  );
}

/** useThread is what one may read of a conversation, oldest first. */
function useThread(id: string) {
  const [messages, setMessages] = useState<Message[]>();
  const [earlier, setEarlier] = useState(false);
  const [fault, setFault] = useState("");
  const page = 50;
  const load = useCallback(
    (before: number) =>
      request("get", "/conversations/{id}/messages", { path: { id }, query: { limit: page, before } }).then(
        (l) => {
          setMessages((old) => merge(before ? (old ?? []) : [], l));
          setEarlier(l.length === page);
        },
        (err: Problem) => setFault(err.message),
      ),
    [id],
  );
  useEffect(() => void load(0), [load]);
  useEvent("open", () => void load(0));
  useEvent<Message>("message", (m) => {
    if (m.conversation !== id) return; // an erased one has no text
    setMessages((old) => (m.text ? merge(old ?? [], [m]) : old?.filter((x) => x.id !== m.id)));
  });
  return { messages, earlier, fault, setFault, more: () => void load(messages?.[0]?.id ?? 0) };
}

export function merge(a: Message[], b: Message[]): Message[] {
  const all = new Map([...a, ...b].map((m) => [m.id, m]));
  return [...all.values()].sort((x, y) => x.id - y.id);
}

function Thread({ conversation: c, changed }: { conversation: Conversation; changed(): void }) {
  const me = useMe();
  const { messages, earlier, fault, setFault, more } = useThread(c.id);
  const [leaving, setLeaving] = useState(false);
  const end = useRef<HTMLLIElement>(null);
  const last = messages?.[messages.length - 1]?.id ?? 0;
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
    if (!last) return;
    const read = () => {
      if (document.visibilityState === "visible") void request("post", "/conversations/{id}/read", { path: { id: c.id }, body: { message: last } }).then(changed, () => {});
    };
    read();
    document.addEventListener("visibilitychange", read);
    return () => document.removeEventListener("visibilitychange", read);
  }, [c.id, last, changed]);
  const erase = (m: Message) => void request("delete", "/conversations/{id}/messages/{message}", { path: { id: c.id, message: m.id } }).catch((err: Problem) => setFault(err.message));
  const leave = () =>
    void request("delete", "/conversations/{id}/membership", { path: { id: c.id } }).then(
      () => {
        changed();
        go("/chat");
      },
      (err: Problem) => setFault(err.message),
    );
  return (
    <>
      <header className="flex items-center gap-2 border-b border-line p-3">
        <a href="/chat" className="grid size-9 place-items-center rounded-md hover:bg-raised md:hidden">
          <ArrowLeft aria-hidden className="size-5" />
          <span className="sr-only">{t.chats.back}</span>
        </a>
        <div className="min-w-0 flex-1">
          <h2 className="truncate font-semibold">{titleOf(c, me.id)}</h2>
          <p className="truncate text-sm text-soft">{c.kind === "meeting" ? t.chats.ofMeeting : t.chats.members(c.members.length)}</p>
        </div>
        {c.kind === "meeting" ? (
          <a href={`/join/${c.meeting}`} className="rounded-md px-3 py-2 text-sm font-medium text-accent hover:underline">
            {t.console.join}
          </a>
        ) : (
          c.kind === "group" && (
            <Button small bare look="plain" icon={LogOut} onClick={() => setLeaving(true)}>
              {t.chats.leave}
            </Button>
          )
        )}
      </header>
      {fault && <div className="p-3"><Fault>{fault}</Fault></div>}
      <div className="min-h-0 flex-1 overflow-y-auto p-4" tabIndex={0} role="log" aria-label={t.chat.log}>
        {earlier && (
          <Button small className="mx-auto mb-3 flex" onClick={more}>
            {t.chats.earlier}
          </Button>
        )}
        {messages?.length === 0 && <p className="text-sm text-soft">{t.chats.empty}</p>}
        <ul className="flex flex-col gap-3">
          {messages?.map((m) => (
            <Bubble key={m.id} message={m} mine={m.sender === me.id} erase={() => erase(m)} />
          ))}
          <li ref={end} aria-hidden />
        </ul>
      </div>
      {c.kind === "meeting" ? <p className="border-t border-line p-3 text-sm text-soft">{t.chats.inMeeting}</p> : <Writer id={c.id} failed={setFault} />}
      <Confirm open={leaving} onClose={() => setLeaving(false)} title={t.chats.leaveTitle} text={t.chats.leaveText} action={t.chats.leave} onAction={leave} />
    </>
  );
}

function Bubble({ message: m, mine, erase }: { message: Message; mine: boolean; erase(): void }) {
  return (
    <li className={cx("group flex max-w-[85%] items-start gap-1", mine ? "flex-row-reverse self-end" : "self-start")}>
      <div className={cx("min-w-0 rounded-lg px-3 py-2", mine ? "bg-tint" : "bg-raised")}>
        <p className="text-xs text-soft">
          {mine ? t.meeting.you : m.name || t.chats.nobody} · <time dateTime={m.at}>{when(m.at)}</time>
        </p>
        <p className="break-words whitespace-pre-wrap">{m.text}</p>
      </div>
      {mine && (
        <Button small bare look="plain" icon={Trash2} onClick={erase} className="opacity-0 group-hover:opacity-100 focus-visible:opacity-100 pointer-coarse:opacity-100">
          {t.chats.erase}
        </Button>
      )}
    </li>
  );
}

function Writer({ id, failed }: { id: string; failed(text: string): void }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async () => {
    if (!text.trim() || busy) return;
    setBusy(true);
    try {
      await request("post", "/conversations/{id}/messages", { path: { id }, body: { text: text.trim() } });
      setText("");
      failed("");
    } catch (err) {
      failed((err as Problem).message);
    }
    setBusy(false);
  };
  const submit = (e: FormEvent) => {
    e.preventDefault();
    void send();
  };
  const keys = (e: KeyboardEvent) => {
    if (e.key !== "Enter" || e.shiftKey || e.nativeEvent.isComposing) return;
    e.preventDefault();
    void send();
  };
  return (
    <form onSubmit={submit} className="flex items-end gap-2 border-t border-line p-3">
      <textarea
        className="input max-h-40 resize-none [field-sizing:content]" rows={1} aria-label={t.chat.label} placeholder={t.chats.placeholder} value={text}
        maxLength={4000} autoFocus onChange={(e) => setText(e.target.value)} onKeyDown={keys}
      />
      <Button type="submit" look="primary" bare icon={SendHorizontal} className="shrink-0" disabled={busy}>
        {t.chat.send}
      </Button>
    </form>
  );
}

/** New asks with whom to begin a conversation. */
function New({ open, onClose, done }: { open: boolean; onClose(): void; done(id: string): void }) {
  const me = useMe();
  const [typed, setTyped] = useState("");
  const [found, setFound] = useState<Entry[]>([]);
  const [chosen, setChosen] = useState<Entry[]>([]);
  const [name, setName] = useState("");
  const [fault, setFault] = useState("");
  useEffect(() => {
    if (!open) return;
    let on = true;
    const load = window.setTimeout(() => {
      find(typed.trim(), "person", "", 20).then(
        (f) => on && setFound(f.entries.filter((e) => e.id !== me.id)),
        (err: Problem) => on && setFault(err.message),
      );
    }, 120);
    return () => {
      on = false;
      window.clearTimeout(load);
    };
  }, [open, typed, me.id]);
  const picked = (e: Entry) => chosen.some((c) => c.id === e.id);
  const toggle = (e: Entry) => setChosen((l) => (picked(e) ? l.filter((c) => c.id !== e.id) : [...l, e]));
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    if (!chosen.length) return setFault(t.chats.chooseSomebody);
    try {
      const c = await request("post", "/conversations", {
        body: { members: chosen.map((x) => x.id), ...(chosen.length > 1 && name.trim() && { name: name.trim() }) },
      });
      setChosen([]);
      setTyped("");
      setName("");
      setFault("");
      done(c.id);
    } catch (err) {
      setFault((err as Problem).message);
    }
  };
  const others = found.filter((e) => !picked(e));
  return (
    <Dialog open={open} onClose={onClose} title={t.chats.addTitle}>
      <form onSubmit={(e) => void submit(e)} className="flex flex-col gap-4">
        {fault && <Fault>{fault}</Fault>}
        <Field label={t.chats.with} value={typed} onChange={(e) => setTyped(e.target.value)} autoComplete="off" autoFocus maxLength={64} />
        <ul className="max-h-60 overflow-y-auto rounded-md border border-line">
          {[...chosen, ...others].map((e) => (
            <li key={e.id}>
              <label className="flex min-h-11 cursor-pointer items-center gap-3 px-3 hover:bg-raised">
                <input type="checkbox" className="size-5 accent-accent" checked={picked(e)} onChange={() => toggle(e)} />
                <span className="truncate">{e.name}</span>
              </label>
            </li>
          ))}
          {!chosen.length && !others.length && <li className="p-3 text-sm text-soft">{t.directory.nothing}</li>}
        </ul>
        {chosen.length > 1 && <Field label={t.chats.groupName} hint={t.chats.groupHint} value={name} onChange={(e) => setName(e.target.value)} maxLength={64} autoComplete="off" />}
        <Button type="submit" look="primary" disabled={!chosen.length}>
          {t.chats.begin}
        </Button>
      </form>
    </Dialog>
  );
}
