// Opening hours as people write them: "Mon-Fri 08:00-18:00, Sat 09:00-12:00".

import type { Span } from "../api/schema";
import { t } from "../strings";

const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
type Day = (typeof days)[number];

/** names of the days in a language; 5 January 2026 was a Monday. */
const names = (locale: string) => days.map((_, i) => new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2026, 0, 5 + i)).replace(".", ""));

/** showHours writes spans, days that follow one another as a range. */
export const showHours = (spans: Span[] | null, locale: string = t.locale) => (spans ?? []).map((s) => `${ranges(s.days ?? [], names(locale))} ${s.from}-${s.to}`).join(", ");

function ranges(list: readonly Day[], called: string[]): string {
  const at = list.map((d) => days.indexOf(d));
  const runs: [number, number][] = [];
  for (const d of at) {
    const last = runs.at(-1);
    if (last && (last[1] + 1) % 7 === d) last[1] = d;
    else runs.push([d, d]);
  }
  return runs.map(([a, b]) => (a === b ? called[a] : `${called[a]}-${called[b]}`)).join("+");
}

/** readHours reads what showHours writes, and days in English; undefined: that is not understood. */
export function readHours(text: string, locale: string = t.locale): Span[] | undefined {
  const called = names(locale).map((n) => n.toLowerCase());
  const spans: Span[] = [];
  for (const part of text.split(",").map((p) => p.trim()).filter(Boolean)) {
    const [, when = "", from = "", to = ""] = /^(\S+)\s+(\d\d:\d\d)\s*[-–]\s*(\d\d:\d\d)$/.exec(part) ?? [];
    const list = when.split("+").flatMap((r) => readRange(r, called) ?? []);
    if (!from || !list.length) return undefined;
    spans.push({ days: list, from, to });
  }
  return spans;
}

function readRange(text: string, called: string[]): Day[] | undefined {
  const [a = -1, b = a] = text.split(/[-–]/).map((d) => dayOf(d, called));
  if (a < 0 || b < 0) return undefined;
  const list: Day[] = [];
  for (let d = a; ; d = (d + 1) % 7) {
    list.push(days[d]!);
    if (d === b) return list;
  }
}

const dayOf = (text: string, called: string[]) => {
  const word = text.toLowerCase();
  const own = called.indexOf(word);
  return own >= 0 ? own : days.indexOf(word as Day);
};
