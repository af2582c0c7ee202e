// The dial plan: its rules, a call that is only thought of, and what must stay so.

import { Play, Trash2 } from "lucide-react";
import { useEffect, useState, type FormEvent } from "react";
import { AskForm, text } from "../account/form";
import type { Attempt, Decision, Result, Rule } from "../api/schema";
import { t } from "../strings";
import { Button, cx, Fault, Field, Select } from "../ui/kit";
import { request, useData, type Problem } from "./api";
import { Collection, type Input, type Resource } from "./collection";
import { Table, type Column } from "./table";

const f = t.plan;
const directions: [string, string][] = [["in", f.in], ["out", f.out]];

const inputs: Input[] = [
  { name: "name", label: t.fields.name, required: true },
  { name: "priority", label: f.priority, type: "number", value: "100", hint: f.priorityHint },
  { name: "direction", label: f.direction, type: "select", options: directions },
  { name: "source", label: f.source, value: "any", hint: f.sourceHint, pattern: "any|trunk|trunk:.+|stranger|device|account" },
  { name: "class", label: f.class, type: "select", options: Object.entries(f.classes) },
  { name: "pattern", label: f.pattern, required: true, hint: f.patternHint },
  { name: "strip", label: f.strip, type: "number" },
  { name: "prepend", label: f.prepend },
  { name: "rewrite", label: f.rewrite, hint: f.rewriteHint },
  { name: "target", label: t.fields.target, required: true, value: "reception", hint: f.targetHint },
  { name: "countries", label: f.countries, type: "list", hint: f.countriesHint },
  { name: "max_cost", label: f.maxCost, type: "number", hint: f.maxCostHint },
  { name: "enabled", label: t.fields.enabled, type: "checkbox", value: true },
];

const rules: Resource<Rule> = {
  title: t.console.dialplan,
  path: "/dialplan",
  id: (r) => r.id,
  name: (r) => r.name,
  columns: [
    { title: f.priority, cell: (r) => r.priority },
    { title: t.fields.name, strong: true, cell: (r) => r.name },
    { title: f.direction, cell: (r) => f[r.direction] },
    { title: f.source, cell: (r) => [r.source, r.class !== "any" && f.classes[r.class]].filter(Boolean).join(", ") },
    { title: f.pattern, cell: (r) => <code>{r.pattern}</code> },
    { title: t.fields.target, cell: (r) => [r.target, r.countries?.join(", ")].filter(Boolean).join(" · ") },
    { title: t.fields.state, cell: (r) => (r.enabled ? t.fields.enabled : t.console.states.disabled) },
  ],
  inputs,
  edits: inputs,
};

export function DialPlan({ tick }: { tick: number }) {
  const [changes, setChanges] = useState(0);
  return (
    <div className="flex flex-col gap-8">
      <div>
        <Collection resource={rules} tick={tick} />
        <p className="mt-3 text-sm text-soft">{f.order}</p>
      </div>
      <Simulator tick={tick + changes} kept={() => setChanges((n) => n + 1)} />
      <Expectations tick={tick + changes} />
    </div>
  );
}

/** Simulator tells where a call would lead; what it shows follows the plan. */
function Simulator({ tick, kept }: { tick: number; kept(): void }) {
  const { data: trunks } = useData("/trunks", undefined, tick);
  const [call, setCall] = useState<Attempt>();
  const [decision, setDecision] = useState<Decision>();
  const [fault, setFault] = useState("");
  useEffect(() => {
    if (!call) return;
    let on = true;
    request("post", "/dialplan/simulate", { body: call }).then(
      (d) => {
        if (!on) return;
        setDecision(d);
        setFault("");
      },
      (err: Problem) => on && setFault(err.message),
    );
    return () => void (on = false);
  }, [call, tick]);
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    setCall(asked(new FormData(e.currentTarget)));
  };
  return (
    <section aria-labelledby="try" className="card flex flex-col gap-4 p-5">
      <h2 id="try" className="text-lg font-semibold">
        {f.try}
      </h2>
      <form onSubmit={submit} className="grid items-start gap-4 sm:grid-cols-2 lg:grid-cols-3">
        <Field label={f.called} name="to" required autoComplete="off" hint={f.calledHint} />
        <Select label={f.direction} name="direction" options={directions} />
        <Select label={t.fields.trunk} name="trunk" options={[["", f.noTrunk], ...(trunks ?? []).map((x): [string, string] => [x.name, x.name])]} />
        <Select label={f.caller} name="class" options={Object.entries(f.callers)} />
        <Field label={f.at} name="at" type="datetime-local" hint={f.atHint} />
        <Button type="submit" look="primary" icon={Play} className="self-start sm:mt-7">
          {f.tryIt}
        </Button>
      </form>
      {fault && <Fault>{fault}</Fault>}
      <div role="status">{decision && !fault && <Trace decision={decision} />}</div>
      {call && decision && !fault && (
        <AskForm
          key={decision.outcome} action={f.expect} done={t.account.saved}
          save={async (form) => {
            await request("post", "/dialplan/expectations", { body: { name: text(form, "name"), call, want: decision.outcome } });
            kept();
          }}
        >
          <Field label={f.expectName} name="name" required maxLength={64} autoComplete="off" hint={f.expectHint} />
        </AskForm>
      )}
    </section>
  );
}

/** asked is the call that a form describes. */
function asked(form: FormData): Attempt {
  const [trunk, at] = [text(form, "trunk"), text(form, "at")];
  return {
    to: text(form, "to").trim(),
    direction: text(form, "direction") as Attempt["direction"],
    class: text(form, "class") as Attempt["class"],
    ...(trunk && { trunk }),
    ...(at && { at: new Date(at).toISOString() }),
  };
}

/** Trace lists what was tried, and what came of it. */
function Trace({ decision: d }: { decision: Decision }) {
  return (
    <div className="flex flex-col gap-3">
      <p className="font-semibold">
        {f.leads} <code className="break-words">{d.outcome}</code>
      </p>
      {d.says && <p className="text-sm text-soft">{d.says}</p>}
      <ol className="flex flex-col gap-2">
        {d.steps?.map((s, i) => (
          <li key={i} className="flex gap-3 text-sm">
            <span aria-hidden className={cx("font-bold", s.matched ? "text-good" : "text-soft")}>
              {s.matched ? "✓" : "–"}
            </span>
            <span className="min-w-0 break-words">
              <span className="sr-only">{s.matched ? f.matched : f.unmatched}: </span>
              <span className="font-medium">{[f.tried[s.what], s.name].filter(Boolean).join(" ")}</span>: {s.why}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}

const columns: Column<Result>[] = [
  { title: t.fields.name, strong: true, cell: (r) => r.name },
  { title: f.called, cell: (r) => [r.call.to, r.call.trunk].filter(Boolean).join(" · ") },
  { title: f.want, cell: (r) => <code>{r.want}</code> },
  {
    title: t.fields.state,
    cell: (r) => (r.met ? <span className="text-good">{f.met}</span> : <span className="text-bad">{f.unmet(r.decision.outcome)}</span>),
  },
];

function Expectations({ tick }: { tick: number }) {
  const { data, fault, reload } = useData("/dialplan/expectations", undefined, tick);
  const remove = (id: string) => void request("delete", "/dialplan/expectations/{id}", { path: { id } }).catch(() => {}).finally(reload);
  return (
    <section className="flex flex-col gap-3">
      <h2 className="text-lg font-semibold">{f.expectations}</h2>
      {fault && <Fault>{fault.message}</Fault>}
      {data && (
        <Table
          label={f.expectations} columns={columns} rows={data} id={(r) => r.id} empty={f.noExpectations}
          actions={(r) => (
            <Button small bare look="plain" icon={Trash2} onClick={() => remove(r.id)}>
              {t.console.removeOne(r.name)}
            </Button>
          )}
        />
      )}
    </section>
  );
}
