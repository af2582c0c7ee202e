// The words of the page, in its one language: main.tsx loads them before any
// module that reads them. Each file in strings/ is a language.

import type { Strings } from "./strings/en";

const files = import.meta.glob<Record<string, Strings>>(["./strings/*.ts", "!./strings/*.test.ts"]);
const codeOf = (file: string) => file.slice("./strings/".length, -".ts".length);
const key = "bridgehead.language";

/** languages that there are, by code (BCP 47), each in its own words. */
export const languages: [code: string, name: string][] = Object.keys(files).map(codeOf).map((code) => [code, nameOf(code)]);

/** t holds the words; they do not change as long as the page is open. */
export let t: Strings;

/** load takes the words of a language; t.locale becomes the browser's own variant of it: "en-GB" for "en". */
export async function load(code: string, wanted: readonly string[] = navigator.languages) {
  const words = (await files[`./strings/${code}.ts`]!())[code]!;
  t = { ...words, locale: wanted.find((l) => l.split("-")[0] === code) ?? code };
}

/** preferred is the language that was chosen here, else the first of the browser's that there is, else English. */
export function preferred(wanted: readonly string[] = navigator.languages): string {
  const codes = [chosen(), ...wanted].map((l) => l.split("-")[0] ?? "");
  return codes.find((c) => languages.some(([code]) => code === c)) ?? "en";
}

/** choose remembers a language and loads the page anew in it. */
export function choose(code: string) {
  try {
    localStorage.setItem(key, code);
  } catch {
    // without storage, the browser's own language stays
  }
  location.reload();
}

function chosen(): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function nameOf(code: string): string {
  const name = new Intl.DisplayNames([code], { type: "language" }).of(code) ?? code;
  return name.slice(0, 1).toLocaleUpperCase(code) + name.slice(1);
}
