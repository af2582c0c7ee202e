// Meetings of the account that is signed in, as the API gives them.

import { request } from "../console/api";

export type Repeat = "" | "daily" | "weekdays" | "weekly" | "monthly";

export interface Schedule {
  start: string;
  time_zone: string;
  minutes: number;
  repeat?: Repeat;
  next?: string;
}

export interface Meeting {
  number: string;
  name: string;
  kind: "permanent" | "one-time";
  hidden: boolean;
  has_host_passcode: boolean;
  has_guest_passcode: boolean;
  admission: "open" | "accept" | "accept-any" | "known";
  encrypted_only: boolean;
  wait_for_host: boolean;
  mute_on_entry: boolean;
  quiet: boolean;
  max_participants: number;
  layout: string;
  schedule?: Schedule;
  hosts: string[];
  mine: boolean;
  host: boolean;
  participants: number;
  waiting: number;
}

export interface Invitation {
  web: string;
  sip: string;
  h323: string;
  text: string;
  ics: string;
  dial_ins: { number: string; formatted: string; country_name: string; label: string; uri: string; keys: string }[];
}

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** make asks for a meeting with a passcode; at is a local time, or empty: at any time. */
export function make(name: string, at: string, minutes: number, repeat: Repeat): Promise<Meeting> {
  return request("POST", "/meetings", {
    name,
    guest_passcode: passcode(),
    ...(at && { schedule: { start: new Date(at).toISOString(), time_zone: zone, minutes, ...(repeat && { repeat }) } }),
  });
}

/** passcode of six digits that nobody can guess. */
function passcode(): string {
  const [n = 0] = crypto.getRandomValues(new Uint32Array(1));
  return String(100000 + (n % 900000));
}

/** inputTime is a time as the browser's fields for date and time take it: by the clock here. */
export function inputTime(d: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** sameDay: both are on the same day here. */
export const sameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString();

/** today lists what takes place today or is under way, by time; those without a time only while somebody is there. */
export function today(list: Meeting[], now: Date): Meeting[] {
  const at = (m: Meeting) => (m.schedule?.next ? Date.parse(m.schedule.next) : 0);
  return list
    .filter((m) => m.participants > 0 || (m.schedule?.next && (at(m) <= now.getTime() || sameDay(new Date(at(m)), now))))
    .sort((a, b) => at(a) - at(b) || a.number.localeCompare(b.number));
}
