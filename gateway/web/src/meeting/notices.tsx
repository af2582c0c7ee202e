// Lines about what has happened: shown for a while, and read out.

import { Check, Info, UserRound, VolumeX, WifiOff, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Notice } from "../call/machine";
import { waiting } from "../call/view";
import { t } from "../strings";
import { useCall, useTheCall } from "../ui/call";
import { Button, cx } from "../ui/kit";

const showFor = 7000;

export function Notices() {
  const notices = useCall((c) => c.state.notices);
  return (
    <div role="region" aria-label={t.notices.region} aria-live="polite" className="flex flex-col items-center gap-2">
      {notices.map((n) => (
        <Line key={n.id} notice={n} />
      ))}
    </div>
  );
}

/** words of a notice: the server's own, or ours by its code; microphone:busy is a device's fault. */
function words({ code, text }: Notice): string {
  const [kind, fault] = code.split(":");
  if (kind === "microphone" || kind === "camera") return t.faults[kind][fault as "missing"] ?? code;
  return text || (t.notices as unknown as Record<string, string>)[code] || code;
}

function Line({ notice }: { notice: Notice }) {
  const call = useTheCall();
  const asks = notice.kind === "unmute";
  useEffect(() => {
    if (asks) return;
    const timer = window.setTimeout(() => call.dismiss(notice.id), showFor);
    return () => window.clearTimeout(timer);
  }, [call, notice.id, asks]);
  return (
    <div className="card pointer-events-auto flex items-center gap-3 py-1.5 pr-1.5 pl-4 text-sm">
      <Info aria-hidden className={cx("size-4 shrink-0", notice.kind === "warn" ? "text-warn" : "text-accent")} />
      <p>{words(notice)}</p>
      {asks && (
        <Button
          small
          look="primary"
          onClick={() => {
            call.dismiss(notice.id);
            void call.setMuted(false);
          }}
        >
          {t.controls.unmute}
        </Button>
      )}
      <Button small bare look="plain" icon={X} onClick={() => call.dismiss(notice.id)}>
        {t.notices.dismiss}
      </Button>
    </div>
  );
}

/** Knocking shows those who decide about it who wants to come in, wherever they look: the server tells nobody else. */
export function Knocking({ onMore }: { onMore(): void }) {
  const call = useTheCall();
  useCall((c) => c.state.parties);
  const list = waiting(call.state);
  const first = list[0];
  if (!first) return null;
  return (
    <div className="card pointer-events-auto flex max-w-full flex-wrap items-center justify-end gap-2 py-2 pr-2 pl-4 text-sm">
      <p className="flex min-w-0 items-center gap-2 max-sm:w-full">
        <UserRound aria-hidden className="size-4 shrink-0 text-accent" />
        <span className="truncate">{t.notices.waiting(first.name)}</span>
      </p>
      {list.length > 1 && (
        <Button small look="plain" onClick={onMore}>
          {t.controls.waiting(list.length)}
        </Button>
      )}
      <Button small look="primary" icon={Check} onClick={() => call.command("accept", first.id)}>
        {t.roster.accept}
      </Button>
      <Button small icon={X} onClick={() => call.command("reject", first.id)}>
        {t.roster.reject}
      </Button>
    </div>
  );
}

/** Banners tell of what is wrong with the call for as long as it is. */
export function Banners() {
  const call = useTheCall();
  const phase = useCall((c) => c.state.phase);
  const connection = useCall((c) => c.local.connection);
  const was = useRef(false);
  if (connection === "connected") was.current = true;
  const deaf = useCall((c) => c.local.deaf);
  const held = useCall((c) => c.state.onHold || c.state.place?.state === "held");
  const broken = was.current && connection !== "connected" && connection !== "closed";
  const text = phase === "lost" ? t.meeting.reconnecting : broken ? t.meeting.mediaLost : "";
  return (
    <div role="status">
      {text && <Banner icon={WifiOff}>{text}</Banner>}
      {deaf && (
        <Banner icon={VolumeX} action={<Button small onClick={() => call.listen()}>{t.meeting.listen}</Button>}>
          {t.meeting.deaf}
        </Banner>
      )}
      {held && <Banner icon={Info}>{t.meeting.held}</Banner>}
    </div>
  );
}

function Banner({ icon: Icon, action, children }: { icon: typeof Info; action?: React.ReactNode; children: React.ReactNode }) {
  return (
    <div className="flex items-center justify-center gap-3 bg-warn-tint px-4 py-2 text-sm font-medium text-warn">
      <Icon aria-hidden className="size-4 shrink-0" />
      <p>{children}</p>
      {action}
    </div>
  );
}

const announceUpTo = 30;

/** Announcer reads out who comes, goes, waits and raises a hand. */
export function Announcer() {
  const parties = useCall((c) => c.state.parties);
  const me = useCall((c) => c.state.id);
  const before = useRef(parties);
  const [line, setLine] = useState("");
  useEffect(() => {
    const old = new Map(before.current.map((p) => [p.id, p]));
    const now = new Map(parties.map((p) => [p.id, p]));
    const news: string[] = [];
    if (before.current.length && parties.length <= announceUpTo) {
      for (const p of parties) {
        const was = old.get(p.id);
        if (p.id === me) continue;
        if (p.state === "waiting" && !was) news.push(t.notices.waiting(p.name));
        if (p.state !== "waiting" && was?.state !== p.state && (!was || was.state === "waiting")) news.push(t.notices.joined(p.name));
        if (p.handRaised && !was?.handRaised) news.push(t.notices.hand(p.name));
      }
      for (const p of before.current) if (!now.has(p.id) && p.state !== "waiting") news.push(t.notices.left(p.name));
    }
    before.current = parties;
    if (news.length) setLine(news.join(" "));
  }, [parties, me]);
  return (
    <p role="status" className="sr-only">
      {line}
    </p>
  );
}
