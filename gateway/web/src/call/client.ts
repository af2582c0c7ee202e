// The hands of the state machine: the socket, the peer connection, the user's
// own tracks. The UI reads state through subscribe and acts by methods; nothing
// here knows of React.

import * as devices from "./devices";
import type { Choice, Fault } from "./devices";
import { initial, step, type CallState, type Effect, type Input } from "./machine";
import { Peer } from "./peer";
import { parse, type ClientMessage, type Verb, type Want } from "./protocol";
import { wants, type Tile } from "./view";

/** Local is the user's own side of the call. */
export interface Local {
  microphone: MediaStreamTrack | null;
  camera: MediaStreamTrack | null;
  screen: MediaStreamTrack | null;
  muted: boolean;
  cameraOff: boolean;
  faults: { microphone: Fault; camera: Fault };
  choice: Choice;
  /** deaf: the browser wants a click before it plays sound. */
  deaf: boolean;
  connection: RTCPeerConnectionState;
  hand: boolean;
}

interface Shown {
  tile: Tile;
  height: number;
}

const quiet = 20_000; // without a word from the server: the socket is dead
const pingEvery = 8_000;
const answerTime = 4_000;

export class Call {
  state: CallState = initial;
  local: Local = {
    microphone: null, camera: null, screen: null, muted: false, cameraOff: false, faults: { microphone: "", camera: "" },
    choice: devices.remembered(), deaf: false, connection: "new", hand: false,
  };
  /** tracks received, by mid. */
  tracks = new Map<string, MediaStreamTrack>();
  peer: Peer | null = null;

  private listeners = new Set<() => void>();
  private socket: WebSocket | null = null;
  private connecting: number | undefined;
  private heart: number | undefined;
  private heardAt = 0;
  private sounds = new Map<string, HTMLAudioElement>();
  private shown = new Map<string, Shown>();
  private viewTimer: number | undefined;
  private lastView = "";
  private offerId = 0;
  private unwatch: (() => void) | undefined;

  subscribe = (f: () => void) => {
    this.listeners.add(f);
    return () => void this.listeners.delete(f);
  };

  private tell() {
    for (const f of this.listeners) f();
  }

  private set(local: Partial<Local>) {
    this.local = { ...this.local, ...local };
    this.tell();
  }

  /** feed gives the machine an input and carries out what it asks for. */
  private feed(input: Input) {
    const [next, effects] = step(this.state, input);
    const changed = next !== this.state;
    const people = next.parties !== this.state.parties;
    this.state = next;
    for (const e of effects) this.carryOut(e);
    if (people) this.look();
    if (people) this.followHand();
    if (changed) this.tell();
  }

  private carryOut(e: Effect) {
    switch (e.type) {
      case "connect":
        return this.connect(e.delay);
      case "disconnect":
        return this.socket?.close(1000);
      case "send":
        return this.send(e.message);
      case "media":
        return this.media(e.iceServers, e.resumed);
      case "answer":
        return void this.peer?.answer(e.id, e.sdp);
      case "refused":
        return void this.peer?.refused(e.id);
      case "slots":
        return this.peer?.slots(e.audio, e.video);
      case "prefer":
        return this.peer?.prefer(e.codec, e.fmtp);
      case "restart":
        return this.peer?.negotiate(true);
      case "muted":
        return void this.obey(e.source, e.on);
      case "remember":
        return this.keep();
      case "forget":
        return forget(this.state.meeting);
      case "stop":
        return this.stop();
    }
  }

  // The socket.

  private connect(delay: number) {
    window.clearTimeout(this.connecting);
    this.connecting = window.setTimeout(() => this.open(), delay);
  }

  private open() {
    this.drop();
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
    const socket = new WebSocket(url, "bridgehead.v1");
    this.socket = socket;
    this.heardAt = performance.now();
    socket.onopen = () => this.socket === socket && this.feed({ type: "opened" });
    socket.onmessage = (e) => {
      if (this.socket !== socket) return;
      this.heardAt = performance.now();
      const message = parse(e.data);
      if (message) this.feed({ type: "message", message });
    };
    socket.onclose = (e) => this.socket === socket && this.closed(e.code);
    window.clearInterval(this.heart);
    this.heart = window.setInterval(() => this.beat(), pingEvery);
  }

  private closed(code: number) {
    this.socket = null;
    window.clearInterval(this.heart);
    this.feed({ type: "closed", code });
  }

  /** drop forgets the socket without waiting for its close. */
  private drop() {
    const old = this.socket;
    this.socket = null;
    window.clearInterval(this.heart);
    old?.close();
  }

  private beat() {
    if (performance.now() - this.heardAt > quiet) {
      this.drop();
      return this.closed(1006);
    }
    this.send({ type: "ping", t: Math.round(performance.now()) });
  }

  private send(m: ClientMessage) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(m));
  }

  /** network: the machine has moved to another one, or come back to it. */
  private network = () => {
    this.feed({ type: "network" });
    const asked = performance.now();
    this.send({ type: "ping", t: Math.round(asked) });
    window.setTimeout(() => {
      if (this.socket && this.state.phase === "inside" && this.heardAt < asked) {
        this.drop();
        this.closed(1006);
      }
    }, answerTime);
  };

  // The course of the call.

  /** start joins. The tracks that the pre-join page has opened are taken over. */
  start(o: { meeting: string; name: string; passcode?: string; resume?: string }) {
    const connection = (navigator as { connection?: EventTarget }).connection;
    window.addEventListener("online", this.network);
    connection?.addEventListener("change", this.network);
    this.unwatch = () => {
      window.removeEventListener("online", this.network);
      connection?.removeEventListener("change", this.network);
    };
    this.feed({ type: "start", passcode: "", ...o });
  }

  passcode(passcode: string) {
    this.feed({ type: "passcode", passcode });
  }

  leave() {
    this.feed({ type: "leave" });
  }

  /** close leaves, and lets go of the devices that the pre-join page opened. */
  close() {
    this.leave();
    this.stop();
  }

  dismiss(id: number) {
    this.feed({ type: "dismiss", id });
  }

  notify(code: string) {
    this.feed({ type: "notice", kind: "info", code, text: "" });
  }

  private keep() {
    keep(this.state.meeting, { token: this.state.resume, name: this.state.name, muted: this.local.muted, cameraOff: this.local.cameraOff });
  }

  /** media makes the peer connection, or goes on with the one that lives. */
  private media(iceServers: RTCIceServer[], resumed: boolean) {
    this.lastView = "";
    if (this.peer && resumed) {
      this.peer.resend();
      if (this.peer.pc.connectionState !== "connected") this.peer.negotiate(true);
    } else {
      this.offerId = this.peer?.lastOfferId ?? this.offerId;
      this.peer?.close();
      this.tracks.clear();
      this.peer = new Peer(iceServers, resumed, this.offerId, {
        offer: (id, sdp, sources, fresh) => {
          this.offerId = id;
          this.send({ type: "offer", id, sdp, sources, ...(fresh && { fresh }) });
        },
        track: (mid, track) => this.received(mid, track),
        state: (connection) => this.set({ connection }),
      });
      this.publish();
      this.peer.negotiate();
      this.tellSources();
    }
    this.look();
  }

  /** publish gives the peer connection what the user lets be heard and seen. */
  private publish() {
    const l = this.local;
    void this.peer?.set("microphone", l.muted ? null : l.microphone);
    void this.peer?.set("camera", l.cameraOff ? null : l.camera);
    void this.peer?.set("screen", l.screen);
  }

  /** tellSources: the state of each source, once the call is up. */
  private tellSources() {
    this.tellSource("microphone");
    if (this.local.screen) this.tellSource("screen");
    this.tellSource("camera");
  }

  private tellSource(source: "microphone" | "camera" | "screen") {
    const l = this.local;
    const off = { microphone: l.muted, camera: l.cameraOff, screen: false }[source];
    if (this.state.phase === "inside") this.send({ type: "mute", source, on: off || !l[source] });
  }

  private received(mid: string, track: MediaStreamTrack) {
    this.tracks.set(mid, track);
    if (track.kind === "audio") this.play(mid, track);
    this.tell();
  }

  private play(mid: string, track: MediaStreamTrack) {
    const sound = this.sounds.get(mid) ?? new Audio();
    this.sounds.set(mid, sound);
    sound.srcObject = new MediaStream([track]);
    if (this.local.choice.speaker && devices.canChooseSpeaker()) void sound.setSinkId(this.local.choice.speaker).catch(() => {});
    sound.play().catch(() => this.set({ deaf: true }));
  }

  /** listen plays the sound that the browser has held back until a click. */
  listen() {
    for (const s of this.sounds.values()) void s.play().catch(() => {});
    this.set({ deaf: false });
  }

  private stop() {
    window.clearTimeout(this.connecting);
    window.clearTimeout(this.viewTimer);
    window.clearInterval(this.heart);
    this.unwatch?.();
    this.peer?.close();
    this.peer = null;
    for (const s of this.sounds.values()) s.srcObject = null;
    this.sounds.clear();
    this.tracks.clear();
    for (const t of [this.local.microphone, this.local.camera, this.local.screen]) t?.stop();
    this.local = { ...this.local, microphone: null, camera: null, screen: null, connection: "closed" };
  }

  // One's own microphone, camera, screen.

  /** take makes a track the user's own: opened before the call or in it. */
  async take(kind: "microphone" | "camera", id: string, on: boolean) {
    const before = this.local[kind];
    this.local = { ...this.local, choice: { ...this.local.choice, [kind]: id } };
    const off = kind === "microphone" ? "muted" : "cameraOff";
    if (kind === "camera" || !on) before?.stop(); // most cameras open only once
    const { track, fault } = on || kind === "microphone" ? await devices.open(kind, id) : { track: undefined, fault: "" as Fault };
    if (kind === "microphone") before?.stop();
    if (track) {
      track.enabled = on;
      track.onended = () => void this.take(kind, "", !this.local[off]); // unplugged: the system may have another
    }
    if (fault && this.state.phase === "inside") this.notify(`${kind}:${fault}`);
    this.set({ [kind]: track ?? null, [off]: !on || !track, faults: { ...this.local.faults, [kind]: fault } });
    await this.peer?.set(kind, on ? (track ?? null) : null);
    this.tellSource(kind);
    return fault;
  }

  async setMuted(muted: boolean) {
    if (!muted && !this.local.microphone) {
      if (await this.take("microphone", this.local.choice.microphone, true)) return;
    }
    const track = this.local.microphone;
    if (track) track.enabled = !muted;
    this.set({ muted });
    await this.peer?.set("microphone", muted ? null : track);
    this.tellSource("microphone");
    this.keepIfInside();
  }

  async setCameraOff(cameraOff: boolean) {
    await this.take("camera", this.local.choice.camera, !cameraOff);
    this.keepIfInside();
  }

  private keepIfInside() {
    if (this.state.phase === "inside") this.keep();
  }

  async choose(choice: Partial<Choice>) {
    devices.remember(choice);
    this.set({ choice: { ...this.local.choice, ...choice } });
    if (choice.microphone !== undefined) await this.take("microphone", choice.microphone, !this.local.muted);
    if (choice.camera !== undefined && !this.local.cameraOff) await this.take("camera", choice.camera, true);
    if (choice.speaker !== undefined)
      for (const s of this.sounds.values()) await s.setSinkId?.(choice.speaker).catch(() => {});
  }

  async share(on: boolean) {
    const before = this.local.screen;
    let track: MediaStreamTrack | undefined;
    try {
      track = on ? await devices.screen() : undefined;
    } catch (err) {
      console.warn("screen", err);
      this.notify("screen-failed");
    }
    if (on && !track) return;
    before?.stop();
    if (track) track.onended = () => this.share(false);
    if (track && this.state.phase === "over") return track.stop();
    this.set({ screen: track ?? null });
    await this.peer?.set("screen", track ?? null);
    this.tellSource("screen");
    this.tellSource("camera"); // a room may know pictures as one
  }

  /** obey a mute by a host, or by one's own keys. */
  private async obey(source: string, on: boolean) {
    if (source === "microphone" && on && !this.local.muted) {
      if (this.local.microphone) this.local.microphone.enabled = false;
      this.set({ muted: true });
      await this.peer?.set("microphone", null);
    }
    if (source === "camera" && on && !this.local.cameraOff) await this.take("camera", this.local.choice.camera, false);
    if (source === "screen" && on && this.local.screen) await this.share(false);
  }

  raise(raised: boolean) {
    this.set({ hand: raised });
    this.send({ type: "hand", raised });
  }

  private followHand() {
    const me = this.state.parties.find((p) => p.id === this.state.id);
    if (me && me.handRaised !== this.local.hand) this.local = { ...this.local, hand: me.handRaised };
  }

  say(body: string) {
    this.send({ type: "text", body });
  }

  command(verb: Verb, party?: string, value?: string) {
    this.send({ type: "command", verb, ...(party && { party }), ...(value && { value }) });
  }

  // What is to be seen.

  /** show notes that a tile is on the screen in a height of device pixels; 0: it is not. */
  show(tile: Tile, height: number) {
    if (height > 0) this.shown.set(tile.key, { tile, height });
    else this.shown.delete(tile.key);
    window.clearTimeout(this.viewTimer);
    this.viewTimer = window.setTimeout(() => this.look(), 250);
  }

  /** look sends the view, if it is another than before. */
  private look() {
    if (this.state.phase !== "inside" || !this.state.id) return;
    const list: Want[] = wants(
      [...this.shown.values()].flatMap(({ tile, height }) => {
        const party = this.state.parties.find((p) => p.id === tile.party.id);
        return party ? [{ party, source: tile.source, height }] : [];
      }),
      this.state.id,
    );
    const view = JSON.stringify(list);
    if (view === this.lastView || (view === "[]" && this.lastView === "")) return;
    this.lastView = view;
    this.send({ type: "view", wants: list });
  }
}

// A page that is reloaded comes back to its call.

interface Kept {
  token: string;
  name: string;
  muted: boolean;
  cameraOff: boolean;
}

const keptKey = (meeting: string) => `bridgehead.resume.${meeting}`;

function keep(meeting: string, k: Kept) {
  try {
    sessionStorage.setItem(keptKey(meeting), JSON.stringify({ ...k, at: Date.now() }));
  } catch {
    // without storage a reload is a new call
  }
}

function forget(meeting: string) {
  try {
    sessionStorage.removeItem(keptKey(meeting));
  } catch {
    // nothing was kept
  }
}

/** keptCall is the call that this page was in when it was reloaded. */
export function keptCall(meeting: string): Kept | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(keptKey(meeting)) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}
