// Synthetic callers: numbers that are called from time to time, and what was met.

import { History, PhoneOutgoing } from "lucide-react";
import { useState } from "react";
import type { SyntheticCall, SyntheticView } from "../api/schema";
import { t } from "../strings";
import { fixed, percent } from "../ui/format";
import { Button, Dialog, Fault, Spinner } from "../ui/kit";
import { request, useData, type Problem } from "./api";
import { Collection, type Input, type Resource } from "./collection";
import { Table, type Column } from "./table";

const s = t.synthetic;
const when = new Intl.DateTimeFormat(t.locale, { dateStyle: "short", timeStyle: "medium" });

const edits: Input[] = [
  { name: "meeting", label: t.fields.meeting, hint: s.meetingHint, pattern: "[0-9]{3,20}" },
  { name: "keys", label: s.keys, type: "password", hint: s.keysHint, pattern: "[0-9*#,]*" },
  { name: "every", label: s.every, type: "number", value: "15" },
  { name: "trunk", label: t.fields.trunk, hint: s.trunkHint },
  { name: "enabled", label: t.fields.enabled, type: "checkbox", value: true },
];

/** Outcome is one call in a line. */
const Outcome = ({ call: c }: { call: SyntheticCall }) => <span className={c.ok ? "text-good" : "text-bad"}>{c.ok ? s.through : c.fault}</span>;

export const callers: Resource<SyntheticView> = {
  title: s.title,
  path: "/synthetic-callers",
  id: (c) => c.number,
  name: (c) => c.number,
  columns: [
    { title: t.fields.number, strong: true, cell: (c) => c.number },
    { title: t.fields.meeting, cell: (c) => c.meeting || "–" },
    { title: s.every, cell: (c) => (c.enabled ? c.every : t.console.states.disabled) },
    { title: s.last, cell: (c) => (c.last ? when.format(new Date(c.last.at)) : "–") },
    { title: t.fields.result, cell: (c) => (c.last ? <Outcome call={c.last} /> : "–") },
    { title: t.fields.mos, cell: (c) => (c.last?.mos ? fixed(c.last.mos, 1) : "–") },
  ],
  inputs: [{ name: "number", label: t.fields.number, hint: t.hints.e164, required: true, pattern: "\\+[1-9][0-9]{4,14}" }, ...edits],
  edits,
  actions: (c) => <Actions caller={c} />,
};

export const SyntheticCallers = ({ tick }: { tick: number }) => (
  <div>
    <Collection below resource={callers} tick={tick} />
    <p className="mt-3 text-sm text-soft">{s.lead}</p>
  </div>
);

function Actions({ caller }: { caller: SyntheticView }) {
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState("");
  const [open, setOpen] = useState(false);
  const call = () => {
    setBusy(true);
    request("post", "/synthetic-callers/{number}/call", { path: { number: caller.number } })
      .then(() => setFault(""), (err: Problem) => setFault(err.message))
      .finally(() => setBusy(false));
  };
  return (
    <>
      {fault && <span className="text-sm text-bad">{fault}</span>}
      <Button small look="plain" icon={PhoneOutgoing} onClick={call} disabled={busy}>
        {busy ? s.calling : s.now}
      </Button>
      <Button small bare look="plain" icon={History} onClick={() => setOpen(true)}>
        {s.history(caller.number)}
      </Button>
      {open && <Calls number={caller.number} onClose={() => setOpen(false)} />}
    </>
  );
}

const inMS = (n?: number) => (n === undefined ? "–" : `${n} ms`);

const columns: Column<SyntheticCall>[] = [
  { title: t.fields.started, strong: true, cell: (c) => when.format(new Date(c.at)) },
  { title: t.fields.result, cell: (c) => <Outcome call={c} /> },
  { title: s.answer, cell: (c) => inMS(c.answer_ms) },
  { title: s.greeting, cell: (c) => inMS(c.greeting_ms) },
  { title: s.inside, cell: (c) => inMS(c.meeting_ms) },
  { title: t.console.level, cell: (c) => (c.level_dbov ? `${c.level_dbov} dBov` : "–") },
  { title: t.fields.loss, cell: (c) => percent(c.loss_percent) },
  { title: t.console.jitter, cell: (c) => `${fixed(c.jitter_ms, 1)} ms` },
  { title: t.fields.mos, cell: (c) => (c.mos ? fixed(c.mos, 1) : "–") },
];

function Calls({ number, onClose }: { number: string; onClose(): void }) {
  const { data, fault } = useData("/synthetic-callers/{number}/calls", { path: { number } });
  return (
    <Dialog wide open onClose={onClose} title={s.history(number)}>
      {fault && <Fault>{fault.message}</Fault>}
      {data ? (
        <Table
          label={s.history(number)} columns={columns} rows={data} id={(c) => c.at}
          actions={(c) =>
            [c.call, c.came].map((id, i) =>
              id ? (
                <a key={id} href={`/console/calls/${id}`} className="px-2 text-sm text-accent underline">
                  {i ? t.plan.in : t.plan.out}
                </a>
              ) : null,
            )
          }
        />
      ) : (
        !fault && <Spinner />
      )}
    </Dialog>
  );
}
