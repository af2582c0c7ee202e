import { describe, expect, it } from "vitest";
import { initial, retryDelay, step, type CallState, type Effect, type Input } from "./machine";
import type { Party, ServerMessage } from "./protocol";

/** run feeds inputs one after another and gives the last state and its effects. */
function run(inputs: Input[], from: CallState = initial): [CallState, Effect[]] {
  let effects: Effect[] = [];
  let state = from;
  for (const i of inputs) [state, effects] = step(state, i);
  return [state, effects];
}

const start: Input = { type: "start", meeting: "1000", name: "Ann", passcode: "" };
const opened: Input = { type: "opened" };
const closed = (code: number): Input => ({ type: "closed", code });
const said = (message: ServerMessage): Input => ({ type: "message", message });
const joined = said({ type: "joined", id: "me", resume: "token-1", resumed: false, iceServers: [] });
const resumed = said({ type: "joined", id: "me", resume: "token-2", resumed: true, iceServers: [] });
const wrong = (triesLeft: number) => said({ type: "error", code: "wrong-passcode", message: "", retry: true, triesLeft });
const sent = (effects: Effect[]) => effects.flatMap((e) => (e.type === "send" ? [e.message] : []));
const kinds = (effects: Effect[]) => effects.map((e) => e.type);

const party = (id: string): Party => ({
  id, name: id, protocol: "webrtc", direction: "in", phone: false, state: "joined", role: "guest", audioMuted: false, videoMuted: false,
  handRaised: false, mutedByHost: false, security: { signalling: "tls", media: "dtls-srtp" }, sources: [], joined: "",
});

describe("joining", () => {
  it("opens a socket, joins, and starts media", () => {
    const [s1, e1] = run([start]);
    expect([s1.phase, kinds(e1)]).toEqual(["connecting", ["connect"]]);
    const [, e2] = run([start, opened]);
    expect(sent(e2)).toEqual([{ type: "join", meeting: "1000", name: "Ann" }]);
    const [s3, e3] = run([start, opened, joined]);
    expect([s3.phase, s3.id, s3.resume]).toEqual(["inside", "me", "token-1"]);
    expect(kinds(e3)).toEqual(["remember", "media"]);
  });

  it("asks for a passcode, and again with the tries left", () => {
    const [s1] = run([start, opened, said({ type: "need-passcode", message: "please" })]);
    expect([s1.phase, s1.ask?.wrong]).toEqual(["passcode", false]);
    const [s2, e2] = run([{ type: "passcode", passcode: "1" }], s1);
    expect(s2.phase).toBe("connecting");
    expect(sent(e2)).toEqual([{ type: "join", meeting: "1000", name: "Ann", passcode: "1" }]);
    const [s3] = run([wrong(2)], s2);
    expect([s3.phase, s3.ask?.triesLeft, s3.passcode]).toEqual(["passcode", 2, ""]);
    const [s4] = run([{ type: "passcode", passcode: "2" }, said({ type: "bye", code: "wrong-passcode", message: "" })], s3);
    expect([s4.phase, s4.end?.code]).toEqual(["over", "wrong-passcode"]);
  });

  it("opens a new socket when the old one timed out over the passcode", () => {
    const [s1, e1] = run([start, opened, said({ type: "need-passcode", message: "" }), said({ type: "bye", code: "timeout", message: "" }), closed(4021)]);
    expect([s1.phase, e1]).toEqual(["passcode", []]);
    const [s2, e2] = run([{ type: "passcode", passcode: "7" }], s1);
    expect(kinds(e2)).toEqual(["connect"]);
    const [, e3] = run([opened], s2);
    expect(sent(e3)).toEqual([{ type: "join", meeting: "1000", name: "Ann", passcode: "7" }]);
  });

  it.each(["not-found", "full", "locked", "throttled", "rejected"])("ends with %s", (code) => {
    const [s, e] = run([start, opened, said({ type: "error", code, message: "words", retry: false })]);
    expect([s.phase, s.end]).toEqual(["over", { code, message: "words" }]);
    expect(kinds(e)).toEqual(["stop", "forget"]);
    expect(run([closed(4004)], s)).toEqual([s, []]);
  });

  it("tries a server that cannot be reached a few times", () => {
    let s = run([start])[0];
    for (let i = 0; i < 3; i++) {
      const [next, e] = step(s, closed(1006));
      expect(e).toEqual([{ type: "connect", delay: retryDelay(i) }]);
      s = next;
    }
    expect(step(s, closed(1006))[0].end?.code).toBe("unreachable");
  });
});

describe("inside", () => {
  const inside = run([start, opened, joined])[0];

  it("takes place, roster, slots and levels", () => {
    const [s] = run(
      [
        said({ type: "placed", meeting: "1000", name: "Demo", state: "waiting", role: "guest", locked: false }),
        said({ type: "roster", parties: [party("me")], locked: true }),
        said({ type: "slots", slots: [{ mid: "7", kind: "video", source: "camera", party: "x" }] }),
        said({ type: "levels", of: { x: 20 } }),
        said({ type: "showing", party: "x", source: "camera", layer: "q", paused: true }),
      ],
      inside,
    );
    expect([s.place?.state, s.locked, s.slots[0]?.mid, s.levels.x, s.paused["x camera"], s.layers["x camera"]]).toEqual(["waiting", true, "7", 20, true, "q"]);
  });

  it("follows who comes, changes and goes", () => {
    const [s] = run(
      [
        said({ type: "roster", parties: [party("a"), party("b"), party("c")], locked: false }),
        said({ type: "roster-change", parties: [{ ...party("a"), name: "Ann" }, party("d")], gone: ["b"], locked: true }),
      ],
      inside,
    );
    expect([s.parties.map((p) => p.id), s.parties[0]?.name, s.locked]).toEqual([["a", "c", "d"], "Ann", true]);
  });

  it("obeys a mute by a host, and opens the microphone by the user's hand only", () => {
    const [s1, e1] = run([said({ type: "mute", source: "microphone", on: true, by: "host" })], inside);
    expect(e1).toEqual([{ type: "muted", source: "microphone", on: true }]);
    expect(s1.notices.map((n) => n.code)).toEqual(["muted-microphone"]);
    const [s2, e2] = run([said({ type: "mute", source: "microphone", on: false, by: "host" })], inside);
    expect(s2.notices[0]?.kind).toBe("unmute");
    expect(sent(e2)).toEqual([{ type: "mute", source: "microphone", on: true }]);
    expect(run([said({ type: "mute", source: "microphone", on: false, by: "" })], inside)[1]).toEqual([]);
  });

  it("goes on after a refused offer, and ends with other errors", () => {
    const [s1, e1] = run([said({ type: "error", code: "throttled", message: "", retry: false, id: 3 })], inside);
    expect([s1.phase, e1]).toEqual(["inside", [{ type: "refused", id: 3 }]]);
    expect(run([said({ type: "error", code: "failure", message: "", retry: false })], inside)[0].phase).toBe("over");
  });

  it("says goodbye when leaving", () => {
    const [s, e] = run([{ type: "leave" }], inside);
    expect([s.phase, s.end?.code]).toEqual(["over", "left"]);
    expect(kinds(e)).toEqual(["send", "stop", "forget", "disconnect"]);
  });

  it("keeps chat and notices within bounds", () => {
    let s = inside;
    for (let i = 0; i < 600; i++) {
      s = step(s, said({ type: "text", from: "x", name: "x", body: `${i}`, at: "" }))[0];
      s = step(s, said({ type: "notice", code: `${i}`, text: "" }))[0];
    }
    expect([s.chat.length, s.chat.at(-1)?.body, s.notices.length]).toEqual([500, "599", 5]);
    expect(new Set(s.chat.map((l) => l.id)).size).toBe(500);
    expect(step(s, { type: "dismiss", id: s.notices[0]!.id })[0].notices.length).toBe(4);
  });
});

describe("losing the network", () => {
  const inside = run([start, opened, joined, said({ type: "roster", parties: [party("me")], locked: false })])[0];

  it("resumes with the token and keeps what it knew", () => {
    const [lost, e1] = run([closed(1006)], inside);
    expect([lost.phase, e1]).toEqual(["lost", [{ type: "connect", delay: 500 }]]);
    const [, e2] = run([opened], lost);
    expect(sent(e2)).toEqual([{ type: "join", resume: "token-1" }]);
    const [back, e3] = run([opened, resumed], lost);
    expect([back.phase, back.resume, back.attempt, back.parties.length]).toEqual(["inside", "token-2", 0, 1]);
    expect(e3.find((e) => e.type === "media")).toMatchObject({ resumed: true });
  });

  it("waits longer each time, up to 5 s, and gives up after about two minutes", () => {
    let s = inside;
    let total = 0;
    let tries = 0;
    for (; s.phase !== "over"; tries++) {
      const [next, e] = step(s, closed(1006));
      for (const x of e) if (x.type === "connect") total += x.delay;
      expect(tries).toBeLessThan(100);
      s = next;
    }
    expect(s.end?.code).toBe("unreachable");
    expect(total).toBeGreaterThan(90_000);
    expect(total).toBeLessThan(150_000);
  });

  it("joins anew when the token is not known any more", () => {
    const [s, e] = run([closed(1001), opened, said({ type: "error", code: "resume-unknown", message: "", retry: true })], inside);
    expect([s.phase, s.resume]).toEqual(["connecting", ""]);
    expect(sent(e)).toEqual([{ type: "join", meeting: "1000", name: "Ann" }]);
    const [again, e2] = run([said({ type: "joined", id: "me2", resume: "t", resumed: false, iceServers: [] })], s);
    expect([again.id, again.parties, e2.find((x) => x.type === "media")]).toMatchObject(["me2", [], { resumed: false }]);
  });

  it.each([[4002, "removed"], [4001, "ended"], [4018, "replaced"], [1000, "normal"]])("does not come back after close %i", (code, name) => {
    const [s] = run([closed(code)], inside);
    expect([s.phase, s.end?.code]).toEqual(["over", name]);
  });

  it("restarts ICE when the network changes, and connects at once when it was waiting to", () => {
    expect(run([{ type: "network" }], inside)[1]).toEqual([{ type: "restart" }]);
    const [, e] = run([closed(1006), closed(1006), closed(1006), { type: "network" }], inside);
    expect(e).toEqual([{ type: "connect", delay: 0 }]);
  });

  it("comes back to the call of a reloaded page", () => {
    const [s, e] = run([{ ...start, resume: "kept" } as Input, opened]);
    expect(sent(e)).toEqual([{ type: "join", resume: "kept" }]);
    expect(run([resumed], s)[0].phase).toBe("inside");
  });
});

it("never throws and never leaves a phase unnamed, whatever comes", () => {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  const inputs: Input[] = [
    start, opened, closed(1006), closed(4021), joined, resumed, wrong(1), { type: "network" }, { type: "passcode", passcode: "1" },
    said({ type: "need-passcode", message: "" }), said({ type: "restart" }), said({ type: "bye", code: "ended", message: "" }),
    said({ type: "answer", id: 1, sdp: "" }), said({ type: "unknown" } as never),
  ];
  let s = initial;
  for (let i = 0; i < 20_000; i++) {
    s = step(s, inputs[random(inputs.length)]!)[0];
    expect(["connecting", "passcode", "inside", "lost", "over"]).toContain(s.phase);
    if (s.phase === "inside") expect(s.id).not.toBe("");
    if (s.phase === "over") s = step(s, start)[0];
  }
});
