import { beforeAll, describe, expect, it } from "vitest";
import { load } from "../strings";
import { initial } from "./machine";
import type { Party } from "./protocol";
import { cipher, focus, grid, protection, tiles, wants } from "./view";

const party = (id: string, more: Partial<Party> = {}): Party => ({
  id, name: id, protocol: "webrtc", direction: "in", phone: false, state: "joined", role: "guest", audioMuted: false, videoMuted: false,
  handRaised: false, mutedByHost: false, security: { signalling: "tls", media: "dtls-srtp", suite: "AEAD_AES_256_GCM" }, sources: ["microphone", "camera"], joined: "",
  ...more,
});
const of = (...parties: Party[]) => tiles({ ...initial, id: "me", parties });

describe("tiles", () => {
  it("are screens, then others, then oneself; never those who wait", () => {
    const all = of(party("me"), party("a"), party("w", { state: "waiting" }), party("b", { sources: ["screen"] }));
    expect(all.map((t) => t.key)).toEqual(["b screen", "a camera", "b camera", "me camera"]);
  });
});

describe("focus", () => {
  const all = of(party("me"), party("a"), party("b"));
  it("is the loudest other, and stays with the last one in silence", () => {
    expect(focus(all, ["me", "b", "a"], "", "")?.key).toBe("b camera");
    expect(focus(all, [], "b camera", "")?.key).toBe("b camera");
    expect(focus(all, [], "", "")?.key).toBe("a camera");
  });
  it("is a screen before a speaker, and what is pinned before both", () => {
    const withScreen = of(party("me"), party("a"), party("b", { sources: ["screen"] }));
    expect(focus(withScreen, ["a"], "", "")?.key).toBe("b screen");
    expect(focus(withScreen, ["a"], "", "a camera")?.key).toBe("a camera");
    expect(focus(withScreen, ["a"], "", "gone camera")?.key).toBe("b screen");
  });
  it("is oneself when nobody else is here", () => expect(focus(of(party("me")), [], "", "")?.key).toBe("me camera"));
});

describe("grid", () => {
  it.each([[1, 1600, 900, 1], [2, 1600, 500, 2], [4, 1600, 900, 2], [9, 1600, 900, 3], [3, 390, 800, 1]])("of %i in %i × %i has %i columns", (n, w, h, columns) => {
    const g = grid(n, w, h);
    expect(g.columns).toBe(columns);
    expect(g.columns * g.rows).toBeGreaterThanOrEqual(n);
    expect(g.width * g.columns + 8 * (g.columns - 1)).toBeLessThanOrEqual(w);
    expect(g.height * g.rows + 8 * (g.rows - 1)).toBeLessThanOrEqual(h);
    expect(g.width / g.height).toBeCloseTo(16 / 9, 1);
  });
  it("survives nothing and no room", () => {
    expect(grid(0, 100, 100).rows).toBe(1);
    expect(grid(5, 0, 0).width).toBe(0);
  });
});

describe("wants", () => {
  const shown = (p: Party, height: number, source: "camera" | "screen" = "camera") => ({ party: p, source, height });
  it("asks for pictures that there are, largest first, in steps of 30", () => {
    const list = [
      shown(party("a"), 101), shown(party("b"), 720), shown(party("me"), 720), shown(party("off", { videoMuted: true }), 300),
      shown(party("ear", { sources: ["microphone"] }), 300), shown(party("hidden"), 0), shown(party("s", { sources: ["screen"] }), 600, "screen"),
    ];
    expect(wants(list, "me")).toEqual([
      { party: "b", source: "camera", height: 720 }, { party: "s", source: "screen", height: 600 }, { party: "a", source: "camera", height: 120 },
    ]);
  });
  it("asks once for what is shown twice, and for 50 at most", () => {
    expect(wants([shown(party("a"), 90), shown(party("a"), 700)], "me")).toEqual([{ party: "a", source: "camera", height: 720 }]);
    expect(wants(Array.from({ length: 80 }, (_, i) => shown(party(`${i}`), 100)), "me").length).toBe(50);
  });
});

describe("protection", () => {
  beforeAll(() => load("en", []));
  const badge = (p: Party) => [protection(p).encrypted, protection(p).parts.join(" · ")];
  it("names each leg's hop", () => {
    expect(badge(party("a"))).toEqual([true, "WebRTC · DTLS-SRTP · AES-256-GCM"]);
    const sip = party("b", { protocol: "sip", security: { signalling: "tls", media: "sdes-srtp", suite: "AES_CM_128_HMAC_SHA1_80" } });
    expect(badge(sip)).toEqual([true, "SIP · TLS · AES-128-CM"]);
    expect(badge(party("c", { protocol: "h323", security: { signalling: "h235", media: "h235" } }))).toEqual([true, "H.323 · H.235"]);
    const room = party("c", { protocol: "h323", security: { signalling: "clear", media: "h235", suite: "AES_256_CBC" } });
    expect(badge(room)).toEqual([true, "H.323 · H.235, signalling in clear · AES-256-CBC"]);
    expect(badge(party("c", { protocol: "h323", security: { signalling: "tls", media: "h235", suite: "AES_128_CBC" } }))).toEqual([true, "H.323 · TLS · AES-128-CBC"]);
    expect(badge(party("d", { protocol: "pstn", phone: true, security: { signalling: "clear", media: "clear" } }))).toEqual([false, "Phone"]);
  });
  it("says what a caller's number is worth", () => {
    const of = (result: string, by: "bridge" | "carrier", attest?: "A" | "B" | "C") =>
      protection(party("d", { protocol: "pstn", phone: true, security: { signalling: "clear", media: "clear" }, stir: { result, by, attest } })).caller;
    expect(of("verified", "bridge", "A")).toBe("caller number verified (A)");
    expect(of("verified", "bridge", "C")).toBe("caller unknown to signer (C)");
    expect(of("verified", "carrier")).toBe("caller number verified by carrier");
    expect(of("verified", "carrier", "B")).toBe("caller number not vouched for (B)");
    expect(of("stale", "bridge")).toBe("caller number not verified");
    expect(of("no identity", "bridge")).toBeUndefined();
    expect(protection(party("d")).caller).toBeUndefined();
  });
  it("calls a leg that is half in clear in clear", () => {
    expect(protection(party("e", { security: { signalling: "tls", media: "clear" } })).encrypted).toBe(false);
    expect(protection(party("f", { security: { signalling: "", media: "dtls-srtp" } })).encrypted).toBe(false);
  });
  it("shortens registered suite names", () => expect(cipher("AEAD_AES_128_GCM")).toBe("AES-128-GCM"));
});
