// A chat over lines. Each client has a channel of what it is still to be sent: whoever reads too
// slowly is let go, and nobody waits for it.
//   node examples/line-chat.mjs [port]      (without: shows itself, and ends)
// and then, for each who takes part: nc localhost <port>
import { Buffer } from 'node:buffer';
import { createInterface } from 'node:readline';
import { Channel, dial, listen } from 'heddle';

const kMostLines = 100; // that a client may be behind
const kMostMs = 10_000; // that one line may take
const kHost = '127.0.0.1';

const clients = new Map(); // connection → its channel

function broadcast(line) {
  for (const [conn, lines] of clients) {
    if (!lines.closed && !lines.trySend(line)) conn.destroy(); // its channel is full
  }
}

async function sendLines(conn, lines) {
  for await (const line of lines) {
    await conn.writeAll(Buffer.from(`${line}\n`), { deadline: kMostMs });
  }
}

async function serve(conn) {
  const lines = new Channel(kMostLines);
  // A connection that is gone is an error of its reads and its writes; one of them is enough.
  const sending = sendLines(conn, lines).catch(() => conn.destroy());
  conn.on('error', () => {});
  let name;
  try {
    for await (const line of createInterface({ input: conn })) {
      if (name !== undefined) {
        broadcast(`${name}: ${line}`);
        continue;
      }
      name = line;
      clients.set(conn, lines);
      broadcast(`* ${name} is here`);
    }
  } finally {
    clients.delete(conn);
    lines.close();
    await sending; // what it is still to be sent
    conn.destroy();
    if (name !== undefined) broadcast(`* ${name} has left`);
  }
}

async function run(listener) {
  for await (const conn of listener) serve(conn).catch(() => {});
}

/** Says its lines one after the other, each when it has heard the one before. */
async function visit(port, name, lines) {
  const conn = await dial({ host: kHost, port });
  const heard = [];
  conn.write(`${name}\n`);
  for await (const line of createInterface({ input: conn })) {
    heard.push(line);
    if (line !== `* ${name} is here` && !line.startsWith(`${name}: `)) continue;
    if (lines.length === 0) break;
    conn.write(`${lines.shift()}\n`);
  }
  conn.destroy();
  return heard;
}

async function show() {
  const listener = await listen({ port: 0, host: kHost });
  const running = run(listener);
  const guest = await dial({ host: kHost, port: listener.port });
  guest.write('Ada\n');
  const heard = createInterface({ input: guest })[Symbol.asyncIterator]();
  console.log((await heard.next()).value);
  await visit(listener.port, 'Grace', ['good morning', 'and good night']);
  for (let i = 0; i < 4; i += 1) console.log((await heard.next()).value);
  guest.destroy();
  listener.close();
  await running;
}

const [port] = process.argv.slice(2);
if (port === undefined) {
  await show();
} else {
  const listener = await listen({ port: Number(port) });
  console.log(`the chat is on port ${listener.port}; try: nc localhost ${listener.port}`);
  await run(listener);
}
