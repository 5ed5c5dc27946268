// What a message from isolate to isolate costs, as a user's code would send it: from the main
// thread to a Worker and back, through channels or, for comparison, through a MessagePort.
//
// Both sides run this file. The receiver measures the steady state: a fifth of the messages comes
// before the clock starts.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, MessageChannel, parentPort, Worker, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { adopt, alloc, Channel, free, move, share } from '../../lib/index.js';
import type { Received, ShareToken } from '../../lib/index.js';
import { median } from './statistics.js';
import type { Output, Params } from './types.js';

type Kind = 'number' | 'string' | 'bytes' | 'object' | 'large';

const kCapacity = 1024;
const kLargeCapacity = 8; // a GiB on its way would measure the system's memory
const kBatch = 1000;
const kLargeBytes = 2 ** 20;
const kColdGapMs = 12;
const kWarmUp = 3000;

/** A fresh value each time, since a cached one would flatter whoever copies by reference. */
function make(kind: Kind, i: number): unknown {
  switch (kind) {
    case 'number':
      return i;
    case 'string':
      return `${i} `.padEnd(100, 'words and ');
    case 'bytes':
      return new Uint8Array(1024).fill(i);
    case 'object':
      return { id: i, name: 'resize', done: (i & 1) === 0 };
    case 'large':
      return new Uint8Array(kLargeBytes).fill(i);
  }
}

interface Errand {
  readonly what: string;
  readonly kind: Kind;
  readonly n: number;
  readonly there: ShareToken<Channel<unknown>>;
  readonly back: ShareToken<Channel<unknown>>;
  readonly port: MessagePort;
}

type Link = Pick<Errand, 'port'> & { there: Channel<unknown>; back: Channel<unknown> };

// --- the Worker's side: sends, or answers ---

const parts: Record<string, (link: Link, kind: Kind, n: number) => Promise<void> | void> = {
  async send({ there }, kind, n) {
    for (let i = 0; i < n; i += 1) await there.send(make(kind, i));
  },
  async sendBatched({ there }, kind, n) {
    for (let i = 0; i < n; i += kBatch) {
      const batch: unknown[] = [];
      for (let k = i; k < Math.min(i + kBatch, n); k += 1) batch.push(make(kind, k));
      await there.sendMany(batch);
    }
  },
  async sendMoved({ there }, kind, n) {
    for (let i = 0; i < n; i += 1) await there.send(move(make(kind, i) as Uint8Array));
  },
  async sendAllocated({ there }, _kind, n) {
    for (let i = 0; i < n; i += 1) await there.send(move(alloc(kLargeBytes).fill(i)));
  },
  async answer({ there, back }) {
    for await (const value of there) await back.send(value);
  },
  postPort({ port }, kind, n) {
    for (let i = 0; i < n; i += 1) port.postMessage(make(kind, i));
  },
  postTransferred({ port }, kind, n) {
    for (let i = 0; i < n; i += 1) {
      const bytes = make(kind, i) as Uint8Array<ArrayBuffer>;
      port.postMessage(bytes, [bytes.buffer]);
    }
  },
  answerPort({ port }) {
    port.on('message', (value) => port.postMessage(value));
  },
};

// --- the main thread's side ---

/** Messages of a port, awaited one by one as those of a channel. */
class Inbox {
  readonly #waiting: unknown[] = [];
  #resolve: ((value: unknown) => void) | undefined;
  constructor(port: MessagePort) {
    port.on('message', (value) => {
      const resolve = this.#resolve;
      this.#resolve = undefined;
      if (resolve === undefined) this.#waiting.push(value);
      else resolve(value);
    });
  }
  next(): Promise<unknown> {
    if (this.#waiting.length > 0) return Promise.resolve(this.#waiting.shift());
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}

interface Measured {
  /** What the Worker does meanwhile. */
  readonly part: string;
  readonly run: (link: Link, n: number, kind: Kind) => Promise<number>;
}

async function timed(n: number, body: (i: number) => Promise<unknown>): Promise<number> {
  for (let i = 0; i < n / 5; i += 1) await body(i);
  const begin = performance.now();
  for (let i = 0; i < n; i += 1) await body(i);
  return ((performance.now() - begin) * 1e6) / n;
}

// The threads are to be cold, not the code: so it runs hot first. And the median, since one time
// slice of somebody else is more than all of it.
async function coldly(n: number, body: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < kWarmUp; i += 1) await body();
  const ms: number[] = [];
  for (let i = 0; i < n; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, kColdGapMs));
    const begin = performance.now();
    await body();
    ms.push(performance.now() - begin);
  }
  return median(ms) * 1e6;
}

const measured: Record<string, Measured> = {
  awaited: { part: 'send', run: ({ there }, n) => receiveAll(there, n) },
  batched: {
    part: 'sendBatched',
    run: async ({ there }, n) => {
      const begin = performance.now();
      for (let got = 1; got < n;) got += (await there.recvMany(kCapacity)).length;
      return ((performance.now() - begin) * 1e6) / (n - 1);
    },
  },
  copied: { part: 'sendMoved', run: ({ there }, n) => receiveAll(there, n) },
  hot: {
    part: 'answer',
    run: async ({ there, back }, n) =>
      timed(n, async (i) => {
        await there.send(i);
        await back.recv();
      }),
  },
  cold: {
    part: 'answer',
    run: async ({ there, back }, n) =>
      coldly(n, async () => {
        await there.send(1);
        await back.recv();
      }),
  },
  moved: { part: 'sendAllocated', run: ({ there }, n) => receiveAll(there, n) },
  freed: {
    part: 'sendAllocated',
    run: ({ there }, n) => receiveAll(there, n, (received) => free(received.value as Uint8Array)),
  },
  portAwaited: { part: 'postPort', run: ({ port }, n) => overPort(port, n) },
  portTransferred: { part: 'postTransferred', run: ({ port }, n) => overPort(port, n) },
  portHot: {
    part: 'answerPort',
    run: ({ port }, n) => {
      const inbox = new Inbox(port);
      return timed(n, (i) => {
        port.postMessage(i);
        return inbox.next();
      });
    },
  },
  portCold: {
    part: 'answerPort',
    run: ({ port }, n) => {
      const inbox = new Inbox(port);
      return coldly(n, () => {
        port.postMessage(1);
        return inbox.next();
      });
    },
  },
};

// A fifth of the messages warms both sides up; then the clock starts.
async function receiveAll(
  channel: Channel<unknown>,
  n: number,
  use?: (received: Received<unknown>) => void,
): Promise<number> {
  const warm = Math.floor(n / 5);
  let begin = 0;
  for (let i = 1; i < n; i += 1) {
    if (i === warm) begin = performance.now();
    const received = await channel.recv();
    if (use !== undefined) use(received);
  }
  return ((performance.now() - begin) * 1e6) / (n - warm);
}

async function overPort(port: MessagePort, n: number): Promise<number> {
  const inbox = new Inbox(port);
  const warm = Math.floor(n / 5);
  for (let i = 0; i < warm; i += 1) await inbox.next();
  const begin = performance.now();
  for (let i = warm; i < n; i += 1) await inbox.next();
  return ((performance.now() - begin) * 1e6) / (n - warm);
}

/** `what`: a key of `measured`; `kind`: what is sent; `n`: how often. Answers ns per message. */
async function messages({ what, kind, n }: Params): Promise<Output> {
  const { part, run } = measured[String(what)]!;
  const capacity = kind === 'large' ? kLargeCapacity : kCapacity;
  const there = new Channel<unknown>(capacity);
  const back = new Channel<unknown>(capacity);
  const { port1, port2 } = new MessageChannel();
  const errand = { what: part, kind, n, there: share(there), back: share(back), port: port2 };
  const worker = new Worker(fileURLToPath(import.meta.url), {
    workerData: errand,
    transferList: [port2],
  });
  const isStream = part.startsWith('send');
  if (isStream) await there.recv();
  else if (!part.startsWith('post')) await once(worker, 'message'); // it has begun
  const ns = await run({ there, back, port: port1 }, Number(n), kind as Kind);
  await worker.terminate();
  port1.close();
  return { ns };
}

export const benchmarks = { messages };

if (!isMainThread && (workerData as Partial<Errand> | null)?.there !== undefined) {
  const { what, kind, n, there, back, port } = workerData as Errand;
  const link = { port, there: adopt(there), back: adopt(back) };
  parentPort!.postMessage('begun');
  void parts[what]!(link, kind, n);
}
