// The HTTP API (/api/v1), with the session cookie of the sign-in.

import { useCallback, useEffect, useState } from "react";
import type { ErrorModel, paths } from "../api/schema";
import { t } from "../strings";

export class Problem extends Error {
  /** answer is the whole of it, for those that say more. */
  constructor(readonly status: number, detail: string, readonly answer?: unknown) {
    super(detail);
  }
}

type Verb = "get" | "post" | "patch" | "delete";

/** Path is that of an operation with a method. */
export type Path<V extends Verb> = { [P in keyof paths]: paths[P] extends { [K in V]: object } ? (P extends `/api/v1${infer Q}` ? Q : never) : never }[keyof paths];

type Operation<V extends Verb, P extends Path<V>> = `/api/v1${P}` extends keyof paths ? paths[`/api/v1${P}`][V] : never;

/** Given is what an operation takes: the parameters in its path, those of a query, a body. */
type Given<O> = (O extends { parameters: { path: infer A } } ? { path: A } : unknown) &
  (O extends { parameters: { query?: infer Q } } ? { query?: Q } : unknown) &
  (O extends { requestBody: { content: { "application/json": infer B } } } ? { body: B } : unknown);

type Rest<O> = object extends Given<O> ? [given?: Given<O>] : [given: Given<O>];

/** Answer is what an operation answers: undefined, where that is nothing. */
export type Answer<V extends Verb, P extends Path<V>> =
  Operation<V, P> extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : undefined;

/** request calls an operation of the API, which is typed as its description is. */
export const request = <V extends Verb, P extends Path<V>>(method: V, path: P, ...[given]: Rest<Operation<V, P>>) =>
  send<Answer<V, P>>(method, place(path, given as Parameters | undefined), (given as { body?: unknown } | undefined)?.body);

interface Parameters {
  path?: object;
  query?: object;
}

/** place is a path with its parameters. */
function place(path: string, given: Parameters = {}): string {
  const at = new Map(Object.entries(given.path ?? {}));
  const query = Object.entries(given.query ?? {}).filter(([, v]) => v !== undefined && v !== "");
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(at.get(name))));
  return query.length ? `${filled}?${new URLSearchParams(query.map(([k, v]) => [k, String(v)]))}` : filled;
}

/** send is request for paths and bodies that forms make; an error carries the words of its problem details (RFC 9457). */
export async function send<T>(method: Verb, path: string, body?: unknown): Promise<T> {
  let r: Response;
  try {
    r = await fetch(`/api/v1${path}`, {
      method: method.toUpperCase(),
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
  const p = answer as ErrorModel | undefined;
  const more = p?.errors?.map((e) => `${e.location?.replace(/^body\.?/, "") ?? ""}: ${e.message ?? ""}`).join("; ");
  throw new Problem(r.status, [p?.detail ?? p?.title ?? `${r.status}`, more].filter(Boolean).join(" – "), answer);
}

/** useData loads a path, anew when tick changes. */
export const useData = <P extends Path<"get">>(path: P, given?: Given<Operation<"get", P>>, tick = 0) => useAnswer<Answer<"get", P>>(place(path, given as Parameters | undefined), tick);

/** useAnswer is useData for a path with its parameters. */
export function useAnswer<T>(path: string, tick: number) {
  const [data, setData] = useState<T>();
  const [fault, setFault] = useState<Problem>();
  const [again, setAgain] = useState(0);
  const reload = useCallback(() => setAgain((n) => n + 1), []);
  useEffect(() => {
    let on = true;
    send<T>("get", path).then(
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
