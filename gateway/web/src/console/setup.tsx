// From a carrier's letter to the first call: a trunk by its carrier's template,
// the check, a number, a call to it that is watched, and the invitation.

import { Check, PhoneIncoming } from "lucide-react";
import { useState, type ReactNode } from "react";
import type { Call, Change, CheckLine, Number as PhoneNumber, Template, TrunkView, Typed } from "../api/schema";
import { protection } from "../call/view";
import { Invitation } from "../home/invite";
import { useEvent } from "../people/events";
import { t } from "../strings";
import { Button, cx, Fault, SecurityBadge, Select, Spinner } from "../ui/kit";
import { request, useData, type Problem } from "./api";
import { filled, Form, type Input } from "./collection";
import { trunkInputs } from "./resources";
import { check, CheckLines } from "./trunkcheck";

const s = t.setup;

export function Setup() {
  const [trunk, setTrunk] = useState<TrunkView>();
  const [number, setNumber] = useState<PhoneNumber>();
  const [meeting, setMeeting] = useState("");
  return (
    <section className="flex flex-col gap-6">
      <div>
        <h1 className="text-2xl font-semibold">{t.console.setup}</h1>
        <p className="mt-1 text-soft">{s.lead}</p>
      </div>
      <Step n={1} title={s.carrier} done={trunk && s.on(trunk.name)} folds>
        <Carrier ready={setTrunk} />
      </Step>
      <Step n={2} title={s.number} waits={!trunk} done={number?.number} folds>
        {trunk && <NumberOf trunk={trunk.name} ready={setNumber} />}
      </Step>
      <Step n={3} title={s.call} waits={!number} done={meeting && s.works}>
        {trunk && number && <Awaited trunk={trunk.name} number={number.number} inside={setMeeting} />}
      </Step>
      <Step n={4} title={s.invite} waits={!meeting}>
        {meeting && <Invitation number={meeting} />}
      </Step>
    </section>
  );
}

/** Step is one of the four; what is done is said in a line, and needs no more than that if it folds. */
function Step({ n, title, done, waits, folds, children }: { n: number; title: string; done?: string; waits?: boolean; folds?: boolean; children: ReactNode }) {
  return (
    <section aria-labelledby={`step-${n}`} className={cx("card flex flex-col gap-4 p-5", waits && "opacity-70")}>
      <h2 id={`step-${n}`} className="flex items-center gap-3 text-lg font-semibold">
        <span aria-hidden className={cx("grid size-8 shrink-0 place-items-center rounded-full text-base", done ? "bg-good-tint text-good" : "bg-tint text-accent")}>
          {done ? <Check className="size-5" /> : n}
        </span>
        {title}
        {done && <span className="min-w-0 font-normal break-words text-good">{done}</span>}
      </h2>
      <div hidden={folds && !!done} className="max-w-3xl">
        {children}
      </div>
    </section>
  );
}

/** Existing offers what is there already. */
function Existing<T>({ rows, name, use }: { rows: T[]; name(row: T): string; use(row: T): void }) {
  if (!rows.length) return null;
  return (
    <div className="flex flex-wrap items-center gap-2">
      <span className="text-sm text-soft">{s.existing}</span>
      {rows.map((row) => (
        <Button key={name(row)} small onClick={() => use(row)}>
          {s.use(name(row))}
        </Button>
      ))}
    </div>
  );
}

/** Carrier makes a trunk and tries it; ready is told the one that is on. */
function Carrier({ ready }: { ready(trunk: TrunkView): void }) {
  const { data: templates, fault } = useData("/trunk-templates");
  const { data: trunks } = useData("/trunks");
  const [chosen, setChosen] = useState<Template>();
  const [made, setMade] = useState<TrunkView>();
  const [lines, setLines] = useState<CheckLine[]>();
  const [trouble, setTrouble] = useState("");
  const on = trunks?.filter((x) => x.enabled) ?? [];

  const turnOn = async (trunk: TrunkView, override: boolean) => {
    try {
      ready(await request("patch", "/trunks/{id}", { path: { id: trunk.id }, body: { enabled: true, override_check: override } }));
      setTrouble("");
    } catch (err) {
      setTrouble((err as Problem).message);
    }
  };
  const tryIt = async (trunk: TrunkView) => {
    setMade(trunk);
    setLines(undefined);
    const found = await check(trunk.id);
    setLines(found);
    if (found.every((l) => l.ok)) await turnOn(trunk, false);
  };
  const save = async (template: string, body: Record<string, unknown>) => {
    const trunk = made
      ? await request("patch", "/trunks/{id}", { path: { id: made.id }, body })
      : await request("post", "/trunks", { query: { template }, body: { ...body, enabled: false } });
    void tryIt(trunk);
  };
  return (
    <div className="flex flex-col gap-4">
      {fault && <Fault>{fault.message}</Fault>}
      {!made && <Existing rows={on} name={(x) => x.name} use={ready} />}
      <Select
        label={s.template} value={chosen?.id ?? ""} onChange={(e) => setChosen(templates?.find((x) => x.id === e.target.value))}
        options={[["", s.choose], ...(templates ?? []).map((x): [string, string] => [x.id, x.name])]} disabled={!!made}
      />
      {chosen && (
        <>
          <p className="text-sm text-soft">
            {chosen.hints}{" "}
            {chosen.docs && (
              <a href={chosen.docs} target="_blank" rel="noreferrer" className="text-accent underline">
                {s.docs}
              </a>
            )}
          </p>
          <Form key={chosen.id} {...questions(chosen)} action={made ? s.again : s.check} save={(body) => save(chosen.id, body)} />
        </>
      )}
      <div role="status" className="flex flex-col gap-4">
        {made && !lines && (
          <p className="flex items-center gap-3 text-soft">
            <Spinner /> {s.checking}
          </p>
        )}
        {lines && <CheckLines lines={lines} />}
      </div>
      {trouble && <Fault>{trouble}</Fault>}
      {made && lines?.some((l) => !l.ok) && (
        <Fault action={<Button small onClick={() => void turnOn(made, true)}>{s.override}</Button>}>{s.red}</Fault>
      )}
    </div>
  );
}

/** questions are what a template asks for, and what may be changed of it. */
function questions(template: Template): { inputs: Input[]; more: Input[] } {
  const all = filled(trunkInputs.filter((i) => i.name !== "enabled" && i.name !== "override_check"), { ...template.trunk, name: template.id.startsWith("generic") ? "" : template.id });
  const asked = (i: Input) => i.name === "name" || template.asks?.includes(i.name);
  return { inputs: all.filter(asked).map((i) => ({ ...i, required: i.name !== "source" || i.required })), more: all.filter((i) => !asked(i)).map((i) => ({ ...i, required: false })) };
}

function NumberOf({ trunk, ready }: { trunk: string; ready(number: PhoneNumber): void }) {
  const { data: meetings } = useData("/meetings");
  const { data: numbers } = useData("/numbers");
  const own = numbers?.filter((n) => n.trunk === trunk) ?? [];
  const targets: [string, string][] = [["reception", s.reception], ...(meetings ?? []).map((m): [string, string] => [`meeting:${m.number}`, [m.name, m.number].filter(Boolean).join(", ")])];
  return (
    <div className="flex flex-col gap-4">
      <Existing rows={own} name={(n) => n.number} use={ready} />
      <Form
        inputs={[
          { name: "number", label: s.yours, hint: t.hints.e164, required: true, pattern: "\\+[1-9][0-9]{4,14}" },
          { name: "target", label: t.fields.target, type: "select", options: targets },
          { name: "label", label: t.fields.label, hint: s.labelHint },
        ]}
        save={async (body) => ready(await request("post", "/numbers", { body: { ...(body as { number: string; target: string; label?: string }), trunk } }))}
      />
    </div>
  );
}

/** Awaited watches the next call to the number until it is in a meeting. */
function Awaited({ trunk, number, inside }: { trunk: string; number: string; inside(meeting: string): void }) {
  const [call, setCall] = useState<Call>();
  const [typed, setTyped] = useState<Typed[]>([]);
  const [party, setParty] = useState<Change>();
  const [strange, setStrange] = useState<Call>();

  useEvent<Call>("call", (c) => {
    if (c.direction !== "in") return;
    if (c.trunk !== trunk) {
      if (c.ended && !c.detail.answered) setStrange(c);
    } else if (!call || call.ended || call.id === c.id) {
      if (call?.id !== c.id) {
        setTyped([]);
        setParty(undefined);
      }
      setCall(c);
    }
  });
  useEvent<Typed>("typed", (e) => {
    if (e.call !== call?.id) return;
    const goesOn = (last?: Typed) => last?.question === e.question && e.answer.length > last.answer.length;
    setTyped((list) => [...list.slice(0, goesOn(list.at(-1)) ? -1 : undefined), e]);
  });
  useEvent<Change>("participant", (e) => {
    if (e.party.id !== call?.id) return;
    setParty(e);
    if (e.party.state === "joined") inside(e.meeting);
  });
  return (
    <div className="flex flex-col gap-4">
      <p className="text-lg">
        {s.dial} <a href={`tel:${number}`} className="font-mono text-xl font-semibold text-accent">{number}</a>
      </p>
      <ol aria-live="polite" className="flex flex-col gap-2">
        {!call && (
          <li className="flex items-center gap-3 text-soft">
            <Spinner /> {s.waiting}
          </li>
        )}
        {call && (
          <li className="flex items-center gap-3">
            <PhoneIncoming aria-hidden className="size-5 text-good" /> {s.came(call.from || t.roster.phone, call.to)}
          </li>
        )}
        {typed.map((e, i) => (
          <li key={i} className="flex flex-wrap items-baseline gap-x-3">
            {e.question === "enter-passcode" ? s.passcode : s.meetingNumber}
            <span className="font-mono text-2xl font-semibold tracking-widest" data-typed>{e.answer}</span>
            <span className="text-sm text-soft">{s.ways[e.via] ?? e.via}</span>
          </li>
        ))}
        {party && (
          <li className="flex flex-wrap items-center gap-3 font-medium text-good">
            {party.party.state === "joined" ? s.inside(party.meeting) : s.waits(party.meeting)} <SecurityBadge {...protection(party.party)} />
          </li>
        )}
        {call?.ended && (
          <li className={party?.party.state === "joined" ? undefined : "text-bad"}>
            {s.ended}{" "}
            <a href={`/console/calls/${call.id}`} className="text-accent underline">
              {s.why}
            </a>
          </li>
        )}
      </ol>
      {strange && !party && (
        <Fault>
          {s.strange(strange.from || strange.source, strange.source)}{" "}
          <a href={`/console/calls/${strange.id}`} className="underline">
            {s.why}
          </a>
        </Fault>
      )}
      {!call && <p className="text-sm text-soft">{s.nothing}</p>}
    </div>
  );
}
