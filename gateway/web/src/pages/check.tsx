// The page on which one tries microphone, camera, speaker and network: the
// bridge sends back what it is sent.

import { CircleCheck, CircleAlert, RotateCcw, Wifi } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Call } from "../call/client";
import { expose } from "../call/debug";
import { grade, way, type Way } from "../call/network";
import { t } from "../strings";
import { CallContext, useCall, useTheCall } from "../ui/call";
import { percent } from "../ui/format";
import { Button, cx, Fault, Shell, Spinner } from "../ui/kit";
import { DevicePickers, openAll, Preview } from "./prejoin";

const c = t.check;

export function Check() {
  const [call, setCall] = useState<Call | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const fresh = new Call();
    expose(fresh);
    setCall(fresh);
    return () => fresh.close();
  }, [round]);
  if (!call) return null;
  return (
    <CallContext value={call}>
      <Bench key={round} again={() => setRound((n) => n + 1)} />
    </CallContext>
  );
}

function Bench({ again }: { again(): void }) {
  const call = useTheCall();
  const [ready, setReady] = useState(false);
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    void openAll(call).then(() => setReady(true));
  }, [call]);
  return (
    <Shell>
      <div className="m-auto grid w-full max-w-5xl gap-6 py-4 lg:grid-cols-[1.35fr_1fr] lg:items-start">
        <div className="flex flex-col gap-4">
          <div>
            <h1 className="text-2xl font-semibold tracking-tight sm:text-3xl">{c.title}</h1>
            <p className="mt-1 text-soft">{c.lead}</p>
          </div>
          <Preview ready={ready} />
        </div>
        <div className="flex flex-col gap-4">
          <section aria-label={c.devices} className="card p-5 sm:p-6">
            <DevicePickers />
          </section>
          <Network again={again} />
        </div>
      </div>
    </Shell>
  );
}

const measureFor = 6;

function Network({ again }: { again(): void }) {
  const call = useTheCall();
  const phase = useCall((x) => x.state.phase);
  const end = useCall((x) => x.state.end);
  const [found, setFound] = useState<Way>();
  const [seconds, setSeconds] = useState(0);
  const running = phase !== "over";
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(() => {
      void call.peer?.pc.getStats().then((s) => {
        const now = way(s.values());
        if (!now) return;
        setFound(now);
        setSeconds((n) => n + 1);
      });
    }, 1000);
    return () => window.clearInterval(timer);
  }, [call, running]);
  const start = () => call.start({ meeting: "echo", name: c.title });
  const done = seconds >= measureFor;
  return (
    <section aria-labelledby="network" className="card flex flex-col gap-4 p-5 sm:p-6">
      <h2 id="network" className="text-lg font-semibold">
        {c.network}
      </h2>
      {!running && !found && !end && (
        <>
          <p className="text-soft">{c.networkLead}</p>
          <Button look="primary" icon={Wifi} onClick={start}>
            {c.start}
          </Button>
        </>
      )}
      {running && !done && (
        <p role="status" className="flex items-center gap-3">
          <Spinner />
          {found ? c.measuring : t.connecting.title}
        </p>
      )}
      {!running && end && !done && <Fault>{end.message || t.over.codes[end.code]?.[0] || c.failed}</Fault>}
      {found && done && <Verdict way={found} />}
      {running && <p className="text-sm text-soft">{c.speak}</p>}
      {(end || done) && (
        <Button icon={RotateCcw} onClick={again}>
          {c.again}
        </Button>
      )}
    </section>
  );
}

function Verdict({ way: w }: { way: Way }) {
  const g = grade(w);
  const Icon = g === "good" ? CircleCheck : CircleAlert;
  const ms = (n?: number) => (n === undefined ? "–" : `${Math.round(n)} ms`);
  const rows: [string, string][] = [
    [c.transport, [w.transport.toUpperCase(), w.relay ? c.relayed(w.relay.toUpperCase()) : c.direct].join(", ")],
    [c.rtt, ms(w.rtt)],
    [c.jitter, ms(w.jitter)],
    [c.lost, w.lost === undefined ? "–" : percent(w.lost)],
  ];
  return (
    <div role="status" className="flex flex-col gap-3">
      <p className={cx("flex items-center gap-2 rounded-md p-3 font-medium", g === "good" ? "bg-good-tint text-good" : g === "fair" ? "bg-warn-tint text-warn" : "bg-bad-tint text-bad")}>
        <Icon aria-hidden className="size-5 shrink-0" />
        {c.grades[g]}
      </p>
      <dl className="grid grid-cols-2 gap-x-4 gap-y-1 text-sm">
        {rows.map(([title, value]) => (
          <div key={title} className="contents">
            <dt className="text-soft">{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {w.transport === "tcp" || w.relay ? <p className="text-sm text-soft">{c.detour}</p> : null}
    </div>
  );
}
