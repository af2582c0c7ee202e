// The messages of docs/signalling.md, as far as this client uses them.

export type Source = "microphone" | "camera" | "screen" | "mix";
export type Place = "reception" | "waiting" | "joined" | "held";
export type Role = "host" | "guest";

export interface Security {
  signalling: string;
  media: string;
  suite?: string;
}

/** Stir is what is known of a telephone caller's number. */
export interface Stir {
  /** result is "verified", or why it is not. */
  result: string;
  attest?: "A" | "B" | "C";
  by: "bridge" | "carrier";
}

export interface Party {
  id: string;
  name: string;
  address?: string;
  protocol: "webrtc" | "sip" | "h323" | "pstn";
  direction: "in" | "out";
  phone: boolean;
  state: Place;
  role: Role;
  audioMuted: boolean;
  videoMuted: boolean;
  handRaised: boolean;
  mutedByHost: boolean;
  security: Security;
  stir?: Stir;
  sources: Source[];
  joined: string;
}

export interface Slot {
  mid: string;
  kind: "audio" | "video";
  source: Source;
  party?: string;
  slot?: number;
}

export interface Want {
  party: string;
  source: "camera" | "screen";
  height: number;
}

export type Verb =
  | "accept" | "reject" | "mute" | "unmute" | "stop-video" | "remove" | "make-host" | "lower-hand" | "rename"
  | "mute-all" | "unmute-all" | "remove-all" | "lock" | "unlock" | "end" | "dial" | "layout";

export interface MediaStats {
  codec: string;
  received: number;
  sent: number;
  lost: number;
  jitter: number;
  remoteLost: number;
  remoteJitter: number;
}

export interface ServerStats {
  rtt: number;
  bitrate: number;
  suite: string;
  audio: MediaStats;
  video: MediaStats;
}

export type ClientMessage =
  | { type: "join"; meeting?: string; name?: string; passcode?: string; resume?: string }
  | { type: "offer"; id: number; sdp: string; sources: Record<string, Source>; fresh?: boolean }
  | { type: "view"; wants: Want[] }
  | { type: "mute"; source: Source; on: boolean }
  | { type: "hand"; raised: boolean }
  | { type: "command"; verb: Verb; party?: string; value?: string }
  | { type: "text"; body: string }
  | { type: "rename"; name: string }
  | { type: "ping"; t: number }
  | { type: "leave" };

export type ServerMessage =
  | { type: "joined"; id: string; resume: string; resumed: boolean; iceServers: RTCIceServer[] }
  | { type: "need-passcode"; message: string }
  | { type: "placed"; meeting: string; name: string; state: Place; role: Role; locked: boolean; awaits?: "acceptance" | "anybody" | "host" }
  | { type: "answer"; id: number; sdp: string }
  | { type: "slots"; slots: Slot[] }
  | { type: "need-slots"; audio: number; video: number }
  | { type: "prefer"; codec: string; fmtp: string }
  | { type: "roster"; parties: Party[]; locked: boolean; layout?: string }
  | { type: "roster-change"; parties: Party[]; gone: string[]; locked: boolean; layout?: string }
  | { type: "speaking"; parties: string[]; slots: string[] }
  | { type: "levels"; of: Record<string, number> }
  | { type: "showing"; party: string; source: Source; layer: string; paused: boolean }
  | { type: "mute"; source: Source; on: boolean; by: string }
  | { type: "text"; from: string; name: string; body: string; at: string }
  | { type: "notice"; code: string; text: string }
  | { type: "hold"; on: boolean }
  | ({ type: "stats" } & ServerStats)
  | { type: "restart" }
  | { type: "pong"; t: number }
  | { type: "error"; code: string; message: string; retry: boolean; triesLeft?: number; id?: number }
  | { type: "bye"; code: string; message: string };

/** parse reads a message of the server; undefined if it is none. */
export function parse(data: unknown): ServerMessage | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const m: unknown = JSON.parse(data);
    if (m && typeof m === "object" && typeof (m as { type?: unknown }).type === "string") return m as ServerMessage;
  } catch {
    // not ours
  }
  return undefined;
}
