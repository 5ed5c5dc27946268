// A proxy that never wakes JavaScript for a byte: it passes on what comes, both ways, on fibers.
//   node examples/tcp-proxy.mjs [port [host:]port]       (without: shows itself, and ends)
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import { dial, listen } from 'heddle';

const kHost = '127.0.0.1';
const kConnections = 100;
const kMessages = 20;

async function proxy(port, host, toPort) {
  const listener = await listen({ port });
  console.log(`port ${listener.port} leads to ${host}:${toPort}; Ctrl+C ends it`);
  const serving = listener.proxy({ host, port: toPort });
  process.once('SIGINT', () => listener.close());
  console.log(`${await serving} connections`);
}

// What stands behind it here: a server of node:net.
async function shoutingServer() {
  const server = createServer((socket) => {
    socket.on('data', (chunk) => socket.write(String(chunk).toUpperCase()));
  });
  server.listen(0, kHost);
  await once(server, 'listening');
  return server;
}

async function talk(port) {
  const conn = await dial({ port, host: kHost, deadline: 5000 });
  const buffer = Buffer.alloc(100);
  for (let i = 0; i < kMessages; i += 1) {
    await conn.writeAll(Buffer.from(`message ${i}`));
    const count = await conn.readInto(buffer, { deadline: 5000 });
    if (buffer.toString('utf8', 0, count) !== `MESSAGE ${i}`) throw new Error('a wrong answer');
  }
  conn.destroy();
  return kMessages;
}

async function show() {
  const server = await shoutingServer();
  const listener = await listen({ port: 0, host: kHost });
  const serving = listener.proxy({ host: kHost, port: server.address().port });
  const start = performance.now();
  const counts = await Promise.all(Array.from({ length: kConnections }, () => talk(listener.port)));
  const took = performance.now() - start;
  listener.close();
  server.close();
  const answers = counts.reduce((sum, count) => sum + count);
  console.log(`${await serving} connections, ${answers} answers, all of them right`);
  console.log(`${((1000 * took) / answers).toFixed()} µs for each, both ends in this process`);
}

const [port, to] = process.argv.slice(2);
if (port === undefined) {
  await show();
} else {
  const [, host = kHost, toPort] = /^(?:(.+):)?(\d+)$/.exec(to ?? '') ?? [];
  if (toPort === undefined || !/^\d+$/.test(port)) {
    console.error('Usage: node examples/tcp-proxy.mjs [port [host:]port]');
    process.exit(2);
  }
  await proxy(Number(port), host, Number(toPort));
}
