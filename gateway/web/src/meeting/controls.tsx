// The bar of controls.

import { DropdownMenu } from "radix-ui";
import { Ellipsis, Hand, Keyboard, MessageSquare, Mic, MicOff, MonitorUp, MonitorX, PhoneOff, Settings2, Users, Video, VideoOff, type LucideIcon } from "lucide-react";
import { useState } from "react";
import { canShareScreen } from "../call/devices";
import { waiting } from "../call/view";
import { t } from "../strings";
import { useCall, useTheCall } from "../ui/call";
import { Confirm, cx } from "../ui/kit";

export type Panel = "" | "people" | "chat";

interface ControlProps {
  icon: LucideIcon;
  label: string;
  hotkey?: string;
  onClick(): void;
  state?: "on" | "off" | "alarm";
  pressed?: boolean;
  count?: string;
  className?: string;
}

function Control({ icon: Icon, label, hotkey, onClick, state, pressed, count, className }: ControlProps) {
  return (
    <button
      type="button"
      onClick={onClick}
      aria-pressed={pressed}
      aria-keyshortcuts={hotkey}
      title={hotkey ? `${label} (${hotkey})` : label}
      className={cx(
        "relative flex min-h-12 min-w-12 flex-col items-center justify-center gap-0.5 rounded-lg px-2 text-xs font-medium transition-colors sm:min-h-14 sm:min-w-20",
        state === "on" && "bg-tint text-accent hover:bg-raised",
        state === "alarm" && "bg-bad-tint text-bad hover:bg-raised",
        (!state || state === "off") && "hover:bg-raised",
        className,
      )}
    >
      <Icon aria-hidden className="size-5 sm:size-6" />
      <span className="max-sm:sr-only">{label}</span>
      {count && (
        <span className="absolute top-0.5 right-1 grid min-w-5 place-items-center rounded-full bg-accent px-1 text-xs text-on-accent sm:right-4">
          <span aria-hidden>{parseInt(count)}</span>
          <span className="sr-only">{count}</span>
        </span>
      )}
    </button>
  );
}

export function Controls(props: { panel: Panel; onPanel(p: Panel): void; onDialog(d: "help" | "settings"): void }) {
  const call = useTheCall();
  const { muted, cameraOff, hand } = useCall((c) => c.local);
  const sharing = useCall((c) => !!c.local.screen);
  const knocking = useCall((c) => waiting(c.state).length);
  const lines = useCall((c) => c.state.chat.length);
  const [read, setRead] = useState(0);
  if (props.panel === "chat" && read !== lines) setRead(lines);
  const unread = lines - read;
  return (
    <footer>
      <div role="group" aria-label={t.controls.bar} className="flex items-center justify-center gap-0.5 border-t border-line bg-surface px-1 py-1.5 pb-[max(0.375rem,env(safe-area-inset-bottom))] sm:gap-1">
      <Control
        icon={muted ? MicOff : Mic} label={muted ? t.controls.unmute : t.controls.mute} hotkey="M"
        state={muted ? "alarm" : "off"} onClick={() => void call.setMuted(!muted)}
      />
      <Control
        icon={cameraOff ? VideoOff : Video} label={cameraOff ? t.controls.cameraOn : t.controls.cameraOff} hotkey="V"
        state={cameraOff ? "alarm" : "off"} onClick={() => void call.setCameraOff(!cameraOff)}
      />
      {canShareScreen() && (
        <Control
          icon={sharing ? MonitorX : MonitorUp} label={sharing ? t.controls.unshare : t.controls.share} hotkey="S"
          state={sharing ? "on" : "off"} onClick={() => void call.share(!sharing)} className="max-sm:hidden"
        />
      )}
      <Control icon={Hand} label={hand ? t.controls.unhand : t.controls.hand} hotkey="H" state={hand ? "on" : "off"} onClick={() => call.raise(!hand)} />
      <Control
        icon={Users} label={t.controls.people} hotkey="P" pressed={props.panel === "people"} state={props.panel === "people" ? "on" : "off"}
        count={knocking ? t.controls.waiting(knocking) : ""} onClick={() => props.onPanel("people")}
      />
      <Control
        icon={MessageSquare} label={t.controls.chat} hotkey="C" pressed={props.panel === "chat"} state={props.panel === "chat" ? "on" : "off"}
        count={unread > 0 ? t.controls.unread(unread) : ""} onClick={() => props.onPanel("chat")}
      />
      <More onDialog={props.onDialog} />
      <button
        type="button"
        onClick={() => call.leave()}
        className="ml-1 flex min-h-12 min-w-12 flex-col items-center justify-center gap-0.5 rounded-lg bg-bad px-2 text-xs font-medium text-on-accent transition-colors hover:bg-bad-strong sm:min-h-14 sm:min-w-20"
      >
        <PhoneOff aria-hidden className="size-5 sm:size-6" />
        <span className="max-sm:sr-only">{t.controls.leave}</span>
      </button>
      </div>
    </footer>
  );
}

function More({ onDialog }: { onDialog(d: "help" | "settings"): void }) {
  const call = useTheCall();
  const host = useCall((c) => c.state.place?.role === "host");
  const sharing = useCall((c) => !!c.local.screen);
  const [ending, setEnding] = useState(false);
  return (
    <>
      <DropdownMenu.Root>
        <DropdownMenu.Trigger asChild>
          <button
            type="button"
            className="flex min-h-12 min-w-12 flex-col items-center justify-center gap-0.5 rounded-lg px-2 text-xs font-medium transition-colors hover:bg-raised sm:min-h-14 sm:min-w-20"
          >
            <Ellipsis aria-hidden className="size-5 sm:size-6" />
            <span className="max-sm:sr-only">{t.controls.more}</span>
          </button>
        </DropdownMenu.Trigger>
        <Menu>
          {canShareScreen() && (
            <div className="sm:hidden">
              <MenuItem icon={MonitorUp} onSelect={() => void call.share(!sharing)}>
                {sharing ? t.controls.unshare : t.controls.share}
              </MenuItem>
            </div>
          )}
          <MenuItem icon={Settings2} onSelect={() => onDialog("settings")}>
            {t.controls.settings}
          </MenuItem>
          <MenuItem icon={Keyboard} onSelect={() => onDialog("help")}>
            {t.controls.help}
          </MenuItem>
          {host && (
            <MenuItem icon={PhoneOff} onSelect={() => setEnding(true)} danger>
              {t.controls.end}
            </MenuItem>
          )}
        </Menu>
      </DropdownMenu.Root>
      <Confirm
        open={ending} onClose={() => setEnding(false)} title={t.host.endTitle} text={t.host.endText} action={t.controls.end}
        onAction={() => call.command("end")}
      />
    </>
  );
}

export function Menu({ children }: { children: React.ReactNode }) {
  return (
    <DropdownMenu.Portal>
      <DropdownMenu.Content sideOffset={6} collisionPadding={8} className="card z-50 min-w-52 p-1.5">
        {children}
      </DropdownMenu.Content>
    </DropdownMenu.Portal>
  );
}

export function MenuItem({ icon: Icon, onSelect, danger, children }: { icon: LucideIcon; onSelect(): void; danger?: boolean; children: React.ReactNode }) {
  return (
    <DropdownMenu.Item
      onSelect={onSelect}
      className={cx("flex min-h-10 items-center gap-3 rounded-md px-3 text-sm outline-none data-highlighted:bg-raised", danger && "text-bad")}
    >
      <Icon aria-hidden className="size-4" />
      {children}
    </DropdownMenu.Item>
  );
}
