// JavaScript -> fibers -> JavaScript: hashes the lines of standard input, in order, on all cores.
//   node examples/pipeline.mjs < README.md
import { Buffer } from 'node:buffer';
import { createInterface } from 'node:readline';
import { Channel, kernels, spawn } from 'heddle';

const lines = new Channel(64); // room for 64: a fast reader waits for the hashing, not for memory
const digests = new Channel(64);
const hashed = spawn(kernels.mapBytes, lines, digests, true);

async function readLines() {
  for await (const line of createInterface({ input: process.stdin })) {
    await lines.send(Buffer.from(line));
  }
  lines.close();
}

const reading = readLines();
for await (const digest of digests) console.log(Buffer.from(digest).toString('hex').slice(0, 16));
await reading;
console.error(`${await hashed} lines`);
