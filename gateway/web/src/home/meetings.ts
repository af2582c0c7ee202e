// Meetings of the account that is signed in, as the API gives them.

import type { MeetingView, ScheduleBody } from "../api/schema";
import { request } from "../console/api";

export type Meeting = MeetingView;
export type Repeat = "" | NonNullable<ScheduleBody["repeat"]>;

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** make asks for a meeting with a passcode; at is a local time, or empty: at any time. */
export function make(name: string, at: string, minutes: number, repeat: Repeat): Promise<Meeting> {
  return request("post", "/meetings", {
    body: {
      name,
      guest_passcode: passcode(),
      ...(at && { schedule: { start: new Date(at).toISOString(), time_zone: zone, minutes, ...(repeat && { repeat }) } }),
    },
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
