// The HTTP API (/api/v1), with the session cookie of the sign-in.

import { useCallback, useEffect, useState } from "react";
import { t } from "../strings";

export class Problem extends Error {
  /** answer is the whole of it, for those that say more. */
  constructor(readonly status: number, detail: string, readonly answer?: unknown) {
    super(detail);
  }
}

/** request calls the API; an error carries the words of its problem details (RFC 9457). */
export async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  let r: Response;
  try {
    r = await fetch(`/api/v1${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
  } catch {
    throw new Problem(0, t.signIn.failed);
  }
  if (r.status === 401) know(false);
  if (r.ok && (path.startsWith("/login") || path === "/me")) know(true);
  if (r.ok && path === "/logout") know(false);
  const answer: unknown = r.status === 204 ? undefined : await r.json().catch(() => undefined);
  if (r.ok) return answer as T;
  const p = answer as { detail?: string; title?: string; errors?: { message: string; location?: string }[] } | undefined;
  const more = p?.errors?.map((e) => `${e.location?.replace(/^body\.?/, "") ?? ""}: ${e.message}`).join("; ");
  throw new Problem(r.status, [p?.detail ?? p?.title ?? `${r.status}`, more].filter(Boolean).join(" – "), answer);
}

export interface Me {
  id: string;
  email: string;
  display_name: string;
  role: "user" | "superuser" | "administrator";
}

/** useData loads a path, anew when tick changes. */
export function useData<T>(path: string, tick = 0) {
  const [data, setData] = useState<T>();
  const [fault, setFault] = useState<Problem>();
  const [again, setAgain] = useState(0);
  const reload = useCallback(() => setAgain((n) => n + 1), []);
  useEffect(() => {
    let on = true;
    request<T>("GET", path).then(
      (d) => {
        if (!on) return;
        setData(d);
        setFault(undefined);
      },
      (err: Problem) => on && setFault(err),
    );
    return () => void (on = false);
  }, [path, again, tick]);
  return { data, fault, reload };
}

/** useEvents counts the changes that the bridge reports, at most twice a second. */
export function useEvents(enabled: boolean): { tick: number; live: boolean } {
  const [tick, setTick] = useState(0);
  const [live, setLive] = useState(true);
  useEffect(() => {
    if (!enabled) return;
    const source = new EventSource("/api/v1/events");
    let due: number | undefined;
    const changed = () => {
      due ??= window.setTimeout(() => {
        due = undefined;
        setTick((n) => n + 1);
      }, 500);
    };
    for (const topic of ["meeting", "participant", "call"]) source.addEventListener(topic, changed);
    source.onopen = () => {
      setLive(true);
      changed();
    };
    source.onerror = () => setLive(false);
    return () => {
      window.clearTimeout(due);
      source.close();
    };
  }, [enabled]);
  return { tick, live };
}

// Whether this browser has signed in: the cookie itself is not for pages to read.
const knownKey = "bridgehead.signedIn";

function know(signedIn: boolean) {
  try {
    if (signedIn) localStorage.setItem(knownKey, "1");
    else localStorage.removeItem(knownKey);
  } catch {
    // without storage, the start page is a guest's
  }
}

/** signedIn tells whether this browser has signed in, as far as it knows. */
export function signedIn(): boolean {
  try {
    return localStorage.getItem(knownKey) !== null;
  } catch {
    return false;
  }
}
