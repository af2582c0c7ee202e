// window.bridgehead lets tests and people who look for a fault see the call.

import type { Call } from "./client";

export function expose(call: Call) {
  const name = (id?: string) => call.state.parties.find((p) => p.id === id)?.name ?? "";
  const hook = {
    get state() {
      return call.state;
    },
    get local() {
      const { muted, cameraOff, faults, hand, connection, screen } = call.local;
      return { muted, cameraOff, faults, hand, connection, sharing: !!screen };
    },
    get peer() {
      return { connection: call.peer?.pc.connectionState ?? "closed", ice: call.peer?.pc.iceConnectionState ?? "closed" };
    },
    get levels() {
      return call.state.levels;
    },
    /** pc is the peer connection itself. */
    get pc() {
      return call.peer?.pc;
    },
    /** dropSocket cuts the signalling, as a failing network does. */
    dropSocket: () => (call as unknown as { socket: WebSocket | null }).socket?.close(4999),
    /** stats says of each slot who is in it and what has arrived. */
    stats: async () => {
      const s = await call.peer?.stats();
      if (!s) return { slots: [], sent: [] };
      return {
        slots: call.state.slots.map((slot) => {
          const r = s.received[slot.mid];
          const party = slot.party ?? (slot.slot !== undefined ? call.state.speakerSlots[slot.slot] : undefined);
          return {
            mid: slot.mid, kind: slot.kind, source: slot.source, party: party ?? "", name: name(party), width: r?.frameWidth ?? 0,
            height: r?.frameHeight ?? 0, framesDecoded: r?.framesDecoded ?? 0, packetsReceived: r?.packetsReceived ?? 0,
            packetsLost: r?.packetsLost ?? 0, bytesReceived: r?.bytesReceived ?? 0, jitter: r?.jitter ?? 0,
            audioLevel: r?.audioLevel ?? 0, concealedSamples: r?.concealedSamples ?? 0, totalSamplesReceived: r?.totalSamplesReceived ?? 0,
          };
        }),
        sent: s.sent.map((o) => ({
          mid: o.mid, rid: o.rid ?? "", kind: o.kind, width: o.frameWidth ?? 0, height: o.frameHeight ?? 0, packetsSent: o.packetsSent ?? 0,
          bytesSent: o.bytesSent ?? 0, framesEncoded: o.framesEncoded ?? 0,
        })),
        rtt: s.pair?.currentRoundTripTime ?? 0,
      };
    },
  };
  Object.assign(window, { bridgehead: hook });
}
