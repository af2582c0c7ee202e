// The course of a call (docs/signalling.md) as a pure state machine: an input
// gives the next state and the effects to carry out. It knows no socket, no
// timer and no media; client.ts is its hands.

import type { ClientMessage, Party, Place, Role, ServerMessage, ServerStats, Slot, Source } from "./protocol";

/** Phase is where the call is in its course. */
export type Phase = "connecting" | "passcode" | "inside" | "lost" | "over";

export interface ChatLine {
  id: number;
  from: string;
  name: string;
  body: string;
  at: string;
}

export interface Notice {
  id: number;
  /** kind tells how the line is to be shown. */
  kind: "info" | "warn" | "unmute";
  code: string;
  text: string;
}

export interface CallState {
  phase: Phase;
  meeting: string;
  name: string;
  passcode: string;
  /** open: the socket is there to send on. */
  open: boolean;
  /** attempt counts connections tried since the last that worked. */
  attempt: number;
  id: string;
  resume: string;
  /** ask is why a passcode is asked for. */
  ask: { message: string; wrong: boolean; triesLeft?: number } | null;
  place: { meeting: string; name: string; state: Place; role: Role; awaits?: "acceptance" | "anybody" | "host" } | null;
  locked: boolean;
  /** how the picture of room systems is composed */
  layout: string;
  parties: Party[];
  speaking: string[];
  /** speakerSlots: who is in which audio slot. */
  speakerSlots: string[];
  slots: Slot[];
  levels: Record<string, number>;
  paused: Record<string, boolean>;
  layers: Record<string, string>;
  onHold: boolean;
  chat: ChatLine[];
  notices: Notice[];
  stats: ServerStats | null;
  end: { code: string; message: string } | null;
  counter: number;
}

export type Input =
  | { type: "start"; meeting: string; name: string; passcode: string; resume?: string }
  | { type: "opened" }
  | { type: "closed"; code: number }
  | { type: "message"; message: ServerMessage }
  | { type: "passcode"; passcode: string }
  | { type: "network" }
  | { type: "leave" }
  | { type: "dismiss"; id: number }
  | { type: "notice"; kind: Notice["kind"]; code: string; text: string };

export type Effect =
  | { type: "connect"; delay: number }
  | { type: "disconnect" }
  | { type: "send"; message: ClientMessage }
  | { type: "media"; iceServers: RTCIceServer[]; resumed: boolean }
  | { type: "answer"; id: number; sdp: string }
  | { type: "refused"; id: number }
  | { type: "slots"; audio: number; video: number }
  | { type: "prefer"; codec: string; fmtp: string }
  | { type: "restart" }
  | { type: "muted"; source: Source; on: boolean }
  | { type: "remember" }
  | { type: "forget" }
  | { type: "stop" };

export type Step = [CallState, Effect[]];

const maxChat = 500;
const maxNotices = 5;
/** With delays of up to 5 s these are about two minutes. */
const maxAttempts = 26;
const maxFirstAttempts = 3;

export const initial: CallState = {
  phase: "over", meeting: "", name: "", passcode: "", open: false, attempt: 0, id: "", resume: "", ask: null, place: null,
  locked: false, layout: "", parties: [], speaking: [], speakerSlots: [], slots: [], levels: {}, paused: {}, layers: {}, onHold: false, chat: [],
  notices: [], stats: null, end: null, counter: 0,
};

/** retryDelay grows from 0.5 s to 5 s. */
export const retryDelay = (attempt: number) => Math.min(500 * 2 ** attempt, 5000);

/** step is the machine. */
export function step(s: CallState, input: Input): Step {
  switch (input.type) {
    case "start":
      return start(input);
    case "dismiss":
      return [{ ...s, notices: s.notices.filter((n) => n.id !== input.id) }, []];
    case "notice":
      return [notice(s, input.kind, input.code, input.text), []];
    case "leave":
      return leave(s);
  }
  switch (s.phase) {
    case "connecting":
      return connecting(s, input);
    case "passcode":
      return passcode(s, input);
    case "inside":
      return inside(s, input);
    case "lost":
      return lost(s, input);
    case "over":
      return [s, []];
  }
}

function start(i: Extract<Input, { type: "start" }>): Step {
  const s: CallState = { ...initial, phase: "connecting", meeting: i.meeting, name: i.name, passcode: i.passcode, resume: i.resume ?? "" };
  return [s, [{ type: "connect", delay: 0 }]];
}

function leave(s: CallState): Step {
  if (s.phase === "over") return [s, []];
  const bye: Effect[] = s.open && s.id ? [{ type: "send", message: { type: "leave" } }] : [];
  const [next, effects] = over(s, "left", "");
  return [next, [...bye, ...effects, { type: "disconnect" }]];
}

/** over ends the call for good. */
function over(s: CallState, code: string, message: string): Step {
  return [
    { ...s, phase: "over", open: false, resume: "", passcode: "", end: { code, message }, notices: [], stats: null },
    [{ type: "stop" }, { type: "forget" }],
  ];
}

const join = (s: CallState): Effect => ({
  type: "send",
  message: s.resume
    ? { type: "join", resume: s.resume }
    : { type: "join", meeting: s.meeting, name: s.name, ...(s.passcode && { passcode: s.passcode }) },
});

/** connecting: a socket is being opened, or a join is not yet answered. */
function connecting(s: CallState, i: Input): Step {
  switch (i.type) {
    case "opened":
      return [{ ...s, open: true }, [join(s)]];
    case "closed":
      return failedTo(s, i.code, maxFirstAttempts);
    case "message":
      return i.message.type === "joined" ? joined(s, i.message) : refusal(s, i.message);
  }
  return [s, []];
}

/** refusal is what may answer a join other than joined. */
function refusal(s: CallState, m: ServerMessage): Step {
  switch (m.type) {
    case "need-passcode":
      return [{ ...s, phase: "passcode", passcode: "", ask: { message: m.message, wrong: false } }, []];
    case "error":
      if (m.code === "resume-unknown") {
        const fresh = { ...s, phase: "connecting" as const, resume: "", id: "" };
        return [fresh, [{ type: "forget" }, join(fresh)]];
      }
      if (m.retry) return [{ ...s, phase: "passcode", passcode: "", ask: { message: m.message, wrong: true, triesLeft: m.triesLeft } }, []];
      return over(s, m.code, m.message);
    case "bye":
      return over(s, m.code, m.message);
  }
  return [s, []];
}

/** passcode: the socket may time out while people look for theirs. */
function passcode(s: CallState, i: Input): Step {
  switch (i.type) {
    case "passcode": {
      const next: CallState = { ...s, phase: "connecting", passcode: i.passcode, attempt: 0 };
      return [next, s.open ? [join(next)] : [{ type: "connect", delay: 0 }]];
    }
    case "closed":
      return [{ ...s, open: false }, []];
    case "message":
      return i.message.type === "bye" && i.message.code !== "timeout" ? over(s, i.message.code, i.message.message) : [s, []];
  }
  return [s, []];
}

function joined(s: CallState, m: Extract<ServerMessage, { type: "joined" }>): Step {
  const next: CallState = { ...s, phase: "inside", open: true, attempt: 0, id: m.id, resume: m.resume, ask: null };
  if (!m.resumed) Object.assign(next, { place: null, parties: [], slots: [], speaking: [], speakerSlots: [], levels: {} });
  return [next, [{ type: "remember" }, { type: "media", iceServers: m.iceServers, resumed: m.resumed }]];
}

/** inside: in the meeting, or in its waiting room. */
function inside(s: CallState, i: Input): Step {
  switch (i.type) {
    case "message":
      return said(s, i.message);
    case "closed":
      return failedTo(s, i.code, maxAttempts);
    case "network":
      return [s, [{ type: "restart" }]];
  }
  return [s, []];
}

/** lost: the socket is gone; media may well go on. */
function lost(s: CallState, i: Input): Step {
  switch (i.type) {
    case "opened":
      return [{ ...s, open: true }, [join(s)]];
    case "closed":
      return failedTo(s, i.code, maxAttempts);
    case "network":
      return s.open ? [s, []] : [{ ...s, attempt: 0 }, [{ type: "connect", delay: 0 }]];
    case "message":
      return i.message.type === "joined" ? joined(s, i.message) : refusal(s, i.message);
  }
  return [s, []];
}

/** ends are close codes after which there is no coming back. */
const ends: Record<number, string> = {
  1000: "normal", 4000: "failure", 4001: "ended", 4002: "removed", 4003: "rejected", 4004: "not-found", 4005: "wrong-passcode",
  4006: "throttled", 4007: "full", 4008: "locked", 4009: "not-encrypted", 4010: "incompatible", 4011: "forbidden", 4012: "unauthorized",
  4013: "busy", 4014: "media-timeout", 4015: "overload", 4016: "revoked", 4017: "shutdown", 4018: "replaced", 4020: "bad-message",
};

function failedTo(s: CallState, code: number, most: number): Step {
  const end = ends[code];
  if (end) return over(s, end, "");
  if (s.attempt >= most) return over(s, "unreachable", "");
  const phase = s.id || s.resume ? "lost" : "connecting";
  return [{ ...s, phase, open: false, attempt: s.attempt + 1 }, [{ type: "connect", delay: retryDelay(s.attempt) }]];
}

const key = (party: string, source: string) => `${party} ${source}`;

/** changed is who is here, in the order in which they came. */
function changed(parties: Party[], news: Party[], gone: string[]): Party[] {
  const by = new Map(parties.map((p) => [p.id, p]));
  for (const id of gone) by.delete(id);
  for (const p of news) by.set(p.id, p);
  return [...by.values()];
}

/** said takes a message of the server during the call. */
function said(s: CallState, m: ServerMessage): Step {
  switch (m.type) {
    case "placed":
      return [{ ...s, place: m, locked: m.locked }, []];
    case "roster":
      return [{ ...s, parties: m.parties, locked: m.locked, layout: m.layout ?? s.layout }, []];
    case "roster-change":
      return [{ ...s, parties: changed(s.parties, m.parties, m.gone), locked: m.locked, layout: m.layout ?? s.layout }, []];
    case "slots":
      return [{ ...s, slots: m.slots }, []];
    case "speaking":
      return [{ ...s, speaking: m.parties, speakerSlots: m.slots }, []];
    case "levels":
      return [{ ...s, levels: m.of }, []];
    case "showing": {
      const k = key(m.party, m.source);
      return [{ ...s, paused: { ...s.paused, [k]: m.paused }, layers: { ...s.layers, [k]: m.layer } }, []];
    }
    case "stats":
      return [{ ...s, stats: m }, []];
    case "hold":
      return [{ ...s, onHold: m.on }, []];
    case "text":
      return [{ ...s, counter: s.counter + 1, chat: [...s.chat, { ...m, id: s.counter }].slice(-maxChat) }, []];
    case "notice":
      return [notice(s, "warn", m.code, m.text), []];
    case "mute":
      return mutedByServer(s, m);
    case "answer":
      return [s, [{ type: "answer", id: m.id, sdp: m.sdp }]];
    case "need-slots":
      return [s, [{ type: "slots", audio: m.audio, video: m.video }]];
    case "prefer":
      return [s, [{ type: "prefer", codec: m.codec, fmtp: m.fmtp }]];
    case "restart":
      return [s, [{ type: "restart" }]];
    case "error":
      return m.id !== undefined ? [s, [{ type: "refused", id: m.id }]] : over(s, m.code, m.message);
    case "bye":
      return over(s, m.code, m.message);
  }
  return [s, []];
}

/**
 * mutedByServer obeys a mute, and passes a request to unmute on to the user: a
 * microphone opens by its owner's hand only, so the server is told that it is
 * still closed.
 */
function mutedByServer(s: CallState, m: Extract<ServerMessage, { type: "mute" }>): Step {
  if (m.on) {
    const next = m.by && m.source !== "mix" ? notice(s, "warn", `muted-${m.source}`, "") : s;
    return [next, [{ type: "muted", source: m.source, on: true }]];
  }
  if (!m.by || m.source !== "microphone") return [s, []];
  return [notice(s, "unmute", "unmute", ""), [{ type: "send", message: { type: "mute", source: "microphone", on: true } }]];
}

function notice(s: CallState, kind: Notice["kind"], code: string, text: string): CallState {
  const others = s.notices.filter((n) => n.code !== code || n.text !== text);
  return { ...s, counter: s.counter + 1, notices: [...others, { id: s.counter, kind, code, text }].slice(-maxNotices) };
}

/** midOf is the receiving mid that carries a party's picture now. */
export const midOf = (s: CallState, party: string, source: Source): string | undefined =>
  s.slots.find((x) => x.kind === "video" && x.party === party && x.source === source)?.mid;

export const pausedKey = key;
