// One call: the verdict on it, what was measured of its sound, and its signalling
// on the same time line.

import { ArrowLeft, ArrowRight } from "lucide-react";
import { useEffect, useState } from "react";
import type { Call, Finding, Sample, Step } from "../api/schema";
import { t } from "../strings";
import { fixed, percent } from "../ui/format";
import { cx, Fault, Spinner } from "../ui/kit";
import { useData } from "./api";
import { duration, Take, tone } from "./calls";

const when = new Intl.DateTimeFormat(t.locale, { dateStyle: "medium", timeStyle: "medium" });
const exact = new Intl.DateTimeFormat(t.locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

/** every is how often a call under way is looked at, in ms: as often as it is sampled. */
const every = 5000;

export function CallPage({ id, tick }: { id: string; tick: number }) {
  const [beat, setBeat] = useState(0);
  const given = { path: { id } };
  const call = useData("/calls/{id}", given, tick + beat);
  const course = useData("/calls/{id}/ladder", given, tick + beat);
  const ended = !!call.data?.code;
  useEffect(() => {
    if (ended) return;
    const timer = setInterval(() => setBeat((n) => n + 1), every);
    return () => clearInterval(timer);
  }, [ended]);
  const fault = call.fault ?? course.fault;
  const c = call.data;
  const base = `/api/v1/calls/${encodeURIComponent(id)}`;
  return (
    <section className="flex flex-col gap-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1 className="text-2xl font-semibold">
          <a href="/console/calls" className="text-accent underline">
            {t.console.calls}
          </a>
          {c && ` · ${when.format(new Date(c.started))}`}
        </h1>
        <div className="flex flex-wrap gap-2">
          <Take href={`${base}/pcap`}>{t.console.pcap}</Take>
          <Take href={`${base}/bundle`}>{t.console.bundle}</Take>
        </div>
      </div>
      {fault && <Fault>{fault.message}</Fault>}
      {!fault && !(c && course.data) && <Spinner />}
      {course.data && <Findings list={course.data.findings} />}
      {c && <Facts call={c} />}
      {course.data && <Sound samples={course.data.media} />}
      {course.data && <Ladder steps={course.data.steps} leftOut={course.data.left_out ?? 0} incoming={c?.direction !== "out"} />}
    </section>
  );
}

function Findings({ list }: { list: Finding[] }) {
  const [first, ...more] = list;
  if (!first) return null;
  return (
    <div className="card flex flex-col gap-3 p-4" role="region" aria-label={t.console.verdict}>
      <div>
        <p className={cx("text-lg font-semibold", tone(first.grade))}>{first.text}</p>
        {first.remedy && <p className="mt-1">{first.remedy}</p>}
      </div>
      {more.length > 0 && (
        <ul className="list-disc pl-5 text-sm">
          {more.map((f) => (
            <li key={f.code}>
              <span className={tone(f.grade)}>{f.text}</span> {f.remedy}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** stir is what is known of a telephone caller's number. */
function stir(c: Call): string | undefined {
  const s = c.detail.stir;
  if (!s) return undefined;
  const w = t.console.stir;
  return [w.results[s.result] ?? s.result, s.attest && w.attest[s.attest], s.by === "carrier" && w.carrier].filter(Boolean).join(" · ");
}

function Facts({ call: c }: { call: Call }) {
  const a = c.detail.audio;
  const total = a ? a.packets_received + a.packets_lost : 0;
  const s = c.detail.security;
  const rows: [string, string | undefined][] = [
    [t.fields.from, [c.detail.name, c.from, c.source].filter((v, i, all) => v && all.indexOf(v) === i).join(" · ")],
    [t.fields.to, c.to],
    [t.fields.protocol, t.console.by(t.protocols[c.protocol] ?? c.protocol, c.direction === "in")],
    [t.fields.meeting, c.meeting],
    [t.fields.trunk, c.trunk],
    [t.fields.duration, duration(c.started, c.ended)],
    [t.fields.result, c.code ? `${t.console.results[c.code] ?? c.code}${c.detail.status ? ` (${c.detail.status})` : ""}` : t.console.underWay],
    [t.fields.security, s && [s.signalling, s.media, s.suite].filter(Boolean).join(" · ")],
    [t.fields.stir, stir(c)],
    [t.fields.codec, a?.codec],
    [t.fields.loss, total ? percent((100 * (a?.packets_lost ?? 0)) / total) : undefined],
    [t.fields.mos, c.detail.mos ? fixed(c.detail.mos, 1) : undefined],
    [t.console.signalled, a?.signalled],
    [t.console.found, a?.found],
    [t.console.trace, c.detail.trace_id],
  ];
  return (
    <dl className="card grid gap-x-6 gap-y-2 p-4 text-sm sm:grid-cols-2 lg:grid-cols-3">
      {rows.map(([name, value]) =>
        value ? (
          <div key={name} className="flex gap-2">
            <dt className="shrink-0 text-soft">{name}</dt>
            <dd className="min-w-0 break-words">{value}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

/** Lane is one line of measurements over the call's time. */
interface Lane {
  name: string;
  unit: string;
  values: number[];
  /** most is the least that the height of the lane stands for. */
  most: number;
}

function Sound({ samples }: { samples: Sample[] }) {
  if (samples.length < 2) return null;
  const rate = (part: (s: Sample) => number, whole: (s: Sample) => number) =>
    samples.map((s, i) => {
      const before = samples[i - 1];
      const n = before ? part(s) - part(before) : part(s);
      const of = before ? whole(s) - whole(before) : whole(s);
      return of > 0 ? Math.max(0, (100 * n) / of) : 0;
    });
  const lanes: Lane[] = [
    { name: t.console.lostIn, unit: "%", most: 10, values: rate((s) => s.lost, (s) => s.received + s.lost) },
    { name: t.console.lostOut, unit: "%", most: 10, values: rate((s) => s.remote_lost, (s) => s.sent) },
    { name: t.console.jitter, unit: "ms", most: 50, values: samples.map((s) => s.jitter_ms) },
    { name: t.console.roundTrip, unit: "ms", most: 300, values: samples.map((s) => s.rtt_ms) },
    { name: t.console.level, unit: "dBov", most: 127, values: samples.map((s) => s.level_dbov + 127) },
  ];
  const first = Date.parse(samples[0]!.at);
  const span = Math.max(1, Date.parse(samples.at(-1)!.at) - first);
  const x = (i: number) => (100 * (Date.parse(samples[i]!.at) - first)) / span;
  return (
    <div className="card p-4">
      <h2 className="mb-3 font-semibold">{t.console.sound}</h2>
      <div className="flex flex-col gap-2 text-sm">
        {lanes.map((lane) => {
          const worst = Math.max(...lane.values);
          const height = Math.max(lane.most, worst);
          const shown = lane.unit === "dBov" ? worst - 127 : worst;
          return (
            <div key={lane.name} className="grid items-center gap-x-4 sm:grid-cols-[14rem_1fr]">
              <span>
                {lane.name} <span className="text-soft">{t.console.atMost(`${fixed(shown, lane.unit === "dBov" ? 0 : 1)} ${lane.unit}`)}</span>
              </span>
              <svg viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden className="h-8 w-full rounded-md bg-raised text-accent">
                <polyline
                  points={lane.values.map((v, i) => `${x(i).toFixed(2)},${(23 - (22 * v) / height).toFixed(2)}`).join(" ")}
                  fill="none"
                  stroke="currentColor"
                  strokeWidth="1.5"
                  vectorEffect="non-scaling-stroke"
                />
              </svg>
            </div>
          );
        })}
        <p className="flex justify-between text-soft sm:ml-[15rem]">
          <time dateTime={samples[0]!.at}>{exact.format(first)}</time>
          <time dateTime={samples.at(-1)!.at}>{exact.format(first + span)}</time>
        </p>
      </div>
    </div>
  );
}

/** ours is the bridge's address in the first message. */
const ours = (steps: Step[], incoming: boolean) => {
  const first = steps.find((s) => s.from);
  return incoming ? first?.to : first?.from;
};

function Ladder({ steps, leftOut, incoming }: { steps: Step[]; leftOut: number; incoming: boolean }) {
  const local = ours(steps, incoming);
  return (
    <div className="card p-4">
      <h2 className="mb-3 font-semibold">{t.console.ladder}</h2>
      {leftOut > 0 && <p className="mb-2 text-sm text-soft">{t.console.leftOut(leftOut)}</p>}
      {!steps.length && <p className="text-sm text-soft">{t.console.noLadder}</p>}
      <ol className="flex flex-col text-sm">
        {steps.map((s, i) => (
          <li key={i} className="grid gap-x-4 border-b border-line py-2 last:border-0 sm:grid-cols-[7rem_1fr]">
            <time dateTime={s.at} className="text-soft tabular-nums">
              {exact.format(new Date(s.at))}
            </time>
            {s.from ? <Message step={s} sent={s.from === local} /> : <Happening step={s} />}
          </li>
        ))}
      </ol>
    </div>
  );
}

/** Message is one that came or went. */
function Message({ step: s, sent }: { step: Step; sent: boolean }) {
  const Way = sent ? ArrowLeft : ArrowRight;
  return (
    <details className="min-w-0">
      <summary className="flex cursor-pointer flex-wrap items-center gap-x-2">
        <Way aria-hidden className="size-4 shrink-0 text-accent" />
        <span className="sr-only">{sent ? t.console.sent : t.console.received}</span>
        <span className="font-medium break-all">{s.what}</span>
        <span className="text-soft">{`${s.from} → ${s.to ?? ""} ${s.network ?? ""}`}</span>
      </summary>
      {s.text && (
        <pre tabIndex={0} className="mt-1 max-h-80 overflow-auto rounded-md bg-raised p-2 text-xs">
          {s.text}
        </pre>
      )}
    </details>
  );
}

/** Happening is what was decided, or became of the sound. */
function Happening({ step: s }: { step: Step }) {
  const look = s.what === "alarm" || s.what === "refused" ? "bg-warn-tint text-warn" : s.what === "media" ? "bg-tint" : "bg-raised";
  return (
    <p className={cx("min-w-0 rounded-md px-2 py-1 break-words whitespace-pre-line", look)}>
      {s.what !== "media" && <strong className="font-medium">{t.console.steps[s.what] ?? s.what} </strong>}
      {s.text?.includes("\n") && "\n"}
      {s.text}
    </p>
  );
}
