// The bridge's events (/api/v1/events), one connection for all of the page.

import { useEffect, useRef, useState } from "react";

type Listener = (data: unknown) => void;

const listeners = new Map<string, Set<Listener>>();
let source: EventSource | undefined;

function open() {
  const s = (source = new EventSource("/api/v1/events"));
  for (const topic of listeners.keys()) attach(s, topic);
  s.onopen = () => tell("open");
  s.onerror = () => {
    tell("lost");
    // A browser tries a broken connection again, but not one that was refused.
    if (s.readyState === EventSource.CLOSED) window.setTimeout(() => s === source && open(), 5000);
  };
}

const tell = (topic: string, data?: unknown) => listeners.get(topic)?.forEach((f) => f(data));

function attach(s: EventSource, topic: string) {
  if (topic === "open" || topic === "lost") return;
  s.addEventListener(topic, (e) => tell(topic, JSON.parse(e.data as string)));
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

/** useEvent calls f with what a topic brings; the topic "open": whenever events may have been missed; "lost": that there are none now. */
export function useEvent<T>(topic: string, f: (data: T) => void) {
  const latest = useRef(f);
  latest.current = f;
  useEffect(() => listen(topic, (data) => latest.current(data as T)), [topic]);
}

/** useEvents counts the changes that the bridge reports, at most twice a second. */
export function useEvents(): { tick: number; live: boolean } {
  const [tick, setTick] = useState(0);
  const [live, setLive] = useState(true);
  useEffect(() => {
    let due: number | undefined;
    const changed = () => {
      due ??= window.setTimeout(() => {
        due = undefined;
        setTick((n) => n + 1);
      }, 500);
    };
    const ends = ["meeting", "participant", "call", "configured", "device", "block", "synthetic"].map((topic) => listen(topic, changed));
    const opened = () => {
      setLive(true);
      changed();
    };
    ends.push(listen("open", opened), listen("lost", () => setLive(false)));
    return () => {
      window.clearTimeout(due);
      ends.forEach((end) => end());
    };
  }, []);
  return { tick, live };
}
