// What the statistics of a peer connection (W3C webrtc-stats) say of the way to the bridge.

export interface Way {
  /** transport of the media: udp, tcp, or through the relay by udp, tcp or tls. */
  transport: "udp" | "tcp";
  relay: "" | "udp" | "tcp" | "tls";
  /** round trip in milliseconds; undefined while not known. */
  rtt?: number;
  jitter?: number;
  /** lost: the share of packets lost on the worse of both ways, in per cent. */
  lost?: number;
}

type Stat = Record<string, unknown> & { type: string; id: string };

/** way reads the statistics; undefined while nothing is connected. */
export function way(stats: Iterable<Stat>): Way | undefined {
  const all = new Map([...stats].map((s) => [s.id, s]));
  const of = (type: string, kind?: string) => [...all.values()].filter((s) => s.type === type && (!kind || s.kind === kind));
  const chosen = of("transport").map((s) => all.get(String(s.selectedCandidatePairId)))[0];
  const pair = chosen ?? of("candidate-pair").find((s) => s.nominated && s.state === "succeeded");
  if (!pair) return undefined;
  const local = all.get(String(pair.localCandidateId));
  const heard = of("inbound-rtp", "audio")[0];
  const sent = of("remote-inbound-rtp", "audio")[0];
  const ms = (seconds: unknown) => (typeof seconds === "number" ? seconds * 1000 : undefined);
  const came = Number(heard?.packetsReceived ?? 0);
  const missed = Number(heard?.packetsLost ?? 0);
  const losses = [came + missed > 0 ? (100 * missed) / (came + missed) : undefined, typeof sent?.fractionLost === "number" ? 100 * sent.fractionLost : undefined];
  const known = losses.filter((l) => l !== undefined);
  return {
    transport: local?.protocol === "tcp" ? "tcp" : "udp",
    relay: local?.candidateType === "relay" ? ((local.relayProtocol as Way["relay"]) ?? "udp") : "",
    rtt: ms(sent?.roundTripTime) ?? ms(pair.currentRoundTripTime),
    jitter: ms(heard?.jitter),
    lost: known.length ? Math.max(...known) : undefined,
  };
}

export type Grade = "good" | "fair" | "poor";

/** grade is what is to be expected: by the E-model (ITU-T G.107), delays up to 150 ms one way and 1 % of loss are hardly heard. */
export function grade(w: Way): Grade {
  const rtt = w.rtt ?? 0;
  const lost = w.lost ?? 0;
  const jitter = w.jitter ?? 0;
  if (rtt > 500 || lost > 5 || jitter > 80) return "poor";
  if (rtt > 250 || lost > 1 || jitter > 30 || w.transport === "tcp" || w.relay === "tcp" || w.relay === "tls") return "fair";
  return "good";
}
