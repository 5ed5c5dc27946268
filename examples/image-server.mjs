// Images made smaller behind node:http, on all cores, while the server's own thread stays free:
//   node examples/image-server.mjs
// It asks itself a few times, prints what became of it, and ends.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { background, move, Pool } from 'heddle';
import { tasks } from './image-tasks.mjs';

// Two images at a time, two that wait. Who comes then hears at once that it is too much.
const pool = new Pool(tasks.downscale, { concurrency: 2, queue: 2, deadline: 5000 });

/** POST /?width=…&height=…&by=… with raw RGBA. */
async function answer(request, response) {
  const { searchParams } = new URL(request.url, 'http://localhost');
  const [width, height, by] = ['width', 'height', 'by'].map((key) => Number(searchParams.get(key)));
  const body = await buffer(request);
  if (!(Number.isInteger(by) && by > 0) || body.length !== width * height * 4) {
    response.writeHead(400).end('expected width × height × 4 bytes, and by\n');
    return;
  }
  const { ctx, cancel } = background().withCancel();
  response.on('close', () => cancel()); // nobody waits for the image any more
  try {
    const small = await pool.runWith({ context: ctx }, move(body), width, height, by);
    response.end(small);
  } catch (error) {
    if (ctx.done) return;
    const isBusy = error.code === 'ERR_HEDDLE_QUEUE_FULL';
    response.writeHead(isBusy ? 503 : 500, isBusy ? { 'retry-after': '1' } : {});
    response.end(`${error.message}\n`);
  }
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => response.destroy(error));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const [width, height, by] = [768, 512, 8];
const address = `http://127.0.0.1:${server.address().port}/`;
const url = `${address}?width=${width}&height=${height}&by=${by}`;

async function send(red) {
  const pixels = new Uint8Array(new Uint32Array(width * height).fill(0xff000000 + red).buffer);
  const response = await fetch(url, { method: 'POST', body: pixels });
  const small = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, red: small[0], bytes: small.length };
}

try {
  const { status, red, bytes } = await send(200);
  console.log(`one image: ${status}, ${bytes} bytes (${width / by} × ${height / by}), red ${red}`);

  const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => send(i)));
  const count = (wanted) => answers.filter((each) => each.status === wanted).length;
  console.log(`24 at once: ${count(200)} made smaller, ${count(503)} told to come again`);
  const { wait, run } = pool.stats();
  console.log(`an image waited ${wait.mean.toFixed(1)} ms and took ${run.mean.toFixed(1)} ms`);
} finally {
  server.close();
  await pool.close();
}
