// dist/SOURCE ties the committed build to its source: the SHA-256 over every
// file that goes into it. `write` is the end of a build; `check` builds anew and
// compares byte for byte. web_test.go computes the same sum without Node.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const roots = ["index.html", "openapi.json", "package-lock.json", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"];

const files = (path) => (statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => files(`${path}/${name}`)) : [path]);

/** sum is over name, length and content of each file, by name in byte order. Tests are no part of the build. */
function sum() {
  const hash = createHash("sha256");
  for (const name of roots.flatMap(files).filter((f) => !f.includes(".test.")).sort()) {
    const content = readFileSync(name);
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex") + "\n";
}

if (process.argv[2] === "write") {
  writeFileSync("dist/SOURCE", sum());
} else {
  const before = mkdtempSync(join(tmpdir(), "dist-"));
  cpSync("dist", before, { recursive: true });
  execFileSync("npm", ["run", "build"], { stdio: "inherit" });
  try {
    execFileSync("diff", ["-r", before, "dist"], { stdio: "inherit" });
    console.log("dist is what its source builds");
  } catch {
    console.error("dist differs from what its source builds; commit the new one");
    process.exitCode = 1;
  } finally {
    rmSync(before, { recursive: true });
  }
}
