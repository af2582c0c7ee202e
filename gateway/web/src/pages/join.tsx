// The page of one meeting, from the door to the end: each phase of the call has
// its own screen.

import { DoorOpen, Hourglass, KeyRound, PhoneOff } from "lucide-react";
import { lazy, Suspense, useEffect, useState, type FormEvent, type ReactNode } from "react";
import { Call, keptCall } from "../call/client";
import { expose } from "../call/debug";
import { Placed } from "../people/incoming";
import { useData } from "../console/api";
import { t } from "../strings";
import { CallContext, useCall, useTheCall } from "../ui/call";
import { Button, Field, Shell, Spinner } from "../ui/kit";
import { go } from "../ui/route";
import { PreJoin } from "./prejoin";

const Meeting = lazy(() => import("../meeting/meeting").then((m) => ({ default: m.Meeting })));

export function Join({ meeting }: { meeting: string }) {
  const [call, setCall] = useState<Call | null>(null);
  useEffect(() => {
    const c = new Call();
    expose(c);
    setCall(c);
    void comeBack(c, meeting);
    return () => c.close();
  }, [meeting]);
  if (!call) return null;
  return (
    <CallContext value={call}>
      <Placed meeting={meeting} />
      <Phases meeting={meeting} again={() => location.reload()} />
    </CallContext>
  );
}

/** comeBack resumes the call that this page was in when it was reloaded. */
async function comeBack(call: Call, meeting: string) {
  const kept = keptCall(meeting);
  if (!kept) return;
  call.start({ meeting, name: kept.name, resume: kept.token });
  const { microphone, camera } = call.local.choice;
  await call.take("microphone", microphone, !kept.muted);
  if (!kept.cameraOff) await call.take("camera", camera, true);
  else await call.setCameraOff(true);
}

function Phases({ meeting, again }: { meeting: string; again(): void }) {
  const phase = useCall((c) => c.state.phase);
  const state = useCall((c) => c.state.place?.state);
  const attempt = useCall((c) => c.state.attempt);
  const end = useCall((c) => c.state.end);
  if (phase === "over") return end ? <Over code={end.code} message={end.message} again={again} /> : <PreJoin meeting={meeting} />;
  if (phase === "passcode") return <Passcode meeting={meeting} />;
  if (state === "joined" || state === "held")
    return (
      <Suspense fallback={<Connecting attempt={0} />}>
        <Meeting />
      </Suspense>
    );
  if (state === "waiting" || state === "reception") return <Waiting reception={state === "reception"} />;
  return <Connecting attempt={attempt} />;
}

/** Screen is a calm page with one thing to say. */
function Screen({ icon, title, text, children }: { icon: ReactNode; title: string; text?: string; children?: ReactNode }) {
  return (
    <Shell>
      <div className="m-auto flex w-full max-w-md flex-col items-center py-8 text-center" role="status">
        <div className="grid size-16 place-items-center rounded-full bg-tint text-accent">{icon}</div>
        <h1 className="mt-5 text-2xl font-semibold">{title}</h1>
        {text && <p className="mt-2 text-lg text-soft">{text}</p>}
        <div className="mt-6 flex w-full flex-wrap justify-center gap-3">{children}</div>
      </div>
    </Shell>
  );
}

function Connecting({ attempt }: { attempt: number }) {
  const call = useTheCall();
  return (
    <Screen icon={<Spinner />} title={t.connecting.title} text={attempt > 0 ? t.connecting.again : undefined}>
      <Button onClick={() => call.leave()}>{t.connecting.cancel}</Button>
    </Screen>
  );
}

function Waiting({ reception }: { reception: boolean }) {
  const call = useTheCall();
  const name = useCall((c) => c.state.place?.name);
  const awaits = useCall((c) => c.state.place?.awaits);
  const { data: house } = useData("/brand");
  return (
    <Screen
      icon={<Hourglass aria-hidden className="size-8" />}
      title={name || t.waiting.title}
      text={reception ? t.waiting.reception : awaits === "host" ? t.waiting.host : awaits === "anybody" ? t.waiting.anybody : t.waiting.text}
    >
      {!reception && <p className="w-full text-soft">{t.waiting.more}</p>}
      {house?.image && <img src={house.image} alt="" className="max-h-72 w-full rounded-xl object-contain" />}
      <Button onClick={() => call.leave()}>{t.waiting.leave}</Button>
    </Screen>
  );
}

function Passcode({ meeting }: { meeting: string }) {
  const call = useTheCall();
  const ask = useCall((c) => c.state.ask);
  const [code, setCode] = useState("");
  useEffect(() => setCode(""), [ask]);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (code.trim()) call.passcode(code.trim());
  };
  const left = ask?.triesLeft !== undefined ? ` – ${t.passcode.left(ask.triesLeft)}` : "";
  return (
    <Shell>
      <form onSubmit={submit} className="card m-auto flex w-full max-w-md flex-col gap-5 p-6">
        <div className="flex items-center gap-4">
          <span className="grid size-12 shrink-0 place-items-center rounded-full bg-tint text-accent">
            <KeyRound aria-hidden className="size-6" />
          </span>
          <div>
            <p className="text-sm text-soft">{t.prejoin.title(meeting)}</p>
            <h1 className="text-xl font-semibold">{t.passcode.title}</h1>
          </div>
        </div>
        <Field
          key={ask?.triesLeft ?? 0}
          label={t.passcode.label}
          hint={t.passcode.hint}
          fault={ask?.wrong ? `${t.passcode.wrong}${left}.` : ""}
          type="password"
          inputMode="numeric"
          autoComplete="off"
          autoFocus
          maxLength={64}
          value={code}
          onChange={(e) => setCode(e.target.value)}
          className="text-xl tracking-widest"
        />
        <div className="flex gap-3">
          <Button onClick={() => call.leave()}>{t.connecting.cancel}</Button>
          <Button type="submit" look="primary" className="flex-1" disabled={!code.trim()}>
            {t.passcode.submit}
          </Button>
        </div>
      </form>
    </Shell>
  );
}

/** bad ends are shown with the server's own words where it has any. */
function Over({ code, message, again }: { code: string; message: string; again(): void }) {
  const [title, text] = t.over.codes[code] ?? t.over.codes.failure!;
  const Icon = code === "left" || code === "normal" ? DoorOpen : PhoneOff;
  return (
    <Screen icon={<Icon aria-hidden className="size-8" />} title={title} text={text || (code === "left" || code === "normal" ? undefined : message)}>
      <Button onClick={() => go("/")}>{t.over.home}</Button>
      <Button look="primary" onClick={again}>
        {t.over.rejoin}
      </Button>
    </Screen>
  );
}
