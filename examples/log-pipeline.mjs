// JavaScript -> fibers -> JavaScript: who asks most, without keeping who it was. Addresses of an
// access log are hashed by fibers on all cores and counted here:
//   node examples/log-pipeline.mjs
import { Buffer } from 'node:buffer';
import { Channel, kernels, sleep, spawn } from 'heddle';

const kLines = 20_000;
const kFibers = 4;

function* accessLog() {
  for (let i = 0; i < kLines; i += 1) {
    const host = Math.floor(100 * ((i * 0.618) % 1) ** 3); // a few come very often
    yield `10.0.0.${host} - - [21/Nov/2026:10:00:00 +0000] "GET /item/${i} HTTP/1.1" 200 512`;
  }
}

// Two short queues: whoever is too fast waits, and memory stays as it is.
const addresses = new Channel(64);
const digests = new Channel(64);
const hashing = Array.from({ length: kFibers }, () =>
  spawn(kernels.mapBytes, addresses, digests, false),
);

let waits = 0;
async function read() {
  for (const line of accessLog()) {
    const address = Buffer.from(line.slice(0, line.indexOf(' ')));
    if (addresses.trySend(address)) continue;
    waits += 1; // the queue is full: back-pressure
    await addresses.send(address);
  }
  addresses.close();
  await Promise.all(hashing); // what they took, they have sent
  digests.close();
}

async function count() {
  const counts = new Map();
  let seen = 0;
  for await (const digest of digests) {
    const client = Buffer.from(digest.subarray(0, 6)).toString('hex');
    counts.set(client, (counts.get(client) ?? 0) + 1);
    seen += 1;
    if (seen % 5000 === 0) {
      console.log(`${seen} counted, ${addresses.length} + ${digests.length} in the queues`);
      await sleep(20); // a slow moment: everybody before waits as well
    }
  }
  return counts;
}

const reading = read();
const counts = await count();
await reading;
const busiest = [...counts].sort(([, a], [, b]) => b - a).slice(0, 3);
for (const [client, requests] of busiest) console.log(`client ${client}: ${requests} requests`);
console.log(`${kLines} lines of ${counts.size} clients; the reader waited ${waits} times`);
