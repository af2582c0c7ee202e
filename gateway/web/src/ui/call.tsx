// The bridge between a call and React.

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Call } from "../call/client";
import * as devices from "../call/devices";

export const CallContext = createContext<Call | null>(null);

export function useTheCall(): Call {
  const call = useContext(CallContext);
  if (!call) throw new Error("no call around");
  return call;
}

/** useCall reads a part of the call: something that is the same object, or equal, until it changes. */
export function useCall<T>(pick: (c: Call) => T): T {
  const call = useTheCall();
  return useSyncExternalStore(call.subscribe, () => pick(call));
}

/** useDevices lists what is connected, also when that changes. */
export function useDevices(again: unknown): devices.Devices {
  const [list, setList] = useState(devices.none);
  useEffect(() => {
    let on = true;
    const look = () => void devices.list().then((l) => on && setList(l));
    look();
    navigator.mediaDevices?.addEventListener("devicechange", look);
    return () => {
      on = false;
      navigator.mediaDevices?.removeEventListener("devicechange", look);
    };
  }, [again]);
  return list;
}

/** useMeter is the level of a track, 0 to 1. */
export function useMeter(track: MediaStreamTrack | null): number {
  const [level, setLevel] = useState(0);
  useEffect(() => {
    if (!track) return setLevel(0);
    return devices.meter(track, (v) => setLevel(Math.round(v * 50) / 50));
  }, [track]);
  return level;
}

/** useTrack shows a track in a video element. */
export function useTrack(track: MediaStreamTrack | null | undefined) {
  const [element, setElement] = useState<HTMLVideoElement | null>(null);
  useEffect(() => {
    if (!element) return;
    element.srcObject = track ? new MediaStream([track]) : null;
  }, [element, track]);
  return setElement;
}
