// A durastack of one's own for the tests in this folder; tests/sdk/python/harness.py is its larger sister.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { LambdaClient } from "@aws-sdk/client-lambda";

const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = resolve(HERE, "../../..");
const BINARY = process.env.DURASTACK_BIN ?? join(ROOT, "target/debug/durastack");
const PATIENCE_MS = 30_000;

export const ORDER = {
  orderId: "A-1001",
  customer: "Ada",
  items: [
    { sku: "tea", quantity: 2 },
    { sku: "mug", quantity: 1 },
  ],
};

/** Polls until `probe` gives something truthy, and returns that. */
export async function waitFor(probe, what, ms = PATIENCE_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Starts the binary on a free port with data of its own; `config` is the text of a durastack.toml, `flags` go last. */
export async function startServer({ config = "", flags = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "durastack-"));
  const configFile = join(folder, "durastack.toml");
  writeFileSync(configFile, config);
  const readyFile = join(folder, "ready.json");
  const logFile = join(folder, "server.log");
  const log = openSync(logFile, "a");
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS|DURASTACK)_/.test(name));
  const child = spawn(
    BINARY,
    ["start", "--port", "0", "--data", join(folder, "data"), "--ready-file", readyFile, "--config", configFile, ...flags],
    { cwd: HERE, stdio: ["ignore", log, log], env: Object.fromEntries(inherited) },
  );
  const ended = new Promise((done) => child.once("exit", done));
  child.once("error", () => {}); // shows as a missing ready file below
  const ready = await waitFor(() => {
    if (child.exitCode !== null) throw new Error(`durastack ended:\n${readFileSync(logFile, "utf8")}`);
    return existsSync(readyFile) && parsed(readFileSync(readyFile, "utf8"));
  }, `the ready file of ${BINARY}`);
  return {
    endpoint: ready.endpoint,
    /** A client with the documented keys. */
    client: (more = {}) =>
      new LambdaClient({
        endpoint: ready.endpoint,
        region: "us-east-1",
        credentials: { accessKeyId: "test", secretAccessKey: "test" },
        ...more,
      }),
    /** Moves the clock, say by "60s". */
    async advance(by) {
      const answer = await fetch(`${ready.endpoint}/_durastack/clock/advance`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ by }),
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    async stop() {
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(killer);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not written to its end yet
  }
}

/** The files of a sample folder as {name: text}. */
export function sample(folder, ...names) {
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(ROOT, "fixtures/samples", folder, name), "utf8")]),
  );
}

/** A zip of {name: text}, stored without compression. */
export function zipped(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const path = Buffer.from(name);
    const data = Buffer.from(text);
    const common = Buffer.alloc(26); // from "version needed" to "extra length", the same in both headers
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x0800, 2); // names are UTF-8
    common.writeUInt16LE(0x21, 8); // 1980-01-01
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(path.length, 22);
    const entry = Buffer.alloc(14); // comment length, disk, attributes, offset of the local header
    entry.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    entry.writeUInt32LE(offset, 10);
    const local = [Buffer.from("PK\x03\x04", "latin1"), common, path, data];
    directory.push(Buffer.from("PK\x01\x02\x14\x03", "latin1"), common, entry, path);
    parts.push(...local);
    offset += local.reduce((sum, part) => sum + part.length, 0);
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}
