// A driver of browsers for the end-to-end tests: commands as JSON lines on
// stdin, answers as JSON lines on stdout. It ends, with its browsers, when
// stdin closes.
//
//   command  {"n": 1, "do": "open", "id": "alice", …}
//   answer   {"n": 1, "ok": true, "value": …}  or  {"n": 1, "ok": false, "error": "…"}
//
// n is any number; the answer repeats it. Commands to one browser (id) are
// carried out in order, those to different browsers side by side. Each takes at
// most `timeout` ms (default 15000).
//
//   open        id, url?, fakeAudio? (WAV file, played in a loop as microphone), fakeVideo? (Y4M or MJPEG
//               file, as camera), width?, height? (1280 × 800), dark?, reducedMotion?, noDevices? (no camera and
//               microphone), denied? (the user refuses them), locale? (en-US), flags? (more of Chromium)
//               Each browser is a process of its own. CHROMIUM names the program, default /usr/bin/chromium.
//   goto        id, url
//   reload      id
//   click       id, and which element (below)
//   fill        id, value, and which element
//   select      id, value, and which element
//   press       id, key                    such as "m", "Enter", "Shift+?"
//   waitText    id, text                   until the text is to be seen; "/…/" is a regular expression
//   waitGone    id, text                   until it is not
//   waitFor     id, script                 until the expression is true in the page
//   text        id, and which element?     → its text, without one that of the page
//   count       id, and which element      → how many there are
//   visible     id, and which element      → whether it is to be seen
//   eval        id, script                 → value of the expression; promises are awaited
//   screenshot  id, path, full?
//   axe         id, exclude? (selectors)   → violations of WCAG 2.2 A and AA: [{id, impact, help, targets}]
//   resize      id, width, height
//   offline     id, on                     cuts HTTP and WebSocket (not UDP)
//   authenticator id                        holds passkeys and unlocks them from then on → nothing
//   console     id                         → errors that the page has logged
//   close       id
//
// Which element: {"role": "button", "name": "Join meeting"}, {"label": "Your name"}, {"text": "…"} or
// {"selector": "css"}; name, label and text match in part unless "exact" is true; "nth" chooses among several,
// else the first that is visible is meant.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const flags = [
  "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--allow-loopback-in-peer-connection",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
  "--autoplay-policy=no-user-gesture-required", "--auto-select-desktop-capture-source=Entire screen",
];

/** browsers by id: {browser, page, errors}. */
const browsers = new Map();
/** queues by id: the promise of the last command. */
const queues = new Map();

const pattern = (s, exact) => {
  const re = /^\/(.*)\/([a-z]*)$/.exec(s);
  return re ? new RegExp(re[1], re[2]) : exact ? new RegExp(`^\\s*${s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s*$`) : s;
};

function element(page, c) {
  let l;
  if (c.role) l = page.getByRole(c.role, c.name === undefined ? {} : { name: pattern(c.name), exact: !!c.exact });
  else if (c.label) l = page.getByLabel(pattern(c.label), { exact: !!c.exact });
  else if (c.selector) l = page.locator(c.selector);
  else if (c.text) l = page.getByText(pattern(c.text), { exact: !!c.exact });
  else throw new Error("which element? give role, label, text or selector");
  return l;
}

const one = (page, c) => (c.nth === undefined ? element(page, c).filter({ visible: true }).first() : element(page, c).nth(c.nth));

async function open(c) {
  if (browsers.has(c.id)) throw new Error(`${c.id} is open already`);
  const args = [...flags, ...(c.flags ?? [])];
  if (c.fakeAudio) args.push(`--use-file-for-fake-audio-capture=${c.fakeAudio}`);
  if (c.fakeVideo) args.push(`--use-file-for-fake-video-capture=${c.fakeVideo}`);
  const less = c.noDevices ? ["--use-fake-device-for-media-stream"] : c.denied ? ["--use-fake-ui-for-media-stream"] : [];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: args.filter((a) => !less.includes(a)), headless: true, timeout: 30000,
  });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true, viewport: { width: c.width ?? 1280, height: c.height ?? 800 }, colorScheme: c.dark ? "dark" : "light",
    locale: c.locale ?? "en-US",
    reducedMotion: c.reducedMotion ? "reduce" : "no-preference",
    ...(!c.denied && { permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"] }),
  });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
  page.on("pageerror", (e) => errors.push(String(e)));
  browsers.set(c.id, { browser, page, errors });
  if (c.url) await page.goto(c.url);
}

const needed = async (page, script) => await page.evaluate(`(async () => (${script}))()`);

const commands = {
  goto: (b, c) => b.page.goto(c.url).then(() => undefined),
  reload: (b) => b.page.reload().then(() => undefined),
  click: (b, c, timeout) => one(b.page, c).click({ timeout }),
  fill: (b, c, timeout) => one(b.page, c).fill(c.value, { timeout }),
  select: (b, c, timeout) => one(b.page, c).selectOption(c.value, { timeout }).then(() => undefined),
  press: (b, c) => b.page.keyboard.press(c.key),
  waitText: (b, c, timeout) => b.page.getByText(pattern(c.text)).filter({ visible: true }).first().waitFor({ timeout }),
  waitGone: async (b, c, timeout) => {
    const until = Date.now() + timeout;
    while ((await b.page.getByText(pattern(c.text)).filter({ visible: true }).count()) > 0) {
      if (Date.now() > until) throw new Error(`still there: ${c.text}`);
      await b.page.waitForTimeout(50);
    }
  },
  waitFor: async (b, c, timeout) => {
    const until = Date.now() + timeout;
    for (;;) {
      const value = await needed(b.page, c.script);
      if (value) return value;
      if (Date.now() > until) throw new Error(`not true in time: ${c.script}`);
      await b.page.waitForTimeout(100);
    }
  },
  text: (b, c, timeout) => (c.role || c.label || c.text || c.selector ? one(b.page, c) : b.page.locator("body")).innerText({ timeout }),
  count: (b, c) => element(b.page, c).count(),
  visible: (b, c) => one(b.page, c).isVisible(),
  eval: (b, c) => needed(b.page, c.script),
  screenshot: (b, c) => b.page.screenshot({ path: c.path, fullPage: !!c.full, animations: "disabled" }).then(() => undefined),
  axe: async (b, c) => {
    await b.page.evaluate(axeSource);
    return b.page.evaluate(
      ({ exclude }) =>
        globalThis.axe
          .run(exclude?.length ? { exclude } : document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
          .then((r) => r.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, targets: v.nodes.map((n) => `${n.target.join(" ")}: ${n.any[0]?.message ?? n.failureSummary}`) }))),
      { exclude: c.exclude },
    );
  },
  resize: (b, c) => b.page.setViewportSize({ width: c.width, height: c.height }),
  offline: (b, c) => b.page.context().setOffline(!!c.on),
  authenticator: async (b) => {
    const cdp = await b.page.context().newCDPSession(b.page);
    await cdp.send("WebAuthn.enable");
    await cdp.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
  },
  console: (b) => b.errors,
  close: async (b, c) => {
    browsers.delete(c.id);
    await b.browser.close();
  },
};

async function carryOut(c) {
  if (c.do === "open") return open(c);
  const b = browsers.get(c.id);
  if (!b) throw new Error(`no browser ${c.id}`);
  const command = Object.hasOwn(commands, c.do) ? commands[c.do] : undefined;
  if (!command) throw new Error(`unknown command ${c.do}`);
  return command(b, c, c.timeout ?? 15000);
}

const answer = (a) => process.stdout.write(JSON.stringify(a) + "\n");

async function take(line) {
  let c;
  try {
    c = JSON.parse(line);
  } catch {
    return answer({ ok: false, error: "not JSON" });
  }
  const before = queues.get(c.id) ?? Promise.resolve();
  const run = before.then(() => carryOut(c)).then(
    (value) => answer({ n: c.n, ok: true, value: value ?? null }),
    (err) => answer({ n: c.n, ok: false, error: String(err?.message ?? err) }),
  );
  queues.set(c.id, run);
  await run;
}

async function end() {
  await Promise.all([...browsers.values()].map((b) => b.browser.close().catch(() => {})));
  process.exit(0);
}

const lines = createInterface({ input: process.stdin });
const under = new Set();
lines.on("line", (line) => {
  if (!line.trim()) return;
  const done = take(line).finally(() => under.delete(done));
  under.add(done);
});
lines.on("close", () => void Promise.all(under).then(end));
process.on("SIGTERM", () => void end());
