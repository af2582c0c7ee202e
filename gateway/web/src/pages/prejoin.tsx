// The door: name, passcode, microphone, camera, speaker. Nothing but a name is
// needed to come in.

import { Mic, MicOff, Video, VideoOff, Volume2 } from "lucide-react";
import { useEffect, useRef, useState, type FormEvent } from "react";
import * as devices from "../call/devices";
import { t } from "../strings";
import { useCall, useDevices, useMeter, useTheCall, useTrack } from "../ui/call";
import { Button, Fault, Field, Level, Select, Shell } from "../ui/kit";

export function PreJoin({ meeting }: { meeting: string }) {
  const call = useTheCall();
  const [name, setName] = useState(() => devices.remembered().name);
  const [passcode, setPasscode] = useState("");
  const [fault, setFault] = useState("");
  const [ready, setReady] = useState(false);
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    void openAll(call).then(() => setReady(true));
  }, [call]);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    const known = name.trim();
    if (!known) return setFault(t.prejoin.nameMissing);
    devices.remember({ name: known });
    call.start({ meeting, name: known, passcode: passcode.trim() });
  };
  return (
    <Shell>
      <form onSubmit={submit} noValidate className="m-auto grid w-full max-w-5xl gap-6 py-4 lg:grid-cols-[1.35fr_1fr] lg:items-start">
        <div className="flex flex-col gap-4 lg:order-none">
          <div>
            <h1 className="text-2xl font-semibold tracking-tight sm:text-3xl">{t.prejoin.title(meeting)}</h1>
            <p className="mt-1 text-soft">{t.prejoin.lead}</p>
          </div>
          <Preview ready={ready} />
        </div>
        <div className="card flex flex-col gap-4 p-5 sm:p-6">
          <Field
            label={t.prejoin.name}
            hint={t.prejoin.nameHint}
            fault={fault}
            value={name}
            onChange={(e) => {
              setName(e.target.value);
              setFault("");
            }}
            autoComplete="name"
            maxLength={64}
            autoFocus={!name}
          />
          <details className="group">
            <summary className="min-h-6 rounded-md text-sm font-medium text-accent hover:underline">{t.prejoin.havePasscode}</summary>
            <div className="mt-3">
              <Field
                label={t.prejoin.passcode}
                hint={t.passcode.hint}
                type="password"
                inputMode="numeric"
                autoComplete="off"
                maxLength={64}
                value={passcode}
                onChange={(e) => setPasscode(e.target.value)}
              />
            </div>
          </details>
          <DevicePickers />
          <Button type="submit" look="primary" className="min-h-12 text-lg">
            {t.prejoin.join}
          </Button>
        </div>
      </form>
    </Shell>
  );
}

/** openAll opens microphone and camera as they were chosen last. */
export async function openAll(call: ReturnType<typeof useTheCall>) {
  await devices.permit();
  const { microphone, camera } = call.local.choice;
  await Promise.all([call.take("microphone", microphone, true), call.take("camera", camera, true)]);
}

/** Preview shows and measures what the others would get. */
export function Preview({ ready }: { ready: boolean }) {
  const call = useTheCall();
  const { camera, microphone, muted, cameraOff, faults } = useCall((c) => c.local);
  const level = useMeter(muted ? null : microphone);
  const video = useTrack(camera);
  return (
    <div className="flex flex-col gap-3">
      <div className="relative aspect-video overflow-hidden rounded-xl bg-tile">
        {camera && !cameraOff ? (
          <video ref={video} autoPlay playsInline muted aria-label={t.prejoin.preview} className="size-full -scale-x-100 object-cover" />
        ) : (
          <div className="grid size-full place-items-center text-ink" role="status">
            <div className="flex flex-col items-center gap-2 p-4 pb-16 text-center">
              <VideoOff aria-hidden className="size-10" />
              <p>{ready || faults.camera ? t.prejoin.cameraOff : t.prejoin.looking}</p>
            </div>
          </div>
        )}
        <div className="absolute inset-x-0 bottom-3 flex justify-center gap-3">
          <Toggle on={!muted} icons={[Mic, MicOff]} labels={[t.prejoin.muteOn, t.prejoin.muteOff]} onClick={() => void call.setMuted(!muted)} />
          <Toggle
            on={!cameraOff}
            icons={[Video, VideoOff]}
            labels={[t.prejoin.cameraStop, t.prejoin.cameraOn]}
            onClick={() => void call.setCameraOff(!cameraOff)}
          />
        </div>
      </div>
      <div className="flex items-center gap-3">
        <Mic aria-hidden className="size-4 text-soft" />
        <Level value={level} label={t.prejoin.level} className="flex-1" />
      </div>
      {(["microphone", "camera"] as const).map((kind) => {
        const f = faults[kind];
        const retry = () => void call.take(kind, call.local.choice[kind], true);
        return f ? (
          <Fault
            key={kind}
            action={
              f !== "insecure" && (
                <Button small look="plain" onClick={retry}>
                  {t.faults.retry}
                </Button>
              )
            }
          >
            <p>{t.faults[kind][f]}</p>
            {kind === "microphone" && <p className="mt-1">{t.prejoin.listenOnly}</p>}
          </Fault>
        ) : null;
      })}
    </div>
  );
}

function Toggle({ on, icons, labels, onClick }: { on: boolean; icons: [typeof Mic, typeof Mic]; labels: [string, string]; onClick(): void }) {
  return (
    <Button
      bare
      icon={icons[on ? 0 : 1]}
      onClick={onClick}
      aria-pressed={!on}
      look={on ? "quiet" : "danger"}
      className="size-12 !rounded-full shadow-md"
      title={labels[on ? 0 : 1]}
    >
      {labels[on ? 0 : 1]}
    </Button>
  );
}

/** DevicePickers choose microphone, camera and speaker, before and in a call. */
export function DevicePickers() {
  const call = useTheCall();
  const { choice, microphone, camera } = useCall((c) => c.local);
  const list = useDevices(`${microphone?.id} ${camera?.id}`);
  const options = (of: MediaDeviceInfo[]): [string, string][] => {
    const named = of.filter((d) => d.deviceId !== "default" && d.deviceId !== "communications");
    return [["", of.length ? t.prejoin.systemDefault : t.prejoin.noDevice], ...named.map((d, i): [string, string] => [d.deviceId, d.label || `${i + 1}`])];
  };
  const known = (of: MediaDeviceInfo[], id: string) => (of.some((d) => d.deviceId === id) ? id : "");
  return (
    <div className="flex flex-col gap-4">
      <Select
        label={t.prejoin.microphone}
        options={options(list.microphones)}
        value={known(list.microphones, choice.microphone)}
        onChange={(e) => void call.choose({ microphone: e.target.value })}
      />
      <Select
        label={t.prejoin.camera}
        options={options(list.cameras)}
        value={known(list.cameras, choice.camera)}
        onChange={(e) => void call.choose({ camera: e.target.value })}
      />
      {devices.canChooseSpeaker() && (
        <div className="flex items-end gap-2">
          <div className="min-w-0 flex-1">
            <Select
              label={t.prejoin.speaker}
              options={options(list.speakers)}
              value={known(list.speakers, choice.speaker)}
              onChange={(e) => void call.choose({ speaker: e.target.value })}
            />
          </div>
          <SpeakerTest speaker={choice.speaker} />
        </div>
      )}
    </div>
  );
}

function SpeakerTest({ speaker }: { speaker: string }) {
  const [playing, setPlaying] = useState(false);
  const play = async () => {
    setPlaying(true);
    await devices.chime(speaker);
    setPlaying(false);
  };
  return (
    <Button icon={Volume2} onClick={() => void play()} disabled={playing}>
      {t.prejoin.test}
      <span className="sr-only" role="status">
        {playing && t.prejoin.testing}
      </span>
    </Button>
  );
}
