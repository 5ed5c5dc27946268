// "js promise": async functions of one isolate as units of concurrency. Keys of the results are
// those of the native benchmarks of the same name.
import { setTimeout as delay } from 'node:timers/promises';
import { Channel, select } from './channel.js';
import { collectGarbage, pageTables, residentBytes } from './resident.js';

type Params = Readonly<Record<string, number | string>>;
type Output = Record<string, unknown>;

// As many as are alive at a time in the spawn benchmarks of Go: young garbage stays young.
const kBatch = 128;

const nowNs = (): number => performance.now() * 1e6;

/** ms until all n async functions have run their first instruction. */
function create({ n }: Params): Output {
  let started = 0;
  const body = async (): Promise<void> => {
    started += 1;
    await undefined;
  };
  const promises: Promise<void>[] = [];
  const begin = performance.now();
  for (let i = 0; i < Number(n); i += 1) promises.push(body());
  const ms = performance.now() - begin;
  if (started !== Number(n)) throw new Error(`${started} of ${n} async functions started`);
  return { ms };
}

async function spawnRound(n: number, park: boolean): Promise<void> {
  let release = (): void => {};
  let gate = Promise.resolve();
  const body = park ? async (): Promise<void> => gate : async (): Promise<void> => {};
  for (let left = n; left > 0; left -= kBatch) {
    if (park) gate = new Promise((resolve) => (release = resolve));
    const batch: Promise<void>[] = [];
    for (let i = Math.min(left, kBatch); i > 0; i -= 1) batch.push(body());
    release();
    await Promise.all(batch);
  }
}

/**
 * ns per async function called, run and settled; with park each awaits a promise of its spawner.
 */
async function spawn({ n, park }: Params): Promise<Output> {
  await spawnRound(Number(n), park === 1);
  const begin = nowNs();
  await spawnRound(Number(n), park === 1);
  return { nsPerOp: (nowNs() - begin) / Number(n) };
}

/** Resident bytes per async function that awaits one promise. */
async function memory({ n }: Params): Promise<Output> {
  collectGarbage();
  const rssStart = residentBytes();
  const tablesBefore = pageTables();
  const begin = performance.now();
  const curve: [number, number][] = [];
  const sample = (): void => {
    curve.push([performance.now() - begin, process.memoryUsage.rss()]);
  };
  sample();
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  const body = async (): Promise<void> => {
    await gate;
  };
  let parked: Promise<void>[] | undefined = [];
  for (let i = 0; i < Number(n); i += 1) {
    parked.push(body());
    if (i % 4096 === 0) sample();
  }
  const startMs = performance.now() - begin;
  collectGarbage();
  sample();
  const rssPeak = residentBytes();
  const tables = pageTables() - tablesBefore;
  release();
  await Promise.all(parked);
  parked = undefined;
  collectGarbage();
  await delay(20);
  collectGarbage();
  sample();
  const bytesPerUnit = (rssPeak - rssStart) / Number(n);
  const rssAfter = residentBytes();
  const components = { pageTables: tables };
  return { bytesPerUnit, rssStart, rssPeak, rssAfter, startMs, curve, components };
}

async function yieldA(times: number): Promise<void> {
  for (; times > 0; times -= 1) await undefined;
}

async function yieldB(times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) await undefined;
}

async function yieldC(times: number): Promise<void> {
  while (times > 0) {
    times -= 1;
    await undefined;
  }
}

async function yieldD(times: number): Promise<void> {
  for (let left = times; left !== 0; left -= 1) await undefined;
}

/** ns per `await undefined` of n async functions that take turns in the microtask queue. */
async function yieldAround({ n, yields }: Params): Promise<Output> {
  const sites = [yieldA, yieldB, yieldC, yieldD];
  const each = Math.max(1, Math.floor(Number(yields) / Number(n)));
  const turn = async (): Promise<void> => {
    const all: Promise<void>[] = [];
    for (let i = 0; i < Number(n); i += 1) all.push(sites[i % sites.length]!(each));
    await Promise.all(all);
  };
  await turn();
  const begin = nowNs();
  await turn();
  return { nsPerYield: (nowNs() - begin) / (each * Number(n)) };
}

/** ms until n timers of 1 ms have all fired. */
async function timer({ n }: Params): Promise<Output> {
  const begin = performance.now();
  let left = Number(n);
  await new Promise<void>((resolve) => {
    const fired = (): void => {
      left -= 1;
      if (left === 0) resolve();
    };
    for (let i = 0; i < Number(n); i += 1) setTimeout(fired, 1);
  });
  return { ms: performance.now() - begin };
}

/** ns per setTimeout + clearTimeout while `armed` others wait. */
function timerCancel({ n, armed }: Params): Output {
  const never = (): void => {};
  const hour = 3_600_000;
  const waiting: NodeJS.Timeout[] = [];
  for (let i = 0; i < Number(armed); i += 1) waiting.push(setTimeout(never, hour + (i % 1000)));
  const begin = nowNs();
  for (let i = 0; i < Number(n); i += 1) clearTimeout(setTimeout(never, hour + (i % 1000)));
  const nsPerOp = (nowNs() - begin) / Number(n);
  for (const timeout of waiting) clearTimeout(timeout);
  return { nsPerOp };
}

// Twice: the first time warms the compiler up.
const warm =
  (round: (params: Params) => Promise<Output>) =>
  async (params: Params): Promise<Output> => {
    await round(params);
    return round(params);
  };

/** ns per round trip of a token between two async functions. */
async function pingpong({ n }: Params): Promise<Output> {
  const ping = new Channel<number>();
  const pong = new Channel<number>();
  const echo = async (): Promise<void> => {
    for (let i = 0; i < Number(n); i += 1) await pong.send(await ping.receive());
  };
  const echoed = echo();
  const begin = nowNs();
  for (let i = 0; i < Number(n); i += 1) {
    await ping.send(i);
    await pong.receive();
  }
  const nsPerRoundTrip = (nowNs() - begin) / Number(n);
  await echoed;
  return { nsPerRoundTrip };
}

const kEnd = -1;

/** ns per item from some async functions to others. They await only where they have to wait. */
async function channel({ n, senders, receivers, capacity }: Params): Promise<Output> {
  const items = new Channel<number>(Number(capacity));
  const each = Math.max(1, Math.floor(Number(n) / Number(senders)));
  let sum = 0;
  const send = async (): Promise<void> => {
    for (let item = 1; item <= each; item += 1) {
      const room = items.send(item);
      if (room !== undefined) await room;
    }
  };
  const receive = async (): Promise<void> => {
    for (;;) {
      const next = items.receive();
      const item = typeof next === 'number' ? next : await next;
      if (item === kEnd) return;
      sum += item;
    }
  };
  const begin = nowNs();
  const sending = Array.from({ length: Number(senders) }, send);
  const receiving = Array.from({ length: Number(receivers) }, receive);
  await Promise.all(sending);
  for (const _ of receiving) await items.send(kEnd);
  await Promise.all(receiving);
  const total = each * Number(senders);
  const nsPerItem = (nowNs() - begin) / total;
  if (sum !== (total * (each + 1)) / 2) throw new Error('items were lost or came twice');
  return { nsPerItem };
}

/** ns per select by one or more async functions over channels that each have a sender. */
async function selectAmong({ n, cases, selectors }: Params): Promise<Output> {
  const channels = Array.from({ length: Number(cases) }, () => new Channel<number>());
  const send = async (items: Channel<number>): Promise<void> => {
    for (let item = 1; ; item += 1) await items.send(item); // left behind when the clock stops
  };
  const each = Math.max(1, Math.floor(Number(n) / Number(selectors)));
  const choose = async (): Promise<void> => {
    for (let i = 0; i < each; i += 1) {
      const next = select(channels);
      if (typeof next !== 'number') await next;
    }
  };
  const begin = nowNs();
  for (const items of channels) void send(items);
  await Promise.all(Array.from({ length: Number(selectors) }, choose));
  return { nsPerSelect: (nowNs() - begin) / (each * Number(selectors)) };
}

export const benchmarks: Record<string, (params: Params) => Output | Promise<Output>> = {
  create,
  spawn,
  memory,
  switch: yieldAround,
  timer,
  'timer-cancel': timerCancel,
  pingpong: warm(pingpong),
  channel: warm(channel),
  select: warm(selectAmong),
};
