// A .gz beside every text file of the build that gets smaller by it, so that the server compresses nothing.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../src/raingauge/web/static/dashboard", import.meta.url));
for (const name of readdirSync(root, { recursive: true })) {
  if (!/\.(js|css|svg|html)$/.test(name)) continue;
  const body = readFileSync(join(root, name));
  const packed = gzipSync(body, { level: 9 });
  if (packed.length < body.length * 0.95) writeFileSync(join(root, `${name}.gz`), packed);
}
