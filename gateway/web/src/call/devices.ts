// Microphones, cameras, speakers: found, opened, measured. Every failure has a
// name that strings.ts turns into advice; a call works without any of them.

export type Fault = "" | "denied" | "missing" | "busy" | "insecure" | "failed";

export interface Devices {
  microphones: MediaDeviceInfo[];
  cameras: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
}

/** Choice is remembered from call to call; empty ids are the system's own. */
export interface Choice {
  microphone: string;
  camera: string;
  speaker: string;
}

export const none: Devices = { microphones: [], cameras: [], speakers: [] };

export async function list(): Promise<Devices> {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const of = (kind: MediaDeviceKind) => all.filter((d) => d.kind === kind && d.deviceId !== "");
  return { microphones: of("audioinput"), cameras: of("videoinput"), speakers: of("audiooutput") };
}

/** canChooseSpeaker: not every browser lets a page do that. */
export const canChooseSpeaker = () => "setSinkId" in HTMLMediaElement.prototype;
export const canShareScreen = () => !!navigator.mediaDevices && "getDisplayMedia" in navigator.mediaDevices;

const fault = (err: unknown): Fault => {
  switch ((err as DOMException)?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
  }
  return "failed";
};

const wish = {
  microphone: (id: string): MediaStreamConstraints => ({
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...(id && { deviceId: { exact: id } }) },
  }),
  camera: (id: string): MediaStreamConstraints => ({
    video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, ...(id && { deviceId: { exact: id } }) },
  }),
};

/** permit asks for both devices in one question, where the browser has yet to ask. */
export async function permit() {
  const state = async (name: string) =>
    (await navigator.permissions?.query({ name: name as PermissionName }).catch(() => undefined))?.state ?? "granted";
  if (!navigator.mediaDevices || (await state("microphone")) !== "prompt" || (await state("camera")) !== "prompt") return;
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true }).catch(() => undefined);
  stream?.getTracks().forEach((t) => t.stop());
}

/** open a device; one that is gone is replaced by the system's own. */
export async function open(kind: "microphone" | "camera", id: string): Promise<{ track?: MediaStreamTrack; fault: Fault }> {
  if (!navigator.mediaDevices) return { fault: "insecure" };
  try {
    const stream = await navigator.mediaDevices.getUserMedia(wish[kind](id));
    return { track: stream.getTracks()[0], fault: "" };
  } catch (err) {
    if (id && fault(err) === "missing") return open(kind, "");
    return { fault: fault(err) };
  }
}

/** screen lets the user pick what to share; undefined if they think better of it. What else goes wrong is thrown. */
export async function screen(): Promise<MediaStreamTrack | undefined> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: false });
    const [track] = stream.getVideoTracks();
    if (track) track.contentHint = "detail";
    return track;
  } catch (err) {
    if (["NotAllowedError", "AbortError"].includes((err as DOMException).name)) return undefined;
    throw err;
  }
}

/** meter calls back with the level of a track, 0 to 1, some 15 times a second. */
export function meter(track: MediaStreamTrack, level: (v: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = window.setInterval(() => {
    if (context.state === "suspended") void context.resume();
    analyser.getFloatTimeDomainData(samples);
    const rms = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
    level(scale(20 * Math.log10(rms || 1e-9)));
  }, 66);
  return () => {
    window.clearInterval(timer);
    void context.close();
  };
}

/** scale puts -60 dB … -10 dB on 0 … 1. */
export const scale = (db: number) => Math.min(1, Math.max(0, (db + 60) / 50));

const storageKey = "bridgehead.devices";

export function remembered(): Choice & { name: string } {
  try {
    return { microphone: "", camera: "", speaker: "", name: "", ...JSON.parse(localStorage.getItem(storageKey) ?? "{}") };
  } catch {
    return { microphone: "", camera: "", speaker: "", name: "" };
  }
}

export function remember(c: Partial<Choice & { name: string }>) {
  try {
    localStorage.setItem(storageKey, JSON.stringify({ ...remembered(), ...c }));
  } catch {
    // private windows may refuse; then nothing is remembered
  }
}

/** chime plays three short tones to a speaker. */
export async function chime(speaker: string) {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const gain = context.createGain();
  gain.connect(out);
  gain.gain.value = 0;
  [523, 659, 784].forEach((frequency, i) => {
    const tone = context.createOscillator();
    tone.frequency.value = frequency;
    tone.connect(gain);
    const at = context.currentTime + 0.1 + i * 0.3;
    gain.gain.setTargetAtTime(0.2, at, 0.02);
    gain.gain.setTargetAtTime(0, at + 0.18, 0.04);
    tone.start(at);
    tone.stop(at + 0.3);
  });
  const sound = new Audio();
  sound.srcObject = out.stream;
  if (speaker && canChooseSpeaker()) await sound.setSinkId(speaker).catch(() => {});
  await sound.play().catch(() => {});
  await new Promise((done) => window.setTimeout(done, 1300));
  await context.close();
}
