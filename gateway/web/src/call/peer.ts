// The one peer connection of a call (docs/signalling.md, "Transceivers: slots
// by mid"). The client always offers; one offer is under way at a time.

import type { Source } from "./protocol";

type Own = "microphone" | "camera" | "screen";

const firstAudio = 4; // the mix and three speakers
const firstVideo = 4;
const mostAudio = 16;
const mostVideo = 25;

const cameraLayers: RTCRtpEncodingParameters[] = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: "f", maxBitrate: 1_700_000 },
];
const screenLayer: RTCRtpEncodingParameters[] = [{ maxBitrate: 2_500_000, maxFramerate: 15 }];

export interface PeerEvents {
  /** offer is to be sent; the answer comes by Peer.answer. */
  offer(id: number, sdp: string, sources: Record<string, Source>, fresh: boolean): void;
  /** track: a receiving mid has its track, for good. */
  track(mid: string, track: MediaStreamTrack): void;
  state(state: RTCPeerConnectionState): void;
}


/** preferred sorts the formats that a browser sends: the one wanted first, the rest as they were. All are named
 * even where none is wanted, since an offer otherwise keeps to the order of the last answer. */
export function preferred<T extends { mimeType: string; sdpFmtpLine?: string }>(all: T[], codec: string, fmtp: string): T[] {
  const mode = (line = "") => /packetization-mode=(\d)/.exec(line)?.[1] ?? "0";
  const worth = (c: T) => {
    if (c.mimeType.toLowerCase() !== `video/${codec.toLowerCase()}`) return 0;
    return 1 + (mode(c.sdpFmtpLine) === mode(fmtp) ? 2 : 0) + (/profile-level-id=42e0/.test(c.sdpFmtpLine ?? "") ? 1 : 0);
  };
  return [...all].sort((a, b) => worth(b) - worth(a));
}

export class Peer {
  readonly pc: RTCPeerConnection;
  private own: Record<Own, RTCRtpTransceiver>;
  private receiving: RTCRtpTransceiver[] = [];
  private offerId = 0;
  private awaiting = 0; // id of the offer under way
  private again: { restart: boolean } | null = { restart: false };
  private fresh: boolean;
  private closed = false;
  private grace: number | undefined;

  constructor(iceServers: RTCIceServer[], fresh: boolean, firstOfferId: number, private on: PeerEvents) {
    this.fresh = fresh;
    this.offerId = firstOfferId;
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    const send = (kind: string, sendEncodings?: RTCRtpEncodingParameters[]) =>
      this.pc.addTransceiver(kind, { direction: "sendonly", ...(sendEncodings && { sendEncodings }) });
    this.own = { microphone: send("audio"), camera: send("video", cameraLayers), screen: send("video", screenLayer) };
    this.receive("audio", firstAudio);
    this.receive("video", firstVideo);
    this.pc.ontrack = (e) => e.transceiver.mid && on.track(e.transceiver.mid, e.track);
    this.pc.onconnectionstatechange = () => this.connection();
  }

  get lastOfferId() {
    return this.offerId;
  }

  private receive(kind: "audio" | "video", count: number) {
    const have = this.receiving.filter((t) => t.receiver.track.kind === kind).length;
    for (let i = have; i < count; i++) this.receiving.push(this.pc.addTransceiver(kind, { direction: "recvonly" }));
    return count > have;
  }

  /** slots makes room for as many tracks as the server asks for. */
  slots(audio: number, video: number) {
    const more = [this.receive("audio", Math.min(audio, mostAudio)), this.receive("video", Math.min(video, mostVideo))];
    if (more.some(Boolean)) this.negotiate();
  }

  /** negotiate offers now, or once the offer under way is answered. */
  negotiate(restart = false) {
    this.again = { restart: restart || !!this.again?.restart };
    void this.next();
  }

  private async next() {
    if (!this.again || this.awaiting || this.closed) return;
    const { restart } = this.again;
    this.again = null;
    this.awaiting = ++this.offerId;
    try {
      const offer = await this.pc.createOffer({ iceRestart: restart });
      await this.pc.setLocalDescription(offer);
    } catch (err) {
      if (!this.closed) console.warn("offer", err);
      this.awaiting = 0;
      return;
    }
    this.send();
  }

  private send() {
    const sdp = this.pc.localDescription?.sdp;
    if (!sdp || this.closed) return;
    const sources: Record<string, Source> = {};
    for (const [source, t] of Object.entries(this.own)) if (t.mid) sources[t.mid] = source as Source;
    this.on.offer(this.awaiting, sdp, sources, this.fresh);
  }

  /** resend the offer under way: the socket that it went over is gone. */
  resend() {
    if (this.awaiting) this.send();
  }

  async answer(id: number, sdp: string) {
    if (id !== this.awaiting || this.closed) return;
    try {
      await this.pc.setRemoteDescription({ type: "answer", sdp });
      this.fresh = false;
    } catch (err) {
      if (!this.closed) console.warn("answer", err);
    }
    this.awaiting = 0;
    void this.next();
  }

  /** refused: the offer is taken back and, if it matters, made anew later. */
  async refused(id: number) {
    if (id !== this.awaiting || this.closed) return;
    await this.pc.setLocalDescription({ type: "rollback" }).catch(() => {});
    this.awaiting = 0;
    window.setTimeout(() => this.pc.connectionState !== "connected" && this.negotiate(true), 2000);
  }

  /** prefer sends pictures in a format, such as H264, of a packetization mode; "" leaves it to the browser. */
  prefer(codec: string, fmtp: string) {
    const all = RTCRtpSender.getCapabilities?.("video")?.codecs ?? [];
    const list = preferred(all, codec, fmtp);
    for (const source of ["camera", "screen"] as const) this.own[source].setCodecPreferences?.(list);
    this.negotiate();
  }

  /** set sends a track from a source, or nothing. */
  async set(source: Own, track: MediaStreamTrack | null) {
    if (!this.closed) await this.own[source].sender.replaceTrack(track).catch((err) => console.warn(source, err));
  }

  /** A broken path is given three seconds to heal by itself. */
  private connection() {
    window.clearTimeout(this.grace);
    const state = this.pc.connectionState;
    this.on.state(state);
    if (state === "failed") this.negotiate(true);
    if (state === "disconnected") this.grace = window.setTimeout(() => this.negotiate(true), 3000);
  }

  close() {
    this.closed = true;
    window.clearTimeout(this.grace);
    this.pc.close();
  }

  /** stats of what is received, by mid. */
  async stats() {
    const received: Record<string, RTCInboundRtpStreamStats> = {};
    const sent: RTCOutboundRtpStreamStats[] = [];
    let pair: RTCIceCandidatePairStats | undefined;
    (await this.pc.getStats()).forEach((r) => {
      if (r.type === "inbound-rtp" && r.mid) received[r.mid] = r;
      if (r.type === "outbound-rtp") sent.push(r);
      if (r.type === "candidate-pair" && r.nominated && r.state === "succeeded") pair = r;
    });
    return { received, sent, pair };
  }
}
