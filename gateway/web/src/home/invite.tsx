// The invitation to a meeting: copied, mailed, or put into a calendar.

import { CalendarPlus, Check, Copy, Mail } from "lucide-react";
import { useState, type FormEvent } from "react";
import type { InvitationView } from "../api/schema";
import { request, useData, type Problem } from "../console/api";
import { t } from "../strings";
import { Button, Dialog, Fault, Field, Spinner } from "../ui/kit";
import type { Meeting } from "./meetings";

const i = t.invite;
const countries = new Intl.DisplayNames(t.locale, { type: "region" });

export function Invite({ meeting, onClose }: { meeting: Pick<Meeting, "number" | "name">; onClose(): void }) {
  return (
    <Dialog wide open onClose={onClose} title={i.title(meeting.name || meeting.number)} text={i.lead}>
      <Invitation number={meeting.number} />
    </Dialog>
  );
}

/** Invitation shows all ways into a meeting, to be passed on. */
export function Invitation({ number }: { number: string }) {
  const { data, fault } = useData("/meetings/{number}/invitation", { path: { number } });
  return (
    <>
      {fault && <Fault>{fault.message}</Fault>}
      {data ? <Ways invitation={data} number={number} /> : !fault && <Spinner />}
    </>
  );
}

function Ways({ invitation: d, number }: { invitation: InvitationView; number: string }) {
  return (
    <div className="flex flex-col gap-5">
      <dl className="grid gap-x-4 gap-y-2 sm:grid-cols-[6rem_1fr]">
        {([[i.web, d.web], [i.sip, d.sip], [i.h323, d.h323]] as const).map(
          ([title, value]) =>
            value && (
              <div key={title} className="contents">
                <dt className="text-sm text-soft sm:pt-2">{title}</dt>
                <dd className="flex min-w-0 items-center gap-2">
                  <span className="min-w-0 flex-1 font-mono text-sm break-all">{value}</span>
                  <CopyButton text={value}>{`${i.copy}: ${title}`}</CopyButton>
                </dd>
              </div>
            ),
        )}
        {d.dial_ins.map((n) => (
          <div key={n.number} className="contents">
            <dt className="text-sm text-soft">{[n.country ? countries.of(n.country) : n.country_name, n.label].filter(Boolean).join(", ")}</dt>
            <dd>
              <a href={n.uri} className="text-accent underline">
                {n.formatted}
              </a>
              <span className="ml-2 font-mono text-sm text-soft">{n.keys}</span>
            </dd>
          </div>
        ))}
      </dl>
      <details>
        <summary className="min-h-6 rounded-md text-sm font-medium text-accent hover:underline">{i.asText}</summary>
        <pre tabIndex={0} className="mt-2 max-h-56 overflow-auto rounded-md bg-raised p-3 text-sm whitespace-pre-wrap">{d.text}</pre>
      </details>
      <div className="flex flex-wrap gap-3">
        <CopyButton text={d.text} look="primary" wide>
          {i.copyAll}
        </CopyButton>
        <a
          href={`data:text/calendar;charset=utf-8,${encodeURIComponent(d.ics)}`} download={`meeting-${number}.ics`} target="_self"
          className="inline-flex min-h-11 items-center gap-2 rounded-md bg-raised px-4 font-medium hover:bg-line"
        >
          <CalendarPlus aria-hidden className="size-5" />
          {i.calendar}
        </a>
      </div>
      <ByMail number={number} />
    </div>
  );
}

function CopyButton({ text, children, look = "plain", wide }: { text: string; children: string; look?: "plain" | "primary"; wide?: boolean }) {
  const [done, setDone] = useState(false);
  const copy = () =>
    void navigator.clipboard.writeText(text).then(() => {
      setDone(true);
      window.setTimeout(() => setDone(false), 2500);
    });
  return (
    <>
      <Button small={!wide} bare={!wide} look={look} icon={done ? Check : Copy} onClick={copy}>
        {children}
      </Button>
      <span role="status" className="sr-only">
        {done ? i.copied : ""}
      </span>
    </>
  );
}

function ByMail({ number }: { number: string }) {
  const [fault, setFault] = useState("");
  const [sent, setSent] = useState(0);
  const [busy, setBusy] = useState(false);
  const submit = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = e.currentTarget;
    const to = String(new FormData(form).get("to") ?? "").split(/[\s,;]+/).filter(Boolean);
    if (!to.length) return;
    setBusy(true);
    try {
      await request("post", "/meetings/{number}/invitation", { path: { number }, body: { to } });
      setSent(to.length);
      setFault("");
      form.reset();
    } catch (err) {
      setFault((err as Problem).message);
      setSent(0);
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(e) => void submit(e)} noValidate className="flex flex-col gap-3 border-t border-line pt-4">
      {fault && <Fault>{fault}</Fault>}
      <div className="flex flex-wrap items-end gap-3">
        <div className="min-w-0 flex-1 basis-60">
          <Field label={i.byMail} name="to" hint={i.mailHint} inputMode="email" autoComplete="off" />
        </div>
        <Button type="submit" icon={Mail} disabled={busy} className="mb-6.5">
          {i.send}
        </Button>
      </div>
      <p role="status" className="text-sm text-good">
        {sent ? i.sent(sent) : ""}
      </p>
    </form>
  );
}
