// Who is here: protocol, encryption, level and state of each; for hosts, what
// they may do about it.

import { DropdownMenu } from "radix-ui";
import {
  Check, Crown, EllipsisVertical, Hand, LayoutGrid, Lock, LockOpen, Mic, MicOff, MonitorUp, Phone, PhoneCall, ShieldUser, UserPlus, UserX, Video, VideoOff, X,
} from "lucide-react";
import { lazy, memo, Suspense, useState, type FormEvent, type ReactNode } from "react";
import { addressOf } from "../call/address";
import { scale } from "../call/devices";
import type { Party } from "../call/protocol";
import { hasPicture, inMeeting, protection, waiting } from "../call/view";
import { signedIn } from "../console/api";
import { t } from "../strings";
import { useCall, useTheCall } from "../ui/call";
import { Button, Confirm, Dialog, Field, SecurityBadge } from "../ui/kit";
import { Menu, MenuItem } from "./controls";
import { initials } from "./tile";

const Invite = lazy(() => import("../home/invite").then((m) => ({ default: m.Invite })));

/** PanelFrame is heading and closing of what is at the side. */
export function PanelFrame({ title, onClose, children }: { title: string; onClose(): void; children: ReactNode }) {
  return (
    <>
      <div className="flex items-center justify-between border-b border-line px-4 py-2">
        <h2 className="font-semibold">{title}</h2>
        <Button small bare look="plain" icon={X} onClick={onClose}>
          {t.meeting.close}
        </Button>
      </div>
      {children}
    </>
  );
}

export function People({ onClose }: { onClose(): void }) {
  const call = useTheCall();
  useCall((c) => c.state.parties);
  const host = useCall((c) => c.state.place?.role === "host");
  const knocking = waiting(call.state);
  const here = inMeeting(call.state);
  return (
    <PanelFrame title={`${t.roster.title} (${here.length})`} onClose={onClose}>
      {host && <HostBar />}
      <div className="min-h-0 flex-1 overflow-y-auto p-2" tabIndex={0} aria-label={t.roster.title} role="region">
        {knocking.length > 0 && (
          <section aria-label={t.roster.waiting} className="mb-3">
            <h3 className="px-2 py-1 text-sm font-semibold text-warn">
              {t.roster.waiting} ({knocking.length})
            </h3>
            <ul>
              {knocking.map((p) => (
                <Waiting key={p.id} party={p} />
              ))}
            </ul>
          </section>
        )}
        <ul aria-label={t.roster.inside}>
          {here.map((p) => (
            <Line key={p.id} party={p} host={host} />
          ))}
        </ul>
      </div>
    </PanelFrame>
  );
}

function Waiting({ party }: { party: Party }) {
  const call = useTheCall();
  return (
    <li data-party={party.id} className="flex items-center gap-3 rounded-lg p-2">
      <Avatar party={party} />
      <div className="min-w-0 flex-1">
        <p className="truncate font-medium">{party.name}</p>
        {party.address && party.address !== party.name && <p className="truncate text-sm text-soft">{party.address}</p>}
        <SecurityBadge {...protection(party)} />
      </div>
      <div className="flex gap-1">
        <Button small bare look="primary" icon={Check} title={t.roster.accept} onClick={() => call.command("accept", party.id)}>
          {t.roster.acceptOne(party.name)}
        </Button>
        <Button small bare icon={X} title={t.roster.reject} onClick={() => call.command("reject", party.id)}>
          {t.roster.rejectOne(party.name)}
        </Button>
      </div>
    </li>
  );
}

function Avatar({ party }: { party: Party }) {
  return (
    <span aria-hidden className="grid size-10 shrink-0 place-items-center rounded-full bg-tint text-sm font-semibold text-accent">
      {party.phone ? <Phone className="size-4" /> : initials(party.name) || "?"}
    </span>
  );
}

const Line = memo(function Line({ party, host }: { party: Party; host: boolean }) {
  const me = useCall((c) => c.state.id === party.id);
  const states = [
    party.role === "host" && t.roster.host,
    party.state === "held" && t.roster.states.held,
    party.audioMuted && (party.mutedByHost ? t.roster.states.mutedByHost : t.roster.states.muted),
    party.handRaised && t.roster.states.hand,
  ].filter(Boolean);
  return (
    <li data-party={party.id} className="flex gap-3 rounded-lg p-2 [contain-intrinsic-size:auto_4rem] [content-visibility:auto] hover:bg-raised">
      <Avatar party={party} />
      <div className="min-w-0 flex-1">
        <div className="flex items-center gap-1.5">
          <p className="truncate font-medium">{me ? t.meeting.youAre(party.name) : party.name}</p>
          {party.role === "host" && <Crown aria-hidden className="size-3.5 shrink-0 text-soft" />}
          <Signs party={party} />
          {host && !me && <Actions party={party} />}
        </div>
        {states.length > 0 && <p className="truncate text-xs text-soft">{states.join(" · ")}</p>}
        <SecurityBadge {...protection(party)} className="mt-0.5" />
      </div>
    </li>
  );
});

/** Signs are a party's hand, screen, camera and microphone; the states beside say the same in words. */
function Signs({ party }: { party: Party }) {
  return (
    <div className="ml-auto flex h-9 shrink-0 items-center gap-1.5 text-soft">
      {party.handRaised && <Hand aria-hidden className="size-4 text-accent" />}
      {party.sources.includes("screen") && <MonitorUp aria-hidden className="size-4" />}
      {hasPicture(party) ? <Video aria-hidden className="size-4" /> : !party.phone && <VideoOff aria-hidden className="size-4" />}
      {party.audioMuted ? <MicOff aria-hidden className="size-4 text-bad" /> : <Loudness id={party.id} name={party.name} />}
    </div>
  );
}

/** Loudness is a party's live level as a small upright bar. */
function Loudness({ id, name }: { id: string; name: string }) {
  const level = useCall((c) => {
    const dbov = c.state.levels[id];
    return dbov === undefined ? 0 : Math.round(scale(-dbov) * 20) / 20;
  });
  return (
    <span
      role="meter"
      aria-label={`${name}: ${t.roster.level}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(level * 100)}
      className="flex h-4 w-1.5 items-end overflow-hidden rounded-full bg-line"
    >
      <span className="h-full w-full origin-bottom bg-accent transition-transform duration-150" style={{ transform: `scaleY(${level})` }} />
    </span>
  );
}

function Actions({ party }: { party: Party }) {
  const call = useTheCall();
  const [removing, setRemoving] = useState(false);
  const act = (verb: Parameters<typeof call.command>[0]) => () => call.command(verb, party.id);
  return (
    <>
      <DropdownMenu.Root>
        <DropdownMenu.Trigger asChild>
          <Button small bare look="plain" icon={EllipsisVertical}>
            {t.roster.actions(party.name)}
          </Button>
        </DropdownMenu.Trigger>
        <Menu>
          {party.audioMuted ? (
            <MenuItem icon={Mic} onSelect={act("unmute")}>{party.protocol === "webrtc" ? t.roster.askUnmute : t.roster.unmute}</MenuItem>
          ) : (
            <MenuItem icon={MicOff} onSelect={act("mute")}>{t.roster.mute}</MenuItem>
          )}
          {hasPicture(party) && <MenuItem icon={VideoOff} onSelect={act("stop-video")}>{t.roster.stopVideo}</MenuItem>}
          {party.handRaised && <MenuItem icon={Hand} onSelect={act("lower-hand")}>{t.roster.lowerHand}</MenuItem>}
          {party.role !== "host" && <MenuItem icon={ShieldUser} onSelect={act("make-host")}>{t.roster.makeHost}</MenuItem>}
          <MenuItem icon={UserX} onSelect={() => setRemoving(true)} danger>{t.roster.remove}</MenuItem>
        </Menu>
      </DropdownMenu.Root>
      <Confirm
        open={removing} onClose={() => setRemoving(false)} title={t.host.removeTitle(party.name)} text={t.host.removeText} action={t.roster.remove}
        onAction={act("remove")}
      />
    </>
  );
}

function HostBar() {
  const call = useTheCall();
  const locked = useCall((c) => c.state.locked);
  const silent = useCall((c) => inMeeting(c.state).every((p) => p.role === "host" || p.audioMuted));
  const meeting = useCall((c) => c.state.meeting);
  const name = useCall((c) => c.state.place?.name ?? "");
  const [dialling, setDialling] = useState(false);
  const [inviting, setInviting] = useState(false);
  return (
    <div role="group" aria-label={t.host.title} className="grid grid-cols-[1.35fr_1fr_1fr] gap-2 border-b border-line p-3">
      <Button small icon={silent ? Mic : MicOff} className="px-1" onClick={() => call.command(silent ? "unmute-all" : "mute-all")}>
        {silent ? t.host.unmuteAll : t.host.muteAll}
      </Button>
      <Button small icon={locked ? LockOpen : Lock} className="px-1" onClick={() => call.command(locked ? "unlock" : "lock")}>
        {locked ? t.host.unlock : t.host.lock}
      </Button>
      <Button small icon={PhoneCall} className="px-1" onClick={() => setDialling(true)}>
        {t.host.dial}
      </Button>
      <LayoutMenu />
      {signedIn() && (
        <Button small icon={UserPlus} className="col-span-3 px-1" onClick={() => setInviting(true)}>
          {t.invite.action}
        </Button>
      )}
      {inviting && (
        <Suspense fallback={null}>
          <Invite meeting={{ number: meeting, name }} onClose={() => setInviting(false)} />
        </Suspense>
      )}
      <DialOut open={dialling} onClose={() => setDialling(false)} />
    </div>
  );
}

/** LayoutMenu chooses what room systems see, who show one picture only. */
function LayoutMenu() {
  const call = useTheCall();
  const now = useCall((c) => c.state.layout);
  const rooms = useCall((c) => inMeeting(c.state).some((p) => p.protocol === "sip" || p.protocol === "h323"));
  if (!rooms) return null;
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger asChild>
        <Button small icon={LayoutGrid} className="col-span-3 px-1">
          {t.host.layout}: {t.layouts[now as keyof typeof t.layouts] ?? now}
        </Button>
      </DropdownMenu.Trigger>
      <Menu>
        {Object.entries(t.layouts).map(([layout, name]) => (
          <MenuItem key={layout} icon={layout === now ? Check : LayoutGrid} onSelect={() => call.command("layout", "", layout)}>
            {name}
          </MenuItem>
        ))}
      </Menu>
    </DropdownMenu.Root>
  );
}

function DialOut({ open, onClose }: { open: boolean; onClose(): void }) {
  const call = useTheCall();
  const [typed, setTyped] = useState("");
  const [fault, setFault] = useState("");
  const submit = (e: FormEvent) => {
    e.preventDefault();
    const address = addressOf(typed);
    if (!address) return setFault(t.host.addressWrong);
    call.command("dial", "", address);
    call.notify("dialling");
    setTyped("");
    onClose();
  };
  return (
    <Dialog open={open} onClose={onClose} title={t.host.dialTitle} text={t.host.dialText}>
      <form onSubmit={submit} noValidate className="flex flex-col gap-4">
        <Field
          label={t.host.address} hint={t.host.addressHint} fault={fault} value={typed} autoComplete="off" autoFocus maxLength={256}
          onChange={(e) => {
            setTyped(e.target.value);
            setFault("");
          }}
        />
        <Button type="submit" look="primary" icon={PhoneCall}>
          {t.host.call}
        </Button>
      </form>
    </Dialog>
  );
}
