// Entries of the directory, and what can be done with them.

import type { Entry } from "../api/schema";
import { request } from "../console/api";
import { go } from "../ui/route";

export type { Entry };
export type Kind = Entry["kind"];

export const find = (q: string, kind: Kind | "", cursor = "", limit = 30) =>
  request("get", "/directory", { query: { q, limit, ...(kind && { kind }), ...(cursor && { cursor }) } });

/** Pending is who is to be called once its meeting is joined. */
export interface Pending {
  address?: string;
  account?: string;
  name: string;
}

const key = (meeting: string) => `bridgehead.call.${meeting}`;

/** pending takes what is to be called in a meeting; the second time there is nothing. */
export function pending(meeting: string): Pending | undefined {
  const kept = sessionStorage.getItem(key(meeting));
  sessionStorage.removeItem(key(meeting));
  return kept ? (JSON.parse(kept) as Pending) : undefined;
}

/** call goes to a meeting; for a person or a room, to a new one that calls it. */
export async function call(e: Entry, title: string) {
  if (e.kind === "meeting") return go(`/join/${e.number}`);
  const m = await request("post", "/meetings", { body: { kind: "one-time", name: title.slice(0, 128) } });
  const who: Pending = { name: e.name, address: e.address, account: e.kind === "person" ? e.id : undefined };
  sessionStorage.setItem(key(m.number), JSON.stringify(who));
  go(`/join/${m.number}`);
}

/** write opens the conversation with a person. */
export async function write(e: Entry) {
  const c = await request("post", "/conversations", { body: { members: [e.id] } });
  go(`/chat/${c.id}`);
}
