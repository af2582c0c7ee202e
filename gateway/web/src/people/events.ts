// The bridge's events (/api/v1/events), one connection for all of the page.

import { useEffect, useRef } from "react";

type Listener = (data: unknown) => void;

const listeners = new Map<string, Set<Listener>>();
let source: EventSource | undefined;

function open() {
  source = new EventSource("/api/v1/events");
  for (const topic of listeners.keys()) attach(source, topic);
  source.onopen = () => listeners.get("open")?.forEach((f) => f(undefined));
}

function attach(s: EventSource, topic: string) {
  if (topic === "open") return;
  s.addEventListener(topic, (e) => {
    const data: unknown = JSON.parse(e.data as string);
    listeners.get(topic)?.forEach((f) => f(data));
  });
}

function listen(topic: string, f: Listener): () => void {
  let set = listeners.get(topic);
  if (!set) {
    listeners.set(topic, (set = new Set()));
    if (source) attach(source, topic);
  }
  set.add(f);
  if (!source) open();
  return () => {
    set.delete(f);
    if ([...listeners.values()].some((s) => s.size)) return;
    source?.close();
    source = undefined;
  };
}

/** useEvent calls f with what a topic brings; the topic "open": whenever events may have been missed. */
export function useEvent<T>(topic: string, f: (data: T) => void) {
  const latest = useRef(f);
  latest.current = f;
  useEffect(() => listen(topic, (data) => latest.current(data as T)), [topic]);
}
