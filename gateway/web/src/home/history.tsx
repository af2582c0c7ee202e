// One's own calls.

import type { HistoryLine } from "../api/schema";
import { useData } from "../console/api";
import { duration } from "../console/calls";
import { Table, type Column } from "../console/table";
import { Desk } from "../people/desk";
import { useEvent } from "../people/events";
import { t } from "../strings";
import { Fault, Spinner } from "../ui/kit";

const h = t.history;

const at = new Intl.DateTimeFormat(t.locale, { dateStyle: "medium", timeStyle: "short" });

const columns: Column<HistoryLine>[] = [
  { title: t.fields.started, cell: (c) => at.format(new Date(c.started)) },
  { title: t.fields.meeting, strong: true, cell: (c) => c.name || (c.meeting ? t.prejoin.title(c.meeting) : c.to || "–") },
  { title: t.fields.duration, cell: (c) => duration(c.started, c.ended) },
  { title: t.fields.protocol, cell: (c) => t.protocols[c.protocol] ?? c.protocol },
  { title: h.quality, cell: (c) => (c.mos ? h.grade(c.mos) : "–") },
  { title: t.fields.result, cell: (c) => t.over.codes[c.code]?.[0] ?? c.code },
];

export function History() {
  return (
    <Desk at="history">
      <Calls />
    </Desk>
  );
}

function Calls() {
  const { data, fault, reload } = useData("/me/calls");
  useEvent("open", reload);
  return (
    <section aria-labelledby="history" className="flex flex-col gap-4">
      <h1 id="history" className="text-2xl font-semibold">
        {h.title}
      </h1>
      {fault && <Fault>{fault.message}</Fault>}
      {data ? (
        <Table
          label={h.title} columns={columns} rows={data} id={(c) => c.id} empty={h.none}
          actions={(c) =>
            c.meeting && c.name ? (
              <a href={`/join/${c.meeting}`} className="inline-flex min-h-9 items-center rounded-md px-3 text-sm font-medium text-accent hover:bg-raised">
                {h.again}
                <span className="sr-only"> {c.name}</span>
              </a>
            ) : null
          }
        />
      ) : (
        !fault && <Spinner />
      )}
    </section>
  );
}
