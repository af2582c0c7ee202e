import { expect, test } from "vitest";
import { readHours, showHours } from "./hours";

test("hours are read as they are written", () => {
  const text = "Mon-Fri 08:00-18:00, Sat+Wed 09:00-12:00, Fri-Mon 22:00-02:00";
  const spans = readHours(text, "en");
  expect(spans?.map((s) => s.days?.join(" "))).toEqual(["mon tue wed thu fri", "sat wed", "fri sat sun mon"]);
  expect(showHours(spans ?? null, "en")).toBe(text);
  expect(showHours(readHours("Mo-Fr 08:00-18:00, sat 09:00-12:00", "de") ?? null, "de")).toBe("Mo-Fr 08:00-18:00, Sa 09:00-12:00");
  expect(readHours("", "en")).toEqual([]);
  for (const wrong of ["always", "Mon 8-18", "Monday 08:00-18:00", "Mon-Day 08:00-18:00", "08:00-18:00"]) expect(readHours(wrong, "en"), wrong).toBeUndefined();
});
