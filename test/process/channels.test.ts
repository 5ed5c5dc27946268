// Channels, locks and contexts between isolates and fibers: who meets whom, in which order, and
// what becomes of the others when an isolate ends.
import { describe, expect, test } from 'vitest';
import { outputOf, runScript } from '../lib/support.js';

const kNames = `adopt, after, background, Barrier, Channel, done, kernels, Mutex, Once, recv,
  runtime, RWMutex, select, Semaphore, send, share, sleep, spawn, WaitGroup`;

// `work` is the body of each Worker. It has what was shared as \`it\`, and \`say\`, which answers
// \`answer(worker)\` in the main isolate.
const withWorkers = (work: string, main: string): string => `
  import { once } from 'node:events';
  import { Worker } from 'node:worker_threads';
  import { ${kNames} } from 'heddle';
  const code = ${JSON.stringify(`
    import { parentPort, workerData } from 'node:worker_threads';
    const { ${kNames} } = await import(workerData.heddle);
    const say = (message) => parentPort.postMessage(message);
    const { number, memory } = workerData;
    const it = adopt(workerData.token);
    ${work}`)};
  const url = new URL('data:text/javascript,' + encodeURIComponent(code));
  let number = 0;
  const start = (object, memory) => {
    const heddle = import.meta.resolve('heddle');
    number += 1;
    const workerData = { heddle, token: share(object), number, memory };
    const worker = new Worker(url, { workerData });
    worker.said = [];
    worker.on('message', (message) => worker.said.push(message));
    return worker;
  };
  const answer = async (worker) => {
    while (worker.said.length === 0) await once(worker, 'message');
    return worker.said.shift();
  };
  const hung = setTimeout(() => { console.log('hung'); process.exit(1); }, 20_000);
  hung.unref();
  const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));
  ${main}`;

const run = (work: string, main: string): Promise<string> => outputOf(withWorkers(work, main));

describe('a channel between isolates and fibers', () => {
  test('shares values out among all of them, each once', async () => {
    const work = `
      let [count, sum] = [0, 0];
      for await (const value of it) (count += 1), (sum += value);
      say([count, sum]);`;
    const main = `
      const jobs = new Channel(16);
      const workers = [start(jobs), start(jobs)];
      const counted = spawn(kernels.consume, jobs);
      const made = spawn(kernels.produce, jobs, 5_000);
      let [count, sum] = [0, 0];
      const own = (async () => {
        for await (const value of jobs) (count += 1), (sum += value);
      })();
      await jobs.sendMany(many(5_000, (i) => i));
      await made;
      jobs.close();
      await own;
      for (const worker of workers) {
        const [workerCount] = await answer(worker);
        count += workerCount;
      }
      console.log(count + (await counted));`;
    expect(await run(work, main)).toBe('10000');
  });

  test('passes values of every kind, and gives back the same channel', async () => {
    const work = `
      for await (const value of it.jobs) {
        await it.answers.send({ value, same: value?.channel === it.answers, number });
      }
      it.answers.close();`;
    const main = `
      const [jobs, answers] = [new Channel(), new Channel(2)];
      const both = new Channel(1);
      await both.send({ jobs, answers });
      start(both);
      const values = [1, 'text', 5n, null, undefined, [new Map([['k', new Set([1])]])],
        { channel: answers }, new RangeError('words', { cause: 'why' }), new Uint8Array(100_000)];
      jobs.sendMany(values).then(() => jobs.close());
      const out = [];
      for await (const answer of answers) out.push(answer);
      console.log(out.map(({ same }) => +same).join(), out[6].value.channel === answers);
      const { value: error } = out[7];
      console.log(error instanceof RangeError, error.message, error.cause, out[8].value.length);
      console.log(out[5].value[0].get('k').has(1), out[2].value);`;
    const taken = `const first = (await it.recv()).value; ${work.replaceAll('it.', 'first.')}`;
    expect(await run(taken, main)).toBe('0,0,0,0,0,0,1,0,0 true\ntrue words why 100000\ntrue 5n');
  });

  test('serves whoever waits in the order of arrival', async () => {
    const work = `
      const waiting = it.recv();
      say('waits');
      say((await waiting).value);`;
    const main = `
      const [channel, out] = [new Channel(), new Channel(10)];
      const values = [];
      for (let round = 0; round < 5; round += 1) {
        const first = channel.recv();
        const worker = start(channel);
        await answer(worker);
        const fiber = spawn(kernels.relay, channel, out);
        while (fiber.state !== 'waiting') await sleep(0);
        const last = channel.recv();
        for (const value of [1, 2, 3, 4]) channel.trySend(value);
        values.push((await first).value, await answer(worker));
        values.push((await out.recv()).value, (await last).value);
        fiber.cancel();
        await fiber.catch(() => {});
      }
      console.log(values.join(''));`;
    expect(await run(work, main)).toBe('1234'.repeat(5));
  });

  test('serves selects of several isolates, and each value goes to one of them', async () => {
    const work = `
      const { a, b, stop } = (await it.recv()).value;
      let sum = 0;
      for (;;) {
        const chosen = await select({ a: recv(a), b: recv(b), stop: done(stop), late: after(1e6) });
        if (!chosen.ok || chosen.key === 'stop') break;
        sum += chosen.value;
      }
      say(sum);`;
    const main = `
      const [a, b, handover] = [new Channel(), new Channel(4), new Channel(3)];
      const { ctx: stop, cancel } = background().withCancel();
      const workers = many(2, () => start(handover));
      for (const _ of workers) await handover.send({ a, b, stop });
      let own = 0;
      for (let i = 1; i <= 3000; i += 1) {
        const out = { a: send(a, i), b: send(b, i), come: i % 3 === 0 ? recv(b) : undefined };
        const chosen = await select(out);
        if (chosen.key === 'come') { own += chosen.value; i -= 1; }
      }
      for (let end = b.tryRecv(); end !== undefined; end = b.tryRecv()) own += end.value;
      cancel();
      const sums = await Promise.all(workers.map(answer));
      console.log(own + sums[0] + sums[1]);`;
    expect(await run(work, main)).toBe(String((3000 * 3001) / 2));
  });

  test('keeps what is in it when the isolate that sent it has ended', async () => {
    const main = `
      const channel = new Channel(100);
      const worker = start(channel);
      await once(worker, 'exit');
      const values = await channel.recvMany(1000);
      console.log(values.length, values[99].i, channel.closed);`;
    const work = `for (let i = 0; i < 100; i += 1) it.trySend({ i });`;
    expect(await run(work, main)).toBe('100 99 false');
  });

  test('is the same object for every token that stands for it, and each works once', async () => {
    const work = `
      const other = adopt((await it.recv()).value);
      let code;
      try { adopt(workerData.token); } catch (error) { code = error.code; }
      say([other === it, code]);`;
    const main = `
      const channel = new Channel(1);
      await channel.send(share(channel));
      const worker = start(channel);
      console.log((await answer(worker)).join(' '));`;
    expect(await run(work, main)).toBe('true ERR_HEDDLE_TOKEN');
  });

  test('is abandoned when all isolates but the waiting ones have let it go', async () => {
    const work = `
      setInterval(() => gc(), 5);
      const waits = (() => {
        const channel = it2();
        return [channel.recv(), channel.recv()];
      })();
      say('waits');
      const ends = await Promise.allSettled(waits);
      say(ends.map(({ reason }) => reason?.code).join());
      process.exit();`.replace('it2()', 'adopt(workerData.token)');
    const main = `
      setInterval(() => gc(), 5).unref();
      const worker = (() => start(new Channel()))();
      await answer(worker);
      console.log(await answer(worker));`;
    const script = withWorkers(work, main).replace('const it = adopt(workerData.token);', '');
    const { stdout, stderr } = await runScript(script, '--expose-gc');
    expect([stdout.trim(), stderr]).toEqual(['ERR_HEDDLE_ABANDONED,ERR_HEDDLE_ABANDONED', '']);
  });
});

describe('locks between isolates', () => {
  test.each([
    ['a mutex', 'new Mutex()', 'it.withLock(body)'],
    ['a readers-writer mutex', 'new RWMutex()', 'it.withLock(body)'],
    ['a semaphore', 'new Semaphore(1)', 'it.withPermit(body)'],
  ])('%s has one holder at a time', async (_, make, hold) => {
    const body = `
      const body = async () => {
        const before = memory[0];
        await null;
        memory[0] = before + 1;
      };
      for (let i = 0; i < 500; i += 1) await ${hold};`;
    const main = `
      const it = ${make};
      const memory = new Int32Array(new SharedArrayBuffer(4));
      const workers = [start(it, memory), start(it, memory)];
      ${body}
      await Promise.all(workers.map(answer));
      console.log(memory[0]);`;
    expect(await run(`${body} say('ended');`, main)).toBe('1500');
  });

  test('readers of several isolates are in together', async () => {
    const work = `
      const held = await it.readLock();
      say('in');
      setInterval(() => {}, 1000);`;
    const main = `
      const mutex = new RWMutex();
      const own = await mutex.readLock();
      const workers = [start(mutex), start(mutex)];
      await Promise.all(workers.map(answer));
      console.log(mutex.tryLock());
      own.release();
      await Promise.all(workers.map((worker) => worker.terminate()));
      const written = await mutex.lock();
      console.log(written.poisoned);`;
    expect(await run(work, main)).toBe('undefined\nfalse');
  });

  test('a wait group, a once and a barrier bring isolates together', async () => {
    const work = `
      const { group, once, barrier } = (await it.recv()).value;
      const isFirst = await once.run(() => sleep(5));
      const isLast = await barrier.arrive();
      say([isFirst, isLast]);
      group.done();`;
    const main = `
      const handover = new Channel(3);
      const [group, only, barrier] = [new WaitGroup(), new Once(), new Barrier(4)];
      group.add(3);
      const workers = many(3, () => start(handover));
      for (const _ of workers) await handover.send({ group, once: only, barrier });
      const firsts = [await only.run(() => sleep(5))];
      const lasts = [await barrier.arrive()];
      await group.wait();
      for (const worker of workers) {
        const [isFirst, isLast] = await answer(worker);
        firsts.push(isFirst);
        lasts.push(isLast);
      }
      const count = (flags) => flags.filter(Boolean).length;
      console.log(count(firsts), count(lasts), group.count, only.hasRun);`;
    expect(await run(work, main)).toBe('1 1 0 true');
  });
});

describe('an isolate that ends while it holds', () => {
  const endings: [string, string, string][] = [
    ['is terminated', '', 'await worker.terminate();'],
    ['exits', 'process.exit();', ''],
    ['throws', `setTimeout(() => { throw new Error('x'); });`, `worker.on('error', () => {});`],
  ];
  test.each(endings)(
    'a mutex and %s lets the next one have it, poisoned',
    async (_, work, main) => {
      const holder = `
      const held = await it.lock();
      say('holds');
      ${work}
      setInterval(() => {}, 1000);`;
      const script = `
      const mutex = new Mutex();
      const worker = start(mutex);
      await answer(worker);
      const [first, second] = [mutex.lock(), mutex.lock()];
      ${main}
      const held = await first;
      console.log(held.poisoned);
      held.release();
      (await second).release();
      console.log(mutex.locked);`;
      expect(await run(holder, script)).toBe('true\nfalse');
    },
  );

  test('the write lock of a readers-writer mutex poisons it, a read lock does not', async () => {
    const work = `
      const { mutex, isWriter } = (await it.recv()).value;
      if (isWriter) await mutex.lock();
      else await mutex.readLock();
      say('holds');
      setInterval(() => {}, 1000);`;
    const main = `
      const handover = new Channel(1);
      for (const isWriter of [false, true]) {
        const mutex = new RWMutex();
        await handover.send({ mutex, isWriter });
        const worker = start(handover);
        await answer(worker);
        const waiting = mutex.lock();
        await worker.terminate();
        const held = await waiting;
        console.log(held.poisoned);
        held.release();
      }`;
    expect(await run(work, main)).toBe('false\ntrue');
  });

  test('permits gives them back, and a once that it was running counts', async () => {
    const work = `
      const { semaphore, once } = (await it.recv()).value;
      await semaphore.acquire(3);
      once.run(() => { say('holds'); return new Promise(() => {}); });
      setInterval(() => {}, 1000);`;
    const main = `
      const handover = new Channel(1);
      const [semaphore, only] = [new Semaphore(4), new Once()];
      await handover.send({ semaphore, once: only });
      const worker = start(handover);
      await answer(worker);
      const waits = [semaphore.acquire(4), only.run(() => {})];
      await worker.terminate();
      console.log((await waits[0]).poisoned, await waits[1], semaphore.available);`;
    expect(await run(work, main)).toBe('false false 0');
  });

  test('what it has released or was never given does not count', async () => {
    const work = `
      (await it.lock()).release();
      const held = it.tryLock();
      held.release();
      say('released');
      it.lock();
      it.lock();
      say('holds');
      setInterval(() => {}, 1000);`;
    const main = `
      const mutex = new Mutex();
      const worker = start(mutex);
      await answer(worker);
      await answer(worker);
      const waiting = mutex.lock();
      await worker.terminate();
      (await waiting).release();
      console.log(mutex.locked, mutex.tryLock() !== undefined);`;
    expect(await run(work, main)).toBe('false true');
  });
});

describe('an isolate that ends while it waits', () => {
  const waits: [string, string][] = [
    ['to receive', 'channel.recv()'],
    ['to receive many', 'channel.recvMany(5)'],
    ['in a loop', '(async () => { for await (const _ of channel); })()'],
    ['in a select', 'select([recv(channel), recv(new Channel()), after(1e6), done(ctx)])'],
    ['in a stream', 'channel.readable().getReader().read()'],
    ['synchronously', `setTimeout(() => channel.recvSync(), 5)`],
    ['many times', `for (let i = 0; i < 1000; i += 1) channel.recv()`],
  ];
  test.each(waits)('%s takes nothing any more', async (_, wait) => {
    const work = `
      const { channel, ctx } = (await it.recv()).value;
      ${wait};
      say('waits');
      setInterval(() => {}, 1000);`;
    const main = `
      const [channel, handover] = [new Channel(), new Channel(1)];
      const { ctx } = background().withCancel();
      await handover.send({ channel, ctx });
      const worker = start(handover);
      await answer(worker);
      await sleep(20);
      const begin = performance.now();
      await worker.terminate();
      const took = performance.now() - begin;
      const sent = channel.sendMany([1, 2, 3]);
      const values = [];
      while (values.length < 3) values.push(...(await channel.recvMany(3)));
      await sent;
      console.log(values.join(), took < 1000 ? 'at once' : took);`;
    expect(await run(work, main)).toBe('1,2,3 at once');
  });

  test('to send leaves nothing of what it had not sent', async () => {
    const work = `
      for (let i = 1; i <= 5; i += 1) it.send({ i });
      select([send(it, 'selected'), after(1e6)]);
      setTimeout(() => it.sendSync('sync'), 5);
      say('waits');`;
    const main = `
      const channel = new Channel(2);
      const worker = start(channel);
      await answer(worker);
      await sleep(20);
      await worker.terminate();
      console.log(JSON.stringify(await channel.recvMany(10)), channel.tryRecv());`;
    expect(await run(work, main)).toBe('[{"i":1},{"i":2}] undefined');
  });

  test('for locks leaves them to others', async () => {
    const work = `
      const { mutex, rw, semaphore, barrier, group } = (await it.recv()).value;
      mutex.lock();
      rw.lock();
      semaphore.acquire(2);
      barrier.arrive();
      group.wait();
      say('waits');
      setInterval(() => {}, 1000);`;
    const main = `
      const handover = new Channel(1);
      const locks = { mutex: new Mutex(), rw: new RWMutex(), semaphore: new Semaphore(1) };
      const [barrier, group] = [new Barrier(2), new WaitGroup()];
      group.add(1);
      const held = [await locks.mutex.lock(), await locks.rw.readLock()];
      await handover.send({ ...locks, barrier, group });
      const worker = start(handover);
      await answer(worker);
      const waits = [locks.mutex.lock(), locks.rw.readLock(), locks.semaphore.acquire()];
      await worker.terminate();
      held.forEach((each) => each.release());
      const next = await Promise.all(waits);
      console.log(next.map(({ poisoned }) => poisoned).join());
      const arrivals = [barrier.arrive(), barrier.arrive()];
      group.done();
      console.log((await Promise.all(arrivals)).join());`;
    expect(await run(work, main)).toBe('false,false,false\nfalse,true');
  });

  test('at any moment loses nothing but what it was given', { timeout: 60_000 }, async () => {
    const work = `
      say('waits');
      for await (const value of it) Atomics.add(memory, 0, value === undefined ? 0 : 1);`;
    const main = `
      let isFine = true;
      for (let round = 0; round < 8; round += 1) {
        const channel = new Channel(round % 3);
        const memory = new Int32Array(new SharedArrayBuffer(4));
        const worker = start(channel, memory);
        await answer(worker);
        const produced = spawn(kernels.produce, channel, 5_000, true);
        await sleep(round / 3);
        const ended = worker.terminate();
        let own = 0;
        for await (const _ of channel) own += 1;
        await ended;
        await produced;
        // A batch may have been on its way to it.
        const missing = 5_000 - own - memory[0];
        isFine &&= missing >= 0 && missing <= 2;
        if (!isFine) { console.log(round, own, memory[0]); break; }
      }
      console.log(isFine);`;
    expect(await run(work, main)).toBe('true');
  });
});

describe('synchronous waits in a Worker', () => {
  test('send and receive', async () => {
    const work = `
      const { ping, pong } = it.recvSync().value;
      let count = 0;
      for (let end = ping.recvSync(); end.ok; end = ping.recvSync()) {
        pong.sendSync({ value: end.value });
        count += 1;
      }
      say(count);`;
    const main = `
      const [ping, pong, handover] = [new Channel(), new Channel(), new Channel()];
      const worker = start(handover);
      await handover.send({ ping, pong });
      let isFine = true;
      for (let i = 0; i < 500; i += 1) {
        const sent = ping.send(i % 2 === 0 ? i : { text: 'x'.repeat(i) });
        const { value } = (await pong.recv()).value;
        await sent;
        isFine &&= i % 2 === 0 ? value === i : value.text.length === i;
      }
      ping.close();
      console.log(await answer(worker), isFine);`;
    expect(await run(work, main)).toBe('500 true');
  });

  test('end with the channel, and tell what is wrong', async () => {
    const work = `
      const fails = (call) => { try { call(); } catch (error) { return error.code ?? error; } };
      const signal = AbortSignal.abort('reason');
      const own = new Channel(1);
      own.sendSync(1);
      say([
        it.recvSync().ok,
        fails(() => it.sendSync(1)),
        fails(() => own.recvSync({ signal })),
        fails(() => own.sendSync(2, { signal })),
        fails(() => own.sendSync({ f: () => 1 })),
        fails(() => own.recvSync({ signal: 5 })),
        fails(() => Channel.f64(1).sendSync('x')),
        own.recvSync().value,
      ]);`;
    const main = `
      const channel = new Channel();
      const worker = start(channel);
      channel.close();
      console.log((await answer(worker)).join());`;
    expect(await run(work, main)).toBe(
      'false,ERR_HEDDLE_CLOSED,reason,reason,ERR_HEDDLE_VALUE,ERR_HEDDLE_OPTION,ERR_HEDDLE_VALUE,1',
    );
  });
});

describe('a context between isolates', () => {
  test('that is cancelled is done in the others, with the reason', async () => {
    const work = `
      const child = it.withTimeout(1e6).ctx;
      const waiting = select({ stop: done(child) });
      const aborted = new Promise((resolve) => it.signal.addEventListener('abort', resolve));
      say('waits');
      const { reason } = await waiting;
      await aborted;
      say([reason instanceof RangeError, reason.message, reason.code, reason.cause,
        it.done && child.done, it.err.message, it.signal.reason.message].join());`;
    const main = `
      const { ctx, cancel } = background().withCancel();
      const workers = [start(ctx), start(ctx)];
      await Promise.all(workers.map(answer));
      cancel(Object.assign(new RangeError('words', { cause: 'why' }), { code: 'E_WORDS' }));
      for (const worker of workers) console.log(await answer(worker));`;
    const line = 'true,words,E_WORDS,why,true,words,words';
    expect(await run(work, main)).toBe(`${line}\n${line}`);
  });

  test('is seen by a loop that never gives its turn, in the other isolate', async () => {
    const work = `
      const names = [];
      const late = it.withTimeout(20).ctx;
      for (const ctx of [late, it]) {
        let rounds = 0;
        while (!ctx.done) Atomics.store(memory, 0, (rounds += 1));
        try { ctx.throwIfDone(); } catch (error) { names.push(rounds > 0, error.name); }
        Atomics.store(memory, 0, 0);
        Atomics.store(memory, 1, names.length);
      }
      say(names.join());`;
    const main = `
      const { ctx, cancel } = background().withCancel();
      const memory = new Int32Array(new SharedArrayBuffer(8));
      const worker = start(ctx, memory);
      while (Atomics.load(memory, 1) < 2 || Atomics.load(memory, 0) < 100) await sleep(1);
      cancel();
      console.log(await answer(worker));`;
    expect(await run(work, main)).toBe('true,TimeoutError,true,AbortError');
  });

  test('with a reason that cannot travel says so in words', async () => {
    const work = `
      await select([done(it)]);
      say(it.err);`;
    const main = `
      const { ctx, cancel } = background().withCancel();
      const worker = start(ctx);
      cancel(function stop() {});
      console.log(await answer(worker), typeof ctx.err);`;
    expect(await run(work, main)).toBe('function stop function');
  });

  test('is untouched by children that others have cancelled', async () => {
    const work = `
      const mine = it.withCancel();
      mine.cancel('mine');
      say([mine.ctx.err, it.done].join());`;
    const main = `
      const { ctx } = background().withCancel();
      const worker = start(ctx);
      console.log(await answer(worker), ctx.done);`;
    expect(await run(work, main)).toBe('mine,false false');
  });
});
