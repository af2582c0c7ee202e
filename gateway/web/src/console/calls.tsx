// Call records, each with its verdict and the course of signalling and media.

import { ListTree } from "lucide-react";
import { useState } from "react";
import type { Call } from "../api/schema";
import { t } from "../strings";
import { Button, cx, Dialog, Fault, Spinner } from "../ui/kit";
import { useData } from "./api";
import { Table, type Column } from "./table";

const when = new Intl.DateTimeFormat(t.locale, { dateStyle: "short", timeStyle: "medium" });

/** duration as m:ss or h:mm:ss. */
export function duration(from: string, to?: string) {
  const s = Math.max(0, Math.round(((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

const columns: Column<Call>[] = [
  { title: t.fields.started, strong: true, cell: (c) => when.format(new Date(c.started)) },
  { title: t.fields.duration, cell: (c) => duration(c.started, c.ended) },
  { title: t.fields.protocol, cell: (c) => t.console.by(t.protocols[c.protocol] ?? c.protocol, c.direction === "in") },
  { title: t.fields.from, cell: (c) => c.detail.name || c.from || "–" },
  { title: t.fields.to, cell: (c) => c.to || "–" },
  { title: t.fields.meeting, cell: (c) => c.meeting || "–" },
  {
    title: t.fields.result,
    cell: (c) => <span className={cx(!c.code && "text-good", c.code && c.code !== "normal" && c.code !== "ended" && "text-warn")}>{c.code ? (t.console.results[c.code] ?? c.code) : t.console.underWay}</span>,
  },
];

export function Calls({ tick }: { tick: number }) {
  const { data, fault } = useData("/calls", {}, tick);
  const [open, setOpen] = useState<Call>();
  return (
    <section>
      <h1 className="mb-4 text-2xl font-semibold">{t.console.calls}</h1>
      {fault && <Fault>{fault.message}</Fault>}
      {data && (
        <Table
          label={t.console.calls}
          columns={columns}
          rows={data}
          id={(c) => c.id}
          actions={(c) => (
            <Button small look="plain" icon={ListTree} onClick={() => setOpen(c)}>
              {t.console.ladder}
            </Button>
          )}
        />
      )}
      <Dialog wide open={!!open} onClose={() => setOpen(undefined)} title={t.console.ladder}>
        {open && <Course call={open} tick={tick} />}
      </Dialog>
    </section>
  );
}

const exact = new Intl.DateTimeFormat(t.locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

function Course({ call, tick }: { call: Call; tick: number }) {
  const { data, fault } = useData("/calls/{id}/ladder", { path: { id: call.id } }, tick);
  if (fault) return <Fault>{fault.message}</Fault>;
  if (!data) return <Spinner />;
  return (
    <>
      <p className="rounded-md bg-tint p-3">
        <strong>{t.console.verdict}:</strong> {data.verdict}
      </p>
      <ol className="mt-4 flex flex-col gap-2 text-sm">
        {data.steps.map((s, i) => (
          <li key={i} className="grid gap-x-4 border-b border-line pb-2 last:border-0 sm:grid-cols-[8rem_1fr]">
            <time dateTime={s.at} className="text-soft">
              {exact.format(new Date(s.at))}
            </time>
            <div className="min-w-0">
              <p className="font-medium">
                {s.what} {s.from && <span className="font-normal text-soft">{`${s.from} → ${s.to ?? ""}`}</span>}
              </p>
              {s.text && (s.text.includes("\n") ? (
                <details>
                  <summary className="text-accent">{s.text.split("\n")[0]}</summary>
                  <pre tabIndex={0} className="mt-1 max-h-64 overflow-auto rounded-md bg-raised p-2 text-xs">{s.text}</pre>
                </details>
              ) : (
                <p className="break-words text-soft">{s.text}</p>
              ))}
            </div>
          </li>
        ))}
      </ol>
    </>
  );
}
