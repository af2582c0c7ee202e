// All settings of a meeting.

import { useState, type FormEvent } from "react";
import type { MeetingPatch, ScheduleBody } from "../api/schema";
import { request, type Problem } from "../console/api";
import { t } from "../strings";
import { Button, Checkbox, Dialog, Fault, Field, Select } from "../ui/kit";
import { inputTime, zone, type Meeting } from "./meetings";

const f = t.fields;
const e = t.edit;

export function Edit({ meeting: m, onClose, saved }: { meeting: Meeting; onClose(): void; saved(): void }) {
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    try {
      await request("patch", "/meetings/{number}", { path: { number: m.number }, body: patch(new FormData(event.currentTarget)) });
      saved();
    } catch (err) {
      setFault((err as Problem).message);
      setBusy(false);
    }
  };
  const start = m.schedule ? inputTime(new Date(m.schedule.next ?? m.schedule.start ?? "")) : "";
  return (
    <Dialog wide open onClose={onClose} title={e.title(m.name || m.number)}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-5">
        {fault && <Fault>{fault}</Fault>}
        <Field label={f.name} name="name" defaultValue={m.name} maxLength={128} />
        <fieldset className="grid gap-4 sm:grid-cols-2">
          <legend className="mb-2 font-semibold">{e.time}</legend>
          <Field label={t.mine.at} name="start" type="datetime-local" defaultValue={start} hint={e.timeHint(zone)} />
          <Field label={e.minutes} name="minutes" type="number" min={1} max={10080} defaultValue={m.schedule?.minutes ?? 60} />
          <Select label={t.mine.repeat} name="repeat" defaultValue={m.schedule?.repeat ?? ""} options={Object.entries(t.mine.repeats)} />
        </fieldset>
        <fieldset className="grid gap-4 sm:grid-cols-2">
          <legend className="mb-2 font-semibold">{e.door}</legend>
          <Select
            label={f.admission} name="admission" defaultValue={m.admission}
            options={[["open", f.open], ["accept", f.accept], ["accept-any", f["accept-any"]], ["known", f.known]]}
          />
          <Field label={f.max_participants} name="max_participants" type="number" min={0} max={10000} defaultValue={m.max_participants} hint={t.hints.max} />
          <Code name="guest_passcode" label={f.guest_passcode} has={m.has_guest_passcode} />
          <Code name="host_passcode" label={f.host_passcode} has={m.has_host_passcode} />
          <Field label={e.hosts} name="hosts" hint={e.hostsHint(m.hosts.length)} autoComplete="off" />
        </fieldset>
        <div className="grid sm:grid-cols-2">
          <Checkbox label={e.wait_for_host} name="wait_for_host" defaultChecked={m.wait_for_host} />
          <Checkbox label={e.mute_on_entry} name="mute_on_entry" defaultChecked={m.mute_on_entry} />
          <Checkbox label={f.encrypted_only} name="encrypted_only" defaultChecked={m.encrypted_only} />
          <Checkbox label={e.quiet} name="quiet" defaultChecked={m.quiet} />
          {m.kind === "permanent" && <Checkbox label={e.hidden} name="hidden" defaultChecked={m.hidden} />}
        </div>
        <Select label={t.host.layout} name="layout" defaultValue={m.layout} options={[["", t.console.asConfigured], ...Object.entries(t.layouts)]} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t.console.cancel}</Button>
          <Button type="submit" look="primary" disabled={busy}>
            {t.console.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Code is a passcode that is not shown: left empty it stays, a dash removes it. */
function Code({ name, label, has }: { name: string; label: string; has: boolean }) {
  return <Field label={label} name={name} pattern="[0-9]{4,16}|-" hint={has ? e.codeSet : t.hints.passcode} inputMode="numeric" autoComplete="off" />;
}

function patch(form: FormData): MeetingPatch {
  const text = (name: string) => String(form.get(name) ?? "").trim();
  const body: MeetingPatch = { name: text("name"), admission: text("admission") as MeetingPatch["admission"], layout: text("layout"), max_participants: Number(text("max_participants")) };
  for (const box of ["wait_for_host", "mute_on_entry", "encrypted_only", "quiet", "hidden"] as const) body[box] = form.get(box) !== null;
  for (const code of ["guest_passcode", "host_passcode"] as const) if (text(code)) body[code] = text(code) === "-" ? "" : text(code);
  const start = text("start");
  body.schedule = start
    ? { start: new Date(start).toISOString(), time_zone: zone, minutes: Number(text("minutes")) || 60, ...(text("repeat") && { repeat: text("repeat") as ScheduleBody["repeat"] }) }
    : { minutes: 0 };
  if (text("hosts")) body.hosts = text("hosts") === "-" ? [] : text("hosts").split(/[\s,;]+/).filter(Boolean);
  return body;
}
