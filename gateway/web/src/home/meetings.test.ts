import { describe, expect, it } from "vitest";
import { inputTime, today, type Meeting } from "./meetings";

const meeting = (number: string, next?: string, participants = 0) =>
  ({ number, participants, ...(next && { schedule: { start: next, time_zone: "UTC", minutes: 30, next } }) }) as Meeting;

describe("today", () => {
  const now = new Date(2026, 2, 5, 9, 45);
  const at = (day: number, hour: number) => new Date(2026, 2, day, hour).toISOString();
  it("lists what is on this day and what is under way, by time", () => {
    const list = [meeting("1", at(5, 16)), meeting("2", at(6, 9)), meeting("3"), meeting("4", undefined, 2), meeting("5", at(5, 9)), meeting("6", at(4, 23))];
    expect(today(list, now).map((m) => m.number)).toEqual(["4", "6", "5", "1"]);
  });
});

describe("inputTime", () => {
  it("is by the clock here", () => {
    expect(inputTime(new Date(2026, 0, 2, 3, 4))).toBe("2026-01-02T03:04");
    expect(new Date(inputTime(new Date(2026, 6, 2, 3, 4))).getTime()).toBe(new Date(2026, 6, 2, 3, 4).getTime());
  });
});
