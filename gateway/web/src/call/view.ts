// What is to be seen, and how large: pure functions from roster and window to
// tiles, rectangles and the wants that the server is sent.

import { t as words } from "../strings";
import type { CallState } from "./machine";
import type { Party, Security, Stir, Want } from "./protocol";

/** Tile is one rectangle of the meeting. */
export interface Tile {
  key: string;
  party: Party;
  source: "camera" | "screen";
  me: boolean;
}

/** inMeeting lists those who have been let in, oneself included. */
export const inMeeting = (s: CallState) => s.parties.filter((p) => p.state === "joined" || p.state === "held");
export const waiting = (s: CallState) => s.parties.filter((p) => p.state === "waiting");

/** hasPicture: the party sends a camera picture that is not covered. */
export const hasPicture = (p: Party) => p.sources.includes("camera") && !p.videoMuted;

/**
 * tiles of the meeting: shared screens first, then others by arrival, oneself
 * last.
 */
export function tiles(s: CallState): Tile[] {
  const people = inMeeting(s);
  const tile = (party: Party, source: Tile["source"]): Tile => ({
    key: `${party.id} ${source}`, party, source, me: party.id === s.id,
  });
  const screens = people.filter((p) => p.sources.includes("screen") && p.id !== s.id).map((p) => tile(p, "screen"));
  const faces = people.filter((p) => p.id !== s.id).map((p) => tile(p, "camera"));
  const mine = people.filter((p) => p.id === s.id).map((p) => tile(p, "camera"));
  return [...screens, ...faces, ...mine];
}

/**
 * focus is the tile on the stage of the speaker view: what was pinned, else a
 * shared screen, else the loudest other, else whoever was there before, else
 * the first other.
 */
export function focus(all: Tile[], speaking: string[], before: string, pinned: string): Tile | undefined {
  const others = all.filter((t) => !t.me);
  return (
    all.find((t) => t.key === pinned) ??
    others.find((t) => t.source === "screen") ??
    others.find((t) => t.party.id === speaking.find((id) => others.some((o) => o.party.id === id))) ??
    others.find((t) => t.key === before) ??
    others[0] ??
    all[0]
  );
}

export interface Grid {
  columns: number;
  rows: number;
  width: number;
  height: number;
}

/** grid is the arrangement of n tiles of an aspect that makes them largest. */
export function grid(n: number, width: number, height: number, gap = 8, aspect = 16 / 9): Grid {
  let best: Grid = { columns: 1, rows: Math.max(n, 1), width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(n, 1); columns++) {
    const rows = Math.ceil(n / columns) || 1;
    const w = (width - gap * (columns - 1)) / columns;
    const h = (height - gap * (rows - 1)) / rows;
    const tileWidth = Math.floor(Math.max(0, Math.min(w, h * aspect)));
    if (tileWidth > best.width) best = { columns, rows, width: tileWidth, height: Math.floor(tileWidth / aspect) };
  }
  return best;
}

/** page cuts tiles to what can be shown at once; the server sends 25 at most. */
export const perPage = (width: number) => (width < 640 ? 6 : 24);

/**
 * wants asks for each picture on the screen in the height that it has there.
 * Heights are in steps, so that a window being dragged does not flood the
 * server.
 */
export function wants(shown: { party: Party; source: Tile["source"]; height: number }[], me: string): Want[] {
  const list: Want[] = [];
  for (const t of shown) {
    if (t.party.id === me || t.height < 1) continue;
    if (!t.party.sources.includes(t.source) || (t.source === "camera" && t.party.videoMuted)) continue;
    const height = Math.ceil(t.height / 30) * 30;
    const known = list.find((w) => w.party === t.party.id && w.source === t.source);
    if (known) known.height = Math.max(known.height, height);
    else list.push({ party: t.party.id, source: t.source, height });
  }
  return list.sort((a, b) => b.height - a.height).slice(0, 50);
}

const protocols: Record<string, string> = { webrtc: "WebRTC", sip: "SIP", h323: "H.323" };
const keying: Record<string, string> = { "dtls-srtp": "DTLS-SRTP", "sdes-srtp": "SRTP", h235: "H.235" };

const signalling: Record<string, string> = { tls: "TLS", h235: "H.235" };

/** cipher shortens a registered suite name: AEAD_AES_256_GCM is AES-256-GCM. */
export const cipher = (suite: string) =>
  suite.replace(/^AEAD_/, "").replace(/_HMAC_SHA1_(80|32)$/, "").replace(/^AES_CM_128$/, "AES_128_CM").replaceAll("_", "-");

/** encrypted: neither signalling nor media of the leg is in clear; keys of H.235 never travel in the signalling. */
export const encrypted = (s: Security) =>
  s.media === "h235" || [s.signalling, s.media].every((x) => x !== "" && x !== "clear");

/** caller is what a telephone's number is worth; that it is not signed is not worth saying. */
function caller(s: Stir): string | undefined {
  const w = words.roster.caller;
  if (s.result === "no identity" || s.result === "not verified") return undefined;
  if (s.result !== "verified") return w.not;
  if (s.attest === "B" || s.attest === "C") return w[s.attest];
  if (s.by === "carrier") return w.carrier;
  return s.attest ? w.A : w.plain;
}

/** protection is a party's encryption badge, and what its number is worth. */
export function protection(p: { phone: boolean; protocol: string; security: Security; stir?: Stir }): { encrypted: boolean; parts: string[]; caller?: string } {
  const name = (!p.phone && protocols[p.protocol]) || words.roster.phone;
  const worth = p.stir && { caller: caller(p.stir) };
  if (!encrypted(p.security)) return { encrypted: false, parts: [name], ...worth };
  const parts = [name];
  if (p.protocol !== "webrtc") parts.push(signalling[p.security.signalling] ?? `H.235, ${words.roster.clearSignalling}`);
  if (p.security.media === "dtls-srtp" || !p.security.suite) parts.push(keying[p.security.media] ?? p.security.media);
  if (p.security.suite) parts.push(cipher(p.security.suite));
  return { encrypted: true, parts: [...new Set(parts)], ...worth };
}
