import { describe, expect, it } from "vitest";
import { languages, load, preferred, t } from "../strings";
import { en } from "./en";
import { de } from "./de";

type Leaf = string | ((...args: never[]) => string);

/** leaves of words, by their path. */
function leaves(words: object, at = ""): [string, Leaf][] {
  return Object.entries(words).flatMap(([k, v]: [string, Leaf | object]): [string, Leaf][] =>
    typeof v === "object" ? leaves(v, `${at}${k}.`) : [[at + k, v as Leaf]],
  );
}

/** same are German words that are English, too, and those that are none. */
const same = new Set([
  "Bridgehead", "Chat", "Name", "Port", "Ports", "Jitter", "Codec", "Codecs", "Passkeys", "Browser", "SIP", "H.323", "Transport", "MOS", "Administrator",
  "2 × 2", "3 × 3", "4 × 4", "1 + 7", "",
]);

describe("German", () => {
  const german = new Map(leaves(de));
  it("has every word, and no other", () => expect([...german.keys()].sort()).toEqual(leaves(en).map(([path]) => path).sort()));
  it.each(leaves(en))("%s is of the same kind and translated", (path, word) => {
    const other = german.get(path);
    expect(typeof other).toBe(typeof word);
    if (typeof word === "function") expect((other as typeof word).length).toBe(word.length);
    else if (!same.has(word)) expect(other).not.toBe(word);
  });
  it("counts", () => {
    expect([de.chats.members(0), de.chats.members(1), de.chats.members(2)]).toEqual(["0 Mitglieder", "1 Mitglied", "2 Mitglieder"]);
    expect([de.controls.waiting(1), de.controls.waiting(2)]).toEqual(["1 wartet", "2 warten"]);
    expect(de.edit.hostsHint(1)).toContain("gibt es einen");
  });
});

describe("languages", () => {
  it("are called by their own names", () => expect(languages).toEqual([["de", "Deutsch"], ["en", "English"]]));
  it.each([
    [["de-AT", "en"], "de"],
    [["fr", "de"], "de"],
    [["en-GB", "de"], "en"],
    [["fr", "constructor"], "en"],
    [[], "en"],
  ])("of a browser that wants %j: %s", (wanted, code) => expect(preferred(wanted)).toBe(code));
  it("are loaded one at a time", async () => {
    await load("de", ["en-US"]);
    expect([t.home.title, t.locale]).toEqual([de.home.title, "de"]);
    await load("en", ["de", "en-GB"]);
    expect([t.home.title, t.locale]).toEqual([en.home.title, "en-GB"]);
  });
});
