// A call that comes in while a page is open, and one that is placed.

import { PhoneIncoming, Phone, PhoneOff } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { RingEvent } from "../api/schema";
import { request } from "../console/api";
import { t } from "../strings";
import { useCall, useTheCall } from "../ui/call";
import { Button } from "../ui/kit";
import { go } from "../ui/route";
import { pending } from "./entries";
import { useEvent } from "./events";

const ringFor = 45_000;

/** Incoming rings, and asks whether the call is taken. */
export function Incoming() {
  const [ring, setRing] = useState<RingEvent>();
  const accept = useRef<HTMLButtonElement>(null);
  useEvent<RingEvent>("ring", setRing);
  // Declined in another page of the same account.
  useEvent<RingEvent>("declined", (d) => setRing((r) => (r?.meeting === d.meeting ? undefined : r)));
  useEffect(() => {
    if (!ring) return;
    accept.current?.focus();
    const silence = tone();
    const late = window.setTimeout(() => setRing(undefined), ringFor);
    return () => {
      window.clearTimeout(late);
      silence();
    };
  }, [ring]);
  if (!ring) return null;
  const decline = () => {
    setRing(undefined);
    void request("post", "/meetings/{number}/decline", { path: { number: ring.meeting } }).catch(() => {});
  };
  return (
    <div
      role="alertdialog" aria-labelledby="incoming" onKeyDown={(e) => e.key === "Escape" && decline()}
      className="card fixed top-4 left-1/2 z-50 flex w-[calc(100vw-2rem)] max-w-md -translate-x-1/2 flex-wrap items-center gap-3 p-4"
    >
      <PhoneIncoming aria-hidden className="size-6 shrink-0 text-accent" />
      <p id="incoming" className="min-w-0 flex-1 basis-40 font-medium">
        {t.ring.calls(ring.name)}
      </p>
      <span className="flex gap-2 max-sm:w-full max-sm:*:flex-1">
        <Button look="danger" icon={PhoneOff} onClick={decline}>
          {t.ring.decline}
        </Button>
        <button
          ref={accept} type="button" onClick={() => go(`/join/${ring.meeting}`)}
          className="inline-flex min-h-11 items-center justify-center gap-2 rounded-md bg-accent px-4 font-medium text-on-accent hover:bg-accent-strong"
        >
          <Phone aria-hidden className="size-5" />
          {t.ring.accept}
        </button>
      </span>
    </div>
  );
}

/** tone sounds every three seconds, where the browser lets the page be heard. */
function tone(): () => void {
  const audio = new AudioContext();
  const beep = () => {
    for (const hz of [440, 554]) {
      const o = new OscillatorNode(audio, { frequency: hz });
      const g = new GainNode(audio, { gain: 0.05 });
      o.connect(g).connect(audio.destination);
      o.start();
      o.stop(audio.currentTime + 0.8);
    }
  };
  beep();
  const again = window.setInterval(beep, 3000);
  return () => {
    window.clearInterval(again);
    void audio.close();
  };
}

/** Placed calls whom its meeting was made for, once it is joined. */
export function Placed({ meeting }: { meeting: string }) {
  const state = useCall((c) => c.state.place?.state);
  const call = useTheCall();
  const [rings, setRings] = useState(false);
  const begun = useRef(false);
  useEffect(() => {
    if (state !== "joined" || begun.current) return;
    begun.current = true;
    const who = pending(meeting);
    if (!who) return;
    call.notify("dialling");
    if (who.address) call.command("dial", undefined, who.address);
    if (!who.account) return;
    request("post", "/meetings/{number}/ring", { path: { number: meeting }, body: { account: who.account } }).then(
      () => setRings(true),
      () => who.address || call.notify("unreachable"),
    );
  }, [state, meeting, call]);
  return rings ? <Declined meeting={meeting} /> : null;
}

function Declined({ meeting }: { meeting: string }) {
  const call = useTheCall();
  useEvent<RingEvent>("declined", (d) => d.meeting === meeting && call.notify("declined"));
  return null;
}
