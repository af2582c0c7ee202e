// What is set up in the console, as lists and forms.

import { Pencil } from "lucide-react";
import { useState } from "react";
import type { DeviceView, MeetingView, Number as PhoneNumber, TrunkView, User } from "../api/schema";
import { Edit } from "../home/edit";
import { t } from "../strings";
import { Button, cx } from "../ui/kit";
import { Problem, request } from "./api";
import { readHours, showHours } from "./hours";
import type { Input, Resource } from "./collection";
import { CheckTrunk } from "./trunkcheck";
import { stateOf, UserActions } from "./users";

const f = t.fields;
const yes = (v: boolean) => (v ? t.console.yes : t.console.no);

export const meetings: Resource<MeetingView> = {
  title: t.console.meetings,
  path: "/meetings",
  id: (m) => m.number,
  name: (m) => m.name || m.number,
  columns: [
    { title: f.number, strong: true, cell: (m) => m.number },
    { title: f.name, cell: (m) => m.name },
    { title: f.kind, cell: (m) => [f[m.kind], m.hidden && f.hidden.toLowerCase()].filter(Boolean).join(", ") },
    { title: f.passcodes, cell: (m) => [m.has_host_passcode && f.host, m.has_guest_passcode && f.guest].filter(Boolean).join(", ") || t.console.no },
    { title: f.admission, cell: (m) => f[m.admission] },
    { title: f.encrypted_only, cell: (m) => yes(m.encrypted_only) },
  ],
  inputs: [
    { name: "name", label: f.name },
    { name: "number", label: f.number, hint: t.hints.number, pattern: "[0-9]{3,20}" },
    { name: "kind", label: f.kind, type: "select", options: [["permanent", f.permanent], ["one-time", f["one-time"]]] },
    { name: "host_passcode", label: f.host_passcode, hint: t.hints.passcode, pattern: "[0-9]{4,16}" },
    { name: "guest_passcode", label: f.guest_passcode, hint: t.hints.passcode, pattern: "[0-9]{4,16}" },
    { name: "admission", label: f.admission, type: "select", options: [["open", f.open], ["accept", f.accept], ["accept-any", f["accept-any"]], ["known", f.known]] },
    { name: "max_participants", label: f.max_participants, type: "number", hint: t.hints.max },
    { name: "layout", label: t.host.layout, type: "select", options: [["", t.console.asConfigured], ...Object.entries(t.layouts)] },
    { name: "encrypted_only", label: f.encrypted_only, type: "checkbox" },
    { name: "hidden", label: f.hidden, type: "checkbox" },
  ],
  actions: (m, reload) => (
    <>
      <EditMeeting number={m.number} name={m.name || m.number} saved={reload} />
      <a href={`/join/${m.number}`} className="inline-flex min-h-9 items-center rounded-md px-3 text-sm font-medium text-accent hover:bg-raised">
      {t.console.join}
      <span className="sr-only"> {m.number}</span>
      </a>
    </>
  ),
};

/** EditMeeting opens the settings of a meeting. */
function EditMeeting({ number, name, saved }: { number: string; name: string; saved(): void }) {
  const [meeting, setMeeting] = useState<MeetingView>();
  const [fault, setFault] = useState("");
  const open = () => void request("get", "/meetings/{number}", { path: { number } }).then(setMeeting, (err: Problem) => setFault(err.message));
  return (
    <>
      {fault && <span className="text-sm text-bad">{fault}</span>}
      <Button small bare look="plain" icon={Pencil} onClick={open}>
        {t.console.edit(name)}
      </Button>
      {meeting && (
        <Edit
          meeting={meeting} onClose={() => setMeeting(undefined)}
          saved={() => {
            setMeeting(undefined);
            saved();
          }}
        />
      )}
    </>
  );
}

const transports: [string, string][] = [["tls", "TLS"], ["udp", "UDP"], ["tcp", "TCP"]];

const formats: [string, string][] = [["e164", "+4930…"], ["digits", "4930…"], ["international", "004930…"], ["national", "030…"]];

const encryptions: [string, string][] = [["", f.byTransport], ["required", f.required], ["optional", f.optional], ["none", f.none]];

export const trunkInputs: Input[] = [
  { name: "name", label: f.name, required: true },
  { name: "mode", label: f.mode, type: "select", options: Object.entries(t.console.modes) },
  { name: "transport", label: f.transport, type: "select", options: transports },
  { name: "host", label: f.hostname },
  { name: "source", label: f.source, type: "list", hint: t.hints.source },
  { name: "username", label: f.username },
  { name: "password", label: f.password, type: "password" },
  { name: "auth_user", label: f.auth_user, hint: t.hints.authUser },
  { name: "realm", label: f.realm, hint: t.hints.realm },
  { name: "outbound_proxy", label: f.outbound_proxy, hint: t.hints.proxy },
  { name: "media_encryption", label: f.media_encryption, type: "select", options: encryptions },
  { name: "tls_ca", label: f.tls_ca, type: "lines", hint: t.hints.tlsCA },
  { name: "country", label: f.country, pattern: "[A-Z]{2}" },
  { name: "number_format", label: f.number_format, type: "select", options: formats },
  { name: "caller_id", label: f.caller_id, hint: t.hints.e164 },
  { name: "loopback", label: f.loopback, hint: t.hints.loopback },
  { name: "stir", label: f.unproved, type: "select", options: Object.entries(t.console.stir.modes) },
  { name: "priority", label: f.priority, type: "number", hint: t.hints.priority },
  { name: "max_channels", label: f.max_channels, type: "number", hint: t.hints.max },
  { name: "daily_minutes", label: f.daily_minutes, type: "number", hint: t.hints.max },
  { name: "enabled", label: f.enabled, type: "checkbox", value: true },
  { name: "override_check", label: f.override_check, type: "checkbox" },
];

export const trunks: Resource<TrunkView> = {
  title: t.console.trunks,
  path: "/trunks",
  id: (x) => x.id,
  name: (x) => x.name,
  columns: [
    { title: f.name, strong: true, cell: (x) => x.name },
    { title: f.hostname, cell: (x) => x.host || "–" },
    { title: f.transport, cell: (x) => x.transport.toUpperCase() },
    { title: f.source, cell: (x) => x.source.join(", ") || "–" },
    { title: f.state, cell: (x) => <State state={x.state} detail={x.detail} /> },
  ],
  inputs: trunkInputs,
  edits: trunkInputs,
  actions: (x) => <CheckTrunk trunk={x} />,
};

/** State is a word with a meaning: good, bad, or neither. */
function State({ state, detail }: { state: string; detail?: string }) {
  const good = state === "up" || state === "registered";
  return (
    <span title={detail} className={cx("rounded-full px-2 py-0.5 text-xs font-medium", good ? "bg-good-tint text-good" : state === "down" ? "bg-bad-tint text-bad" : "bg-raised text-soft")}>
      {t.console.states[state] ?? state}
    </span>
  );
}

const numberInputs: Input[] = [
  { name: "trunk", label: f.trunk, required: true },
  { name: "target", label: f.target, hint: t.hints.target, required: true, value: "reception", pattern: "reception|meeting:[0-9]+|user:.+" },
  { name: "country", label: f.country, pattern: "[A-Z]{2}" },
  { name: "language", label: f.language, pattern: "[a-z]{2}" },
  { name: "label", label: f.label },
  { name: "hours", label: f.hours, hint: t.hints.hours },
  { name: "time_zone", label: f.time_zone, value: Intl.DateTimeFormat().resolvedOptions().timeZone },
  { name: "closed", label: f.closed, hint: t.hints.closed, pattern: "reception|meeting:[0-9]+|user:.+" },
  { name: "no_passcode", label: f.no_passcode, type: "checkbox" },
  { name: "in_invites", label: f.in_invites, type: "checkbox", value: true },
];

/** nestHours makes the hours of a number from what its form says. */
function nestHours({ hours, time_zone, closed, ...body }: Record<string, unknown>) {
  const open = readHours(typeof hours === "string" ? hours : "");
  if (!open) throw new Problem(0, t.hints.hoursWrong);
  return { ...body, hours: { time_zone: open.length ? time_zone : "", open, otherwise: closed || undefined } };
}

export const numbers: Resource<PhoneNumber> = {
  title: t.console.numbers,
  path: "/numbers",
  id: (n) => n.number,
  name: (n) => n.number,
  columns: [
    { title: f.number, strong: true, cell: (n) => n.number },
    { title: f.trunk, cell: (n) => n.trunk },
    { title: f.target, cell: (n) => n.target },
    { title: f.country, cell: (n) => n.country || "–" },
    { title: f.label, cell: (n) => n.label || "–" },
    { title: f.hours, cell: (n) => (n.hours ? `${showHours(n.hours.open)} (${n.hours.time_zone})` : "–") },
  ],
  inputs: [{ name: "number", label: f.number, hint: t.hints.e164, required: true, pattern: "\\+[1-9][0-9]{4,14}" }, ...numberInputs],
  edits: numberInputs,
  flat: (n) => ({ ...n, hours: showHours(n.hours?.open ?? null), time_zone: n.hours?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone, closed: n.hours?.otherwise }),
  nest: nestHours,
};

export const devices: Resource<DeviceView> = {
  title: t.console.devices,
  path: "/devices",
  id: (d) => d.id,
  name: (d) => d.name || d.user,
  columns: [
    { title: f.user, strong: true, cell: (d) => d.user },
    { title: f.name, cell: (d) => d.name },
    { title: f.extension, cell: (d) => d.extension || "–" },
    { title: f.registered, cell: (d) => d.registrations.map((r) => `${t.protocols[r.protocol] ?? r.protocol} ${r.source}`).join(", ") || t.console.no },
  ],
  inputs: [
    { name: "user", label: f.user, required: true },
    { name: "password", label: f.password, type: "password", required: true, hint: t.hints.devicePassword },
    { name: "name", label: f.name },
    { name: "extension", label: f.extension, pattern: "[0-9]{2,10}" },
  ],
  edits: [
    { name: "name", label: f.name },
    { name: "extension", label: f.extension, pattern: "[0-9]{2,10}" },
    { name: "password", label: f.password, type: "password", hint: t.hints.devicePassword },
    { name: "hidden", label: t.edit.hidden, type: "checkbox" },
  ],
};

export const users: Resource<User> = {
  title: t.console.users,
  path: "/users",
  id: (u) => u.id,
  name: (u) => u.email,
  columns: [
    { title: f.email, strong: true, cell: (u) => u.email },
    { title: f.display_name, cell: (u) => u.display_name },
    { title: f.role, cell: (u) => t.console.roles[u.role] ?? u.role },
    { title: f.state, cell: (u) => stateOf(u) },
  ],
  actions: (u, reload) => <UserActions user={u} reload={reload} />,
  inputs: [
    { name: "email", label: f.email, required: true },
    { name: "display_name", label: f.display_name },
    { name: "password", label: f.password, type: "password", required: true, hint: t.hints.password },
    { name: "role", label: f.role, type: "select", options: Object.entries(t.console.roles) },
  ],
  edits: [
    { name: "display_name", label: f.display_name },
    { name: "role", label: f.role, type: "select", options: Object.entries(t.console.roles) },
    { name: "password", label: f.password, type: "password", hint: t.hints.password },
  ],
};
