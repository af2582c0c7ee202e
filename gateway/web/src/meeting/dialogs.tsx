import { cipher } from "../call/view";
import { DevicePickers } from "../pages/prejoin";
import { t } from "../strings";
import { useCall } from "../ui/call";
import { fixed, percent } from "../ui/format";
import { Dialog } from "../ui/kit";

export function Help({ open, onClose }: { open: boolean; onClose(): void }) {
  return (
    <Dialog open={open} onClose={onClose} title={t.help.title} text={t.help.text}>
      <dl className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-2">
        {Object.entries(t.help.keys).map(([key, does]) => (
          <div key={key} className="contents">
            <dt>
              <kbd className="grid size-9 place-items-center rounded-md border border-edge bg-raised font-sans font-semibold">{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

export function Settings({ open, onClose }: { open: boolean; onClose(): void }) {
  return (
    <Dialog open={open} onClose={onClose} title={t.settings.title}>
      <DevicePickers />
      <h3 className="mt-6 mb-2 font-semibold">{t.settings.quality}</h3>
      <Quality />
    </Dialog>
  );
}

/** Quality is the call as the server sees it. */
function Quality() {
  const s = useCall((c) => c.state.stats);
  if (!s) return <p className="text-soft">{t.settings.none}</p>;
  const share = (lost: number, of: number) => percent(of + lost > 0 ? (100 * lost) / (of + lost) : 0);
  const rows: [string, string][] = [
    [t.settings.rtt, s.rtt > 0 ? `${Math.round(s.rtt)} ms` : t.settings.none],
    [t.settings.network, s.bitrate > 0 ? `${fixed(s.bitrate / 1e6, 2)} Mbit/s` : t.settings.none],
    [t.settings.lost, `${share(s.audio.lost + s.video.lost, s.audio.received + s.video.received)} ↑  ${share(s.audio.remoteLost + s.video.remoteLost, s.audio.sent + s.video.sent)} ↓`],
    [t.settings.jitter, `${fixed(s.audio.jitter, 1)} ms ↑  ${fixed(s.audio.remoteJitter, 1)} ms ↓`],
    [t.settings.codec, [s.audio.codec, s.video.codec].filter(Boolean).join(", ") || t.settings.none],
    [t.settings.cipher, s.suite ? `DTLS-SRTP, ${cipher(s.suite)}` : t.settings.none],
  ];
  return (
    <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-1.5 text-sm">
      {rows.map(([k, v]) => (
        <div key={k} className="contents">
          <dt className="text-soft">{k}</dt>
          <dd>{v}</dd>
        </div>
      ))}
    </dl>
  );
}
