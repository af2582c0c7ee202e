import { describe, expect, it } from "vitest";
import { grade, way } from "./network";

type Stat = Record<string, unknown> & { type: string; id: string };

const stats = (local: object, more: Stat[] = []): Stat[] => [
  { type: "transport", id: "T", selectedCandidatePairId: "P" },
  { type: "candidate-pair", id: "X", nominated: false, state: "failed", currentRoundTripTime: 9 },
  { type: "candidate-pair", id: "P", nominated: true, state: "succeeded", localCandidateId: "L", currentRoundTripTime: 0.02 },
  { type: "local-candidate", id: "L", ...local },
  ...more,
];

describe("way", () => {
  it("says nothing before there is a connection", () => {
    expect(way([{ type: "transport", id: "T" }])).toBeUndefined();
  });
  it("tells the transport and the relay apart", () => {
    expect(way(stats({ protocol: "udp", candidateType: "host" }))).toMatchObject({ transport: "udp", relay: "", rtt: 20 });
    expect(way(stats({ protocol: "tcp", candidateType: "host" }))).toMatchObject({ transport: "tcp", relay: "" });
    expect(way(stats({ protocol: "udp", candidateType: "relay", relayProtocol: "tls" }))).toMatchObject({ relay: "tls" });
  });
  it("takes the worse of both ways", () => {
    const w = way(
      stats({ protocol: "udp", candidateType: "host" }, [
        { type: "inbound-rtp", id: "I", kind: "audio", packetsReceived: 98, packetsLost: 2, jitter: 0.004 },
        { type: "remote-inbound-rtp", id: "R", kind: "audio", fractionLost: 0.03, roundTripTime: 0.05 },
      ]),
    );
    expect(w).toMatchObject({ rtt: 50, jitter: 4, lost: 3 });
  });
});

describe("grade", () => {
  it("falls with delay, loss and detours", () => {
    expect(grade({ transport: "udp", relay: "", rtt: 30, lost: 0, jitter: 5 })).toBe("good");
    expect(grade({ transport: "udp", relay: "udp", rtt: 30, lost: 0 })).toBe("good");
    expect(grade({ transport: "tcp", relay: "", rtt: 30 })).toBe("fair");
    expect(grade({ transport: "udp", relay: "", rtt: 300 })).toBe("fair");
    expect(grade({ transport: "udp", relay: "", lost: 8 })).toBe("poor");
  });
});
