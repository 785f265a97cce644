// What a browser fetches before the first screen is drawn must stay small: the page, its scripts and styles, and the
// largest screen with what that screen imports, all as gzip.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 150 * 1024;
const root = fileURLToPath(new URL("../../src/raingauge/web/static/dashboard/", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}.vite/manifest.json`, "utf8"));

function files(key, seen = new Set()) {
  const chunk = manifest[key];
  if (!chunk || seen.has(key)) return new Set();
  seen.add(key);
  const found = new Set([chunk.file, ...(chunk.css ?? [])]);
  for (const next of chunk.imports ?? []) for (const file of files(next, seen)) found.add(file);
  return found;
}

const size = (names) => [...names].reduce((sum, name) => sum + gzipSync(readFileSync(root + name), { level: 9 }).length, 0);
const shell = new Set(["index.html", "theme.js", "icon.svg", ...files("index.html")]);
const plot = files("src/ui/plot.tsx");
const screens = Object.keys(manifest).filter((key) => key.startsWith("src/screens/"));
const loads = screens.map((key) => [key, size(new Set([...shell, ...plot, ...files(key)]))]).sort((a, b) => b[1] - a[1]);

console.log(`shell ${(size(shell) / 1024).toFixed(1)} KiB; with charts, by screen:`);
for (const [key, bytes] of loads) console.log(`  ${(bytes / 1024).toFixed(1).padStart(6)} KiB  ${key}`);
if (!loads.length || loads[0][1] > LIMIT_BYTES) {
  console.error(`first load is over ${LIMIT_BYTES / 1024} KiB`);
  process.exit(1);
}
