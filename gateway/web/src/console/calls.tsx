// Call records: refused attempts too, each with the verdict on it.

import { Download } from "lucide-react";
import type { Call, Finding } from "../api/schema";
import { t } from "../strings";
import { Fault, Spinner } from "../ui/kit";
import { useData } from "./api";
import { CallPage } from "./call";
import { Table, type Column } from "./table";

const when = new Intl.DateTimeFormat(t.locale, { dateStyle: "short", timeStyle: "medium" });

/** duration as m:ss or h:mm:ss. */
export function duration(from: string, to?: string) {
  const s = Math.max(0, Math.round(((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** tone is the colour of a grade. */
export const tone = (grade?: Finding["grade"]) => (grade === "failed" ? "text-bad" : grade === "poor" ? "text-warn" : "text-good");

const columns: Column<Call>[] = [
  {
    title: t.fields.started,
    strong: true,
    cell: (c) => (
      <a href={`/console/calls/${encodeURIComponent(c.id)}`} className="text-accent underline">
        {when.format(new Date(c.started))}
      </a>
    ),
  },
  { title: t.fields.duration, cell: (c) => duration(c.started, c.ended) },
  { title: t.fields.protocol, cell: (c) => t.console.by(t.protocols[c.protocol] ?? c.protocol, c.direction === "in") },
  { title: t.fields.from, cell: (c) => c.detail.name || c.from || "–" },
  { title: t.fields.to, cell: (c) => c.to || "–" },
  { title: t.fields.meeting, cell: (c) => c.meeting || "–" },
  { title: t.fields.trunk, cell: (c) => c.trunk || "–" },
  { title: t.fields.result, cell: (c) => <span className={tone(c.detail.findings?.[0]?.grade)}>{c.code ? (t.console.results[c.code] ?? c.code) : t.console.underWay}</span> },
  { title: t.console.verdict, cell: (c) => <span className="block max-w-96 md:min-w-48">{c.detail.findings?.[0]?.text ?? "–"}</span> },
];

export function Calls({ tick, id }: { tick: number; id?: string }) {
  return id ? <CallPage key={id} id={id} tick={tick} /> : <List tick={tick} />;
}

function List({ tick }: { tick: number }) {
  const { data, fault } = useData("/calls", {}, tick);
  return (
    <section>
      <div className="mb-4 flex flex-wrap items-center justify-between gap-3">
        <h1 className="text-2xl font-semibold">{t.console.calls}</h1>
        <Take href="/api/v1/calls.csv">{t.console.asTable}</Take>
      </div>
      {fault && <Fault>{fault.message}</Fault>}
      {data ? <Table label={t.console.calls} columns={columns} rows={data} id={(c) => c.id} /> : !fault && <Spinner />}
    </section>
  );
}

/** Take is a link to a file. */
export function Take({ href, children }: { href: string; children: string }) {
  return (
    <a href={href} download target="_self" className="inline-flex min-h-9 items-center gap-2 rounded-md bg-raised px-3 text-sm font-medium hover:bg-line">
      <Download aria-hidden className="size-4 shrink-0" />
      {children}
    </a>
  );
}
