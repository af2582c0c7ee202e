import { expect, it } from "vitest";
import { preferred } from "./peer";

const h264 = (mode: number, profile: string) => ({ mimeType: "video/H264", sdpFmtpLine: `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${profile}` });
const vp8 = { mimeType: "video/VP8" };
const rtx = { mimeType: "video/rtx" };
const all = [vp8, rtx, h264(1, "42001f"), h264(0, "42001f"), h264(1, "42e01f"), h264(0, "42e01f"), { mimeType: "video/VP9" }];

it("puts the format wanted first: its packetization mode, then constrained baseline", () => {
  expect(preferred(all, "H264", "packetization-mode=0")[0]).toBe(all[5]);
  expect(preferred(all, "h264", "packetization-mode=1")[0]).toBe(all[4]);
  expect(preferred(all, "H264", "packetization-mode=0")).toHaveLength(all.length);
});

it("leaves the order to the browser where nothing is wanted or nothing fits", () => {
  expect(preferred(all, "", "")).toEqual(all);
  expect(preferred([vp8, rtx], "H264", "packetization-mode=1")).toEqual([vp8, rtx]);
});
