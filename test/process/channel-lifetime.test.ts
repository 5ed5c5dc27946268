// Whether waits keep a process alive: while somebody else could end them, and no longer.
import { describe, expect, test } from 'vitest';
import { outputOf, runScript } from '../lib/support.js';

const kImports = `
  import { once } from 'node:events';
  import { Worker } from 'node:worker_threads';
  import { after, background, Barrier, Channel, done, kernels, Mutex, recv, RWMutex, select,
    Semaphore, send, share, sleep, spawn, Ticker, WaitGroup } from 'heddle';
  // Fires only if something else keeps the process alive.
  const hung = setTimeout(() => { console.log('hung'); process.exit(1); }, 5_000);
  hung.unref();
  const start = (object, work) => {
    const code = \`
      import { parentPort, workerData } from 'node:worker_threads';
      const { adopt } = await import(workerData.heddle);
      const it = adopt(workerData.token);
      \${work}\`;
    const url = new URL('data:text/javascript,' + encodeURIComponent(code));
    const heddle = import.meta.resolve('heddle');
    return new Worker(url, { workerData: { heddle, token: share(object) } });
  };
  const shared = (channel) => (channel.toHandle(), channel);
  const full = (channel) => (channel.trySend(0), channel);
  const locked = (mutex) => (mutex.tryLock(), mutex);
  process.on('exit', (code) => console.log('exit', code));`;

describe('a process ends by itself while somebody waits', () => {
  const waits: [string, string][] = [
    ['to receive', 'new Channel().recv()'],
    ['to receive from a shared channel', 'shared(new Channel()).recv()'],
    ['to receive many', 'shared(new Channel()).recvMany(5)'],
    ['to send', 'full(new Channel(1)).send(1)'],
    ['to send to a shared channel', 'shared(full(new Channel(1))).send({ a: 1 })'],
    ['in a loop', '(async () => { for await (const _ of new Channel()); })()'],
    ['for a mutex', 'locked(keep(new Mutex())).lock()'],
    ['for a readers-writer mutex', 'locked(keep(new RWMutex())).readLock()'],
    ['for permits', 'keep(new Semaphore(0)).acquire()'],
    ['at a barrier', 'keep(new Barrier(2)).arrive()'],
    ['for a wait group', '{ const group = keep(new WaitGroup()); group.add(1); group.wait(); }'],
    ['in a select', 'select([recv(new Channel()), send(shared(new Channel()), 1)])'],
    ['in a select without end', 'select([after(Infinity), undefined])'],
    ['for a context', 'select([done(background().withCancel().ctx)])'],
    [
      'for a context that has children',
      `{
        const { ctx } = background().withCancel();
        kept.push(ctx, ctx.withCancel().ctx);
        select([done(ctx)]);
      }`,
    ],
    ['for the signal of a context', 'background().withCancel().ctx.signal'],
    ['for a stream', 'shared(new Channel()).readable().getReader().read()'],
    ['with a signal', 'new Channel().recv({ signal: new AbortController().signal })'],
  ];
  test.each(waits)('%s', async (_, wait) => {
    const script = `${kImports}
      globalThis.kept = [];
      // Otherwise nobody but the waiter holds it, and the wait is rejected when that is found out.
      const keep = (lock) => (kept.push(lock), lock);
      kept.push(${wait.startsWith('{') ? `(() => ${wait})()` : wait});`;
    expect(await outputOf(script)).toBe('exit 0');
  });

  test('and says so with code 13 when its module awaits that', async () => {
    const { code } = await runScript(`${kImports} await shared(new Channel()).recv();`);
    expect(code).toBe(13);
  });

  test('after a ticker was stopped, and after a select with a timer was won', async () => {
    const script = `${kImports}
      const ticker = new Ticker(1);
      await ticker.ticks.recv();
      ticker.stop();
      const channel = shared(new Channel());
      const selected = select([recv(channel), after(3e6)]);
      channel.trySend(1);
      await selected;`;
    expect(await outputOf(script)).toBe('exit 0');
  });

  test('for what a Worker that has ended could have sent', async () => {
    const script = `${kImports}
      const channel = (globalThis.kept = new Channel());
      const worker = start(channel, 'await it.send(1); setTimeout(() => {}, 100);');
      await channel.recv();
      channel.recv();
      select([recv(channel), done(background().withCancel().ctx)]);
      await once(worker, 'exit');`;
    expect(await outputOf(script)).toBe('exit 0');
  });

  test('for what a kernel that has ended could have sent', async () => {
    const script = `${kImports}
      const [from, to] = (globalThis.kept = [new Channel(), new Channel()]);
      const relay = spawn(kernels.relay, from, to);
      to.recv();
      select([recv(to), send(from, 1)]);
      from.close();
      await relay;`;
    expect(await outputOf(script)).toBe('exit 0');
  });
});

describe('a process stays alive while', () => {
  const table: [string, string][] = [
    [
      'a kernel could end a wait',
      `const channel = new Channel();
       const [from, to] = [new Channel(1), new Channel()];
       spawn(kernels.relay, from, to, true);
       sleep(30).then(() => from.send(1));
       await to.recv();`,
    ],
    [
      'a Worker that does not count could end a wait',
      `const channel = new Channel();
       start(channel, 'setTimeout(() => it.send(1), 50);').unref();
       await channel.recv();`,
    ],
    [
      'a Worker that does not count could end a select',
      `const channel = new Channel();
       start(channel, 'setTimeout(() => it.send(1), 50);').unref();
       await select([recv(channel), recv(new Channel())]);`,
    ],
    [
      'a Worker that does not count holds a lock',
      `const mutex = new Mutex();
       const worker = start(mutex, \`
         const held = await it.lock();
         parentPort.postMessage(1);
         setTimeout(() => held.release(), 50);\`);
       await once(worker, 'message');
       worker.unref();
       await mutex.lock();`,
    ],
    ['a select has a timer', `await select([recv(new Channel()), after(50)]);`],
    ['a context has a deadline', `await select([done(background().withTimeout(50).ctx)]);`],
    [
      'the parent of a context has a deadline',
      `await select([done(background().withTimeout(50).ctx.withCancel().ctx)]);`,
    ],
    [
      'it sleeps beside a wait without end',
      `shared(new Channel()).recv();
       await sleep(50);`,
    ],
  ];
  test.each(table)('%s', async (_, body) => {
    const script = `${kImports}
      ${body}
      console.log('settled');
      process.exit(0);`;
    expect(await outputOf(script)).toBe('settled\nexit 0');
  });
});

test('process.exit ends everything at once, among waits of all kinds', async () => {
  const script = `${kImports}
    const [a, b] = [new Channel(), shared(new Channel(2))];
    const mutex = locked(new Mutex());
    for (let i = 0; i < 500; i += 1) {
      a.recv();
      b.send({ i });
      mutex.lock();
      select([recv(a), send(b, [i]), after(i), done(background().withTimeout(i).ctx)]);
      spawn(kernels.relay, b, a);
    }
    start(b, 'for (;;) it.recvSync();');
    start(b, 'for await (const _ of it);');
    setTimeout(() => process.exit(7), 60);`;
  const { code, signal, stdout, stderr } = await runScript(script);
  expect({ code, signal, stdout, stderr }).toEqual({
    code: 7,
    signal: null,
    stdout: 'exit 7\n',
    stderr: '',
  });
});
