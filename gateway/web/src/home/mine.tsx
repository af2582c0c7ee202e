// Home of those who are signed in: join, make a meeting in one line, what is on
// today, and all meetings of one's own.

import { ArrowRight, CalendarDays, Pencil, Plus, Trash2, UserPlus } from "lucide-react";
import { useState, type FormEvent } from "react";
import { request, useData, type Problem } from "../console/api";
import { Desk } from "../people/desk";
import { useEvent } from "../people/events";
import { t } from "../strings";
import { Button, Confirm, cx, Fault, Field, Select } from "../ui/kit";
import { LanguageChoice } from "../ui/language";
import { useNumber } from "../ui/number";
import { Edit } from "./edit";
import { Invite } from "./invite";
import { inputTime, make, sameDay, today, type Meeting, type Repeat } from "./meetings";

const m = t.mine;

export function Mine() {
  return (
    <Desk at="home">
      <Board />
    </Desk>
  );
}

function Board() {
  const { data, fault, reload } = useData("/meetings");
  const [inviting, setInviting] = useState<Meeting>();
  const [editing, setEditing] = useState<Meeting>();
  const [removing, setRemoving] = useState<Meeting>();
  const [trouble, setTrouble] = useState("");
  useEvent("participant", reload);
  useEvent("meeting", reload);
  useEvent("open", reload);
  const own = data?.filter((x) => x.host) ?? [];
  const now = new Date();
  const soon = today(data?.filter((x) => x.host || x.participants > 0) ?? [], now);
  const remove = (x: Meeting) =>
    void request("delete", "/meetings/{number}", { path: { number: x.number } }).then(
      () => {
        setTrouble("");
        reload();
      },
      (err: Problem) => setTrouble(err.message),
    );
  const actions = { invite: setInviting, edit: setEditing, remove: setRemoving };
  return (
    <div className="flex flex-col gap-8">
      <h1 className="sr-only">{m.title}</h1>
      <div className="grid gap-4 lg:grid-cols-[1fr_1.6fr]">
        <JoinByNumber />
        <NewMeeting
          made={(x) => {
            reload();
            setInviting(x);
          }}
        />
      </div>
      {(fault || trouble) && <Fault>{fault?.message ?? trouble}</Fault>}
      <section aria-labelledby="today" className="flex flex-col gap-3">
        <h2 id="today" className="text-xl font-semibold">
          {m.today}
        </h2>
        {data && !soon.length && <p className="card p-5 text-soft">{m.nothingToday}</p>}
        <List meetings={soon} now={now} {...actions} />
      </section>
      <section aria-labelledby="own" className="flex flex-col gap-3">
        <h2 id="own" className="text-xl font-semibold">
          {m.own}
        </h2>
        {data && !own.length && <p className="card p-5 text-soft">{m.none}</p>}
        <List meetings={own} now={now} {...actions} />
      </section>
      <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 text-sm">
        <a href="/test" className="font-medium text-accent hover:underline">
          {t.check.page}
        </a>
        <LanguageChoice />
      </div>
      {inviting && <Invite meeting={inviting} onClose={() => setInviting(undefined)} />}
      {editing && (
        <Edit
          meeting={editing} onClose={() => setEditing(undefined)}
          saved={() => {
            setEditing(undefined);
            reload();
          }}
        />
      )}
      <Confirm
        open={!!removing} onClose={() => setRemoving(undefined)} title={removing ? t.console.removeTitle(removing.name || removing.number) : ""}
        text={m.removeText} action={t.console.remove} onAction={() => removing && remove(removing)}
      />
    </div>
  );
}

function JoinByNumber() {
  const number = useNumber();
  return (
    <form onSubmit={number.onSubmit} noValidate className="card flex flex-col gap-4 p-5">
      <Field {...number.field} className="min-h-12 text-xl tracking-widest" />
      <Button type="submit" look="primary" className="mt-auto">
        {t.console.join}
        <ArrowRight aria-hidden className="size-5" />
      </Button>
    </form>
  );
}

const hour = 3600_000;
const nextHour = () => inputTime(new Date(Math.ceil(Date.now() / hour) * hour));

function NewMeeting({ made }: { made(x: Meeting): void }) {
  const [planned, setPlanned] = useState(false);
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    setBusy(true);
    try {
      const x = await make(text("name"), planned ? text("at") : "", Number(text("minutes")), text("repeat") as Repeat);
      setFault("");
      setPlanned(false);
      made(x);
    } catch (err) {
      setFault((err as Problem).message);
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(e) => void submit(e)} className="card flex flex-col gap-4 p-5">
      {fault && <Fault>{fault}</Fault>}
      <div className="flex items-end gap-3">
        <div className="min-w-0 flex-1">
          <Field label={m.new} name="name" placeholder={m.namePlaceholder} maxLength={128} autoComplete="off" />
        </div>
        <Button type="submit" look="primary" icon={Plus} disabled={busy}>
          {m.make}
        </Button>
      </div>
      {planned ? (
        <div className="grid gap-3 sm:grid-cols-3">
          <Field label={m.at} name="at" type="datetime-local" required defaultValue={nextHour()} />
          <Select label={m.minutes} name="minutes" defaultValue="60" options={[15, 30, 45, 60, 90, 120, 240].map((n) => [`${n}`, m.long(n)])} />
          <Select label={m.repeat} name="repeat" options={Object.entries(m.repeats)} />
        </div>
      ) : (
        <div className="flex flex-wrap items-center justify-between gap-2">
          <p className="text-sm text-soft">{m.newHint}</p>
          <Button small icon={CalendarDays} onClick={() => setPlanned(true)}>
            {m.plan}
          </Button>
        </div>
      )}
    </form>
  );
}

interface Acts {
  invite(x: Meeting): void;
  edit(x: Meeting): void;
  remove(x: Meeting): void;
}

function List({ meetings, now, ...acts }: { meetings: Meeting[]; now: Date } & Acts) {
  if (!meetings.length) return null;
  return (
    <ul className="card flex flex-col divide-y divide-line">
      {meetings.map((x) => (
        <Row key={x.number} meeting={x} now={now} {...acts} />
      ))}
    </ul>
  );
}

const clock = new Intl.DateTimeFormat(t.locale, { timeStyle: "short" });
const date = new Intl.DateTimeFormat(t.locale, { weekday: "short", day: "numeric", month: "short" });

/** when says in a few words when a meeting is. */
function when(x: Meeting, now: Date): string {
  const next = x.schedule?.next;
  if (!next) return x.schedule ? m.over : m.anytime;
  const start = new Date(next);
  const end = new Date(start.getTime() + (x.schedule?.minutes ?? 0) * 60_000);
  const span = `${clock.format(start)} – ${clock.format(end)}`;
  return [sameDay(start, now) ? span : `${date.format(start)}, ${span}`, x.schedule?.repeat && m.repeated[x.schedule.repeat]].filter(Boolean).join(", ");
}

function Row({ meeting: x, now, invite, edit, remove }: { meeting: Meeting; now: Date } & Acts) {
  const name = x.name || t.prejoin.title(x.number);
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 py-3 sm:px-5">
      <div className="min-w-0 flex-1 basis-56">
        <p className="truncate font-medium">{name}</p>
        <p className="text-sm text-soft">
          {[when(x, now), x.number].join(" · ")}
          {x.participants > 0 && <span className="ml-2 inline-block rounded-full bg-good-tint px-2 py-0.5 text-xs font-medium text-good">{t.console.inCall(x.participants)}</span>}
          {x.waiting > 0 && <span className="ml-2 inline-block rounded-full bg-warn-tint px-2 py-0.5 text-xs font-medium text-warn">{t.console.waiting(x.waiting)}</span>}
        </p>
      </div>
      <div className="flex items-center gap-1">
        {x.host && <Button small bare look="plain" icon={UserPlus} onClick={() => invite(x)}>{m.inviteTo(name)}</Button>}
        {x.mine && <Button small bare look="plain" icon={Pencil} onClick={() => edit(x)}>{m.editOf(name)}</Button>}
        {x.mine && <Button small bare look="plain" icon={Trash2} onClick={() => remove(x)}>{t.console.removeOne(name)}</Button>}
        <a
          href={`/join/${x.number}`}
          className={cx("ml-1 inline-flex min-h-9 items-center rounded-md px-4 text-sm font-medium", x.participants > 0 ? "bg-accent text-on-accent hover:bg-accent-strong" : "bg-raised hover:bg-line")}
        >
          {t.console.join}
          <span className="sr-only"> {name}</span>
        </a>
      </div>
    </li>
  );
}
