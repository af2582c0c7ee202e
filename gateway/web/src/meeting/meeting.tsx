// The meeting itself: stage, panels, controls and the keys for them.

import { Grid2x2, Lock, RectangleHorizontal } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { protection } from "../call/view";
import { t } from "../strings";
import { Boundary } from "../ui/boundary";
import { useCall, useTheCall } from "../ui/call";
import { Button, SecurityBadge } from "../ui/kit";
import { Chat } from "./chat";
import { Controls, type Panel } from "./controls";
import { Help, Settings } from "./dialogs";
import { Announcer, Banners, Knocking, Notices } from "./notices";
import { People } from "./people";
import { Stage } from "./stage";
import { useKeys } from "./keys";

export type Layout = "speaker" | "grid";

export function Meeting() {
  const call = useTheCall();
  const [panel, setPanel] = useState<Panel>("");
  const [layout, setLayout] = useState<Layout>("speaker");
  const [dialog, setDialog] = useState<"" | "help" | "settings">("");
  const toggle = (p: Panel) => setPanel((was) => (was === p ? "" : p));
  const turn = () => setLayout((l) => (l === "speaker" ? "grid" : "speaker"));
  useKeys(call, { P: () => toggle("people"), C: () => toggle("chat"), G: turn, "?": () => setDialog("help") });
  useSleepless();
  const main = useRef<HTMLElement>(null);
  useEffect(() => main.current?.focus(), []);
  return (
    <div className="flex h-dvh flex-col overflow-hidden">
      <Header layout={layout} onLayout={turn} />
      <Banners />
      <div className="relative flex min-h-0 flex-1">
        <main ref={main} tabIndex={-1} className="relative min-w-0 flex-1 bg-stage outline-none" aria-label={t.meeting.stage}>
          <Boundary>
            <Stage layout={layout} />
          </Boundary>
          {/* The place of captions: nothing makes any yet, and empty it is not there. */}
          <div data-slot="captions" className="pointer-events-none absolute inset-x-0 bottom-3 mx-auto w-fit max-w-2xl rounded-md bg-shade px-4 py-2 text-white empty:hidden" />
          <div className="pointer-events-none absolute inset-x-0 top-3 flex flex-col items-center gap-2 px-3">
            {panel !== "people" && <Knocking onMore={() => setPanel("people")} />}
            <Notices />
          </div>
        </main>
        {panel && (
          <aside
            aria-label={panel === "people" ? t.roster.title : t.chat.title}
            className="absolute inset-0 z-20 flex w-full flex-col border-line bg-surface lg:static lg:w-96 lg:border-l"
          >
            <Boundary key={panel}>
              {panel === "people" ? <People onClose={() => setPanel("")} /> : <Chat onClose={() => setPanel("")} />}
            </Boundary>
          </aside>
        )}
      </div>
      <Controls panel={panel} onPanel={toggle} onDialog={setDialog} />
      <Help open={dialog === "help"} onClose={() => setDialog("")} />
      <Settings open={dialog === "settings"} onClose={() => setDialog("")} />
      <Announcer />
    </div>
  );
}

function Header({ layout, onLayout }: { layout: Layout; onLayout(): void }) {
  const place = useCall((c) => c.state.place);
  const locked = useCall((c) => c.state.locked);
  const me = useCall((c) => c.state.parties.find((p) => p.id === c.state.id));
  const other = layout === "speaker" ? t.meeting.gridView : t.meeting.speakerView;
  return (
    <header className="flex items-center gap-3 border-b border-line bg-surface px-3 py-2 sm:px-4">
      <img src="/icon.svg" alt="" className="hidden size-7 sm:block" />
      <div className="flex min-w-0 flex-1 flex-wrap items-baseline gap-x-3">
        <h1 className="truncate font-semibold">{place?.name || t.prejoin.title(place?.meeting ?? "")}</h1>
        {place?.name && <p className="text-sm text-soft">{place.meeting}</p>}
        {locked && (
          <p className="inline-flex items-center gap-1 text-sm text-warn">
            <Lock aria-hidden className="size-3.5" />
            {t.meeting.locked}
          </p>
        )}
      </div>
      {me && <SecurityBadge {...protection(me)} className="max-md:hidden" />}
      <Button small look="plain" icon={layout === "speaker" ? Grid2x2 : RectangleHorizontal} onClick={onLayout} title={`${other} (G)`}>
        <span className="max-sm:sr-only">{other}</span>
      </Button>
    </header>
  );
}

/** useSleepless keeps the screen from turning off during a meeting. */
function useSleepless() {
  useEffect(() => {
    let lock: WakeLockSentinel | undefined;
    const take = () => void navigator.wakeLock?.request("screen").then((l) => (lock = l)).catch(() => {});
    const seen = () => document.visibilityState === "visible" && take();
    take();
    document.addEventListener("visibilitychange", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      void lock?.release().catch(() => {});
    };
  }, []);
}
