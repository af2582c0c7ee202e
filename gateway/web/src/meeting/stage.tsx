// The stage: everybody in a grid, or one large and the others in a strip.

import { ChevronLeft, ChevronRight, Link, MonitorUp } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { focus, grid, perPage, tiles, type Tile as TileOf } from "../call/view";
import { t } from "../strings";
import { useCall, useTheCall } from "../ui/call";
import { Button, cx } from "../ui/kit";
import type { Layout } from "./meeting";
import { Tile } from "./tile";

const gap = 8;

export function Stage({ layout }: { layout: Layout }) {
  const call = useTheCall();
  useCall((c) => c.state.parties);
  const all = tiles(call.state);
  const alone = all.length <= 1;
  return (
    <div className="flex size-full flex-col gap-2 p-2 sm:p-3">
      <OwnShare />
      {alone ? <Alone tile={all[0]} /> : layout === "grid" ? <GridView all={all} /> : <SpeakerView all={all} />}
    </div>
  );
}

function OwnShare() {
  const call = useTheCall();
  const sharing = useCall((c) => !!c.local.screen);
  if (!sharing) return null;
  return (
    <div className="flex items-center justify-center gap-3 rounded-lg bg-tint px-3 py-2 text-sm" role="status">
      <MonitorUp aria-hidden className="size-4 text-accent" />
      {t.meeting.sharing}
      <Button small onClick={() => void call.share(false)}>
        {t.meeting.stopSharing}
      </Button>
    </div>
  );
}

function Alone({ tile }: { tile?: TileOf }) {
  const number = useCall((c) => c.state.place?.meeting ?? "");
  const [copied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard?.writeText(`${location.origin}/join/${number}`).then(() => setCopied(true), () => {});
  return (
    <div className="flex min-h-0 flex-1 flex-col items-center justify-center gap-5 text-center">
      {tile && (
        <div className="aspect-video min-h-0 w-full max-w-xl shrink">
          <Tile tile={tile} />
        </div>
      )}
      <div>
        <p className="text-lg font-semibold">{t.meeting.alone}</p>
        <p className="text-soft">
          {t.meeting.aloneHint} <strong className="text-ink tracking-wider">{number}</strong>
        </p>
      </div>
      <Button icon={Link} onClick={copy}>
        <span role="status">{copied ? t.meeting.copied : t.meeting.copy}</span>
      </Button>
    </div>
  );
}

/** useSize is the size of an element, in CSS pixels. */
function useSize() {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    if (!box.current) return;
    const watch = new ResizeObserver(([e]) => e && setSize({ width: e.contentRect.width, height: e.contentRect.height }));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  return { box, ...size };
}

function GridView({ all }: { all: TileOf[] }) {
  const { box, width, height } = useSize();
  const [page, setPage] = useState(0);
  const most = perPage(width);
  const pages = Math.ceil(all.length / most);
  const at = Math.min(page, pages - 1);
  const shown = all.slice(at * most, (at + 1) * most);
  const g = grid(shown.length, width, height, gap, width < 640 && height > width && shown.length > 2 ? 1 : 16 / 9);
  return (
    <>
      <div ref={box} className="flex min-h-0 flex-1 flex-wrap content-center items-center justify-center" style={{ gap }}>
        {width > 0 && shown.map((tile) => <Tile key={tile.key} tile={tile} width={g.width} height={g.height} small={g.width < 200} />)}
      </div>
      {pages > 1 && (
        <div className="flex items-center justify-center gap-3 text-sm">
          <Button small bare icon={ChevronLeft} disabled={at === 0} onClick={() => setPage(at - 1)}>
            {t.meeting.previous}
          </Button>
          <p role="status">{t.meeting.pages(at + 1, pages)}</p>
          <Button small bare icon={ChevronRight} disabled={at === pages - 1} onClick={() => setPage(at + 1)}>
            {t.meeting.next}
          </Button>
        </div>
      )}
    </>
  );
}

function SpeakerView({ all }: { all: TileOf[] }) {
  const speaking = useCall((c) => c.state.speaking);
  const [pinned, setPinned] = useState("");
  const before = useRef("");
  const main = focus(all, speaking, before.current, pinned);
  before.current = main?.key ?? "";
  const { box, width, height } = useSize();
  const g = grid(1, width, height);
  const whole = main?.source === "screen";
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-2 lg:flex-row">
      <div ref={box} className="grid min-h-0 min-w-0 flex-1 place-items-center">
        {main && width > 0 && (
          <Tile
            key={main.key}
            tile={main}
            width={whole ? width : g.width}
            height={whole ? height : g.height}
            pinned={pinned === main.key}
            onPin={pinned === main.key ? setPinned : undefined}
          />
        )}
      </div>
      <ul
        tabIndex={0}
        aria-label={t.roster.inside}
        className={cx("flex shrink-0 gap-2 overflow-auto p-0.5", "max-lg:h-24 max-lg:flex-row sm:max-lg:h-32", "lg:w-52 lg:flex-col")}
      >
        {all
          .filter((tile) => tile.key !== main?.key)
          .map((tile) => (
            <li key={tile.key} className="aspect-video shrink-0 max-lg:h-full">
              <Tile tile={tile} small onPin={setPinned} />
            </li>
          ))}
      </ul>
    </div>
  );
}
