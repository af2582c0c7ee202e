// One rectangle of the meeting: a picture, or who would be in it.

import { Hand, MicOff, Phone, Pin, PinOff, VideoOff } from "lucide-react";
import { memo, useEffect, useRef, useState } from "react";
import { midOf, pausedKey } from "../call/machine";
import { hasPicture, protection, type Tile as TileOf } from "../call/view";
import { t } from "../strings";
import { useCall, useTheCall, useTrack } from "../ui/call";
import { cx, SecurityBadge } from "../ui/kit";

interface Props {
  tile: TileOf;
  width?: number;
  height?: number;
  pinned?: boolean;
  onPin?(key: string): void;
  /** small tiles of the strip leave out what has no room. */
  small?: boolean;
}

export const Tile = memo(function Tile({ tile, width, height, pinned, onPin, small }: Props) {
  const { party, source, me } = tile;
  const box = useShown(tile);
  const speaking = useCall((c) => source === "camera" && c.state.speaking.includes(party.id) && !party.audioMuted);
  const name = source === "screen" ? t.meeting.screenOf(party.name) : me ? t.meeting.youAre(party.name) : party.name;
  const safe = protection(party);
  const PinIcon = pinned ? PinOff : Pin;
  return (
    <figure
      ref={box}
      data-party={party.id}
      data-source={source}
      aria-label={[name, speaking && t.meeting.speaking, party.audioMuted && t.meeting.muted, party.handRaised && t.meeting.hand].filter(Boolean).join(", ")}
      style={width ? { width, height } : undefined}
      className={cx(
        "group @container relative overflow-hidden rounded-lg bg-tile ring-inset",
        !width && "size-full",
        speaking ? "shadow-[0_0_0_3px_var(--accent)]" : "",
      )}
    >
      <Picture tile={tile} small={small} />
      <figcaption className="absolute inset-x-0 bottom-0 flex items-end justify-between gap-2 p-1.5">
        <span className="flex min-w-0 items-center gap-1.5 rounded-md bg-shade px-2 py-1 text-sm text-white">
          {party.handRaised && source === "camera" && <Hand aria-hidden className="size-4 shrink-0" />}
          {party.audioMuted && source === "camera" && <MicOff aria-hidden className="size-4 shrink-0" />}
          <span className="truncate">{name}</span>
        </span>
        {source === "camera" && !me && !(small && safe.encrypted) && (
          <SecurityBadge
            {...safe}
            adaptive
            className={cx(hasPicture(party) && safe.encrypted && "opacity-0 group-focus-within:opacity-100 group-hover:opacity-100")}
          />
        )}
      </figcaption>
      {onPin && (
        <button
          type="button"
          onClick={() => onPin(pinned ? "" : tile.key)}
          className={cx(
            "absolute top-1.5 right-1.5 grid size-9 place-items-center rounded-md bg-shade text-white focus-visible:opacity-100",
            pinned ? "" : "opacity-0 group-hover:opacity-100",
          )}
        >
          <PinIcon aria-hidden className="size-4" />
          <span className="sr-only">{pinned ? t.meeting.unpin(name) : t.meeting.pin(name)}</span>
        </button>
      )}
    </figure>
  );
});

/** useShown tells the call how large the tile is, in device pixels. */
function useShown(tile: TileOf) {
  const call = useTheCall();
  const box = useRef<HTMLElement>(null);
  const latest = useRef(tile);
  latest.current = tile;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(([entry]) => call.show(latest.current, Math.round((entry?.contentRect.height ?? 0) * devicePixelRatio)));
    watch.observe(element);
    return () => {
      watch.disconnect();
      call.show(latest.current, 0);
    };
  }, [call, tile.key]);
  return box;
}

function Picture({ tile, small }: { tile: TileOf; small?: boolean }) {
  const { party, source, me } = tile;
  const mid = useCall((c) => midOf(c.state, party.id, source));
  const theirs = useCall((c) => (mid ? c.tracks.get(mid) : undefined));
  const mine = useCall((c) => (c.local.cameraOff ? null : c.local.camera));
  const paused = useCall((c) => !!c.state.paused[pausedKey(party.id, source)]);
  const track = me ? mine : source === "screen" || hasPicture(party) ? theirs : undefined;
  if (!track) return <Face tile={tile} small={small} />;
  return (
    <>
      <Video key={mid ?? "own"} track={track} mirrored={me} whole={source === "screen"} />
      {paused && !me && (
        <p className="absolute inset-0 grid place-items-center bg-shade p-4 text-center text-sm text-white">
          {small ? <VideoOff aria-label={t.meeting.paused} role="img" className="mb-6 size-5" /> : t.meeting.paused}
        </p>
      )}
    </>
  );
}

/**
 * Video fills its tile where little is lost by that; upright pictures and
 * screens are shown whole.
 */
function Video({ track, mirrored, whole }: { track: MediaStreamTrack; mirrored: boolean; whole: boolean }) {
  const show = useTrack(track);
  const [upright, setUpright] = useState(false);
  return (
    <video
      ref={show}
      autoPlay
      playsInline
      muted
      onResize={(e) => setUpright(e.currentTarget.videoWidth < e.currentTarget.videoHeight * 1.2)}
      className={cx("size-full", whole || upright ? "object-contain" : "bg-black object-cover", mirrored && "-scale-x-100")}
    />
  );
}

/** initials of a name: the first letters of its first and last word. */
export function initials(name: string) {
  const words = name.trim().split(/\s+/).filter((w) => /[\p{L}\p{N}]/u.test(w));
  const first = (w?: string) => [...(w ?? "")][0]?.toUpperCase() ?? "";
  return words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0]);
}

function Face({ tile, small }: { tile: TileOf; small?: boolean }) {
  const { party } = tile;
  return (
    <div className="grid size-full place-items-center">
      <span
        aria-hidden
        className={cx(
          "grid aspect-square place-items-center rounded-full bg-surface font-semibold text-accent",
          small ? "h-2/5 min-h-8 text-base" : "h-[38%] max-h-36 min-h-12 text-2xl",
        )}
      >
        {party.phone ? <Phone className="size-2/5" /> : initials(party.name) || "?"}
      </span>
    </div>
  );
}
