import { expect, it } from "vitest";
import { addressOf } from "./address";

it.each([
  ["sips:room@example.org", "sips:room@example.org"], [" SIP:a@b ", "SIP:a@b"], ["h323:1000@host", "h323:1000@host"], ["201", "201"],
  ["+49 30 123-4567", "tel:+49301234567"], ["tel:+49 (30) 1234567", "tel:+49301234567"], ["nonsense", ""], ["", ""], ["sip:", ""], ["sip:a b", ""],
  ["+12", ""], ["javascript:alert(1)", ""],
])("%j is called as %j", (typed, address) => expect(addressOf(typed)).toBe(address));
