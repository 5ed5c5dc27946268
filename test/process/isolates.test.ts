// Isolates in programs of their own: what they cost, how they end, and what their end does.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { outputOf, runNode, runScript } from '../lib/support.js';

const kFixtures = new URL('../lib/fixtures/', import.meta.url).href;
const kImports = `
  import { Channel, Pool, defineTasks, runtime, sleep, spawn } from 'heddle';
  import { readdirSync, readFileSync } from 'node:fs';
  import { tasks } from '${kFixtures}tasks.mjs';
  const threads = () => readdirSync('/proc/self/task').length;
  const until = async (holds) => {
    const limit = performance.now() + 20_000;
    while (!holds()) {
      if (performance.now() > limit) throw new Error('expected to come true: ' + holds);
      await new Promise(setImmediate);
    }
  };
  const codeOf = (promise) => promise.then((value) => 'value ' + value, (error) => error.code);
`;

const folder = mkdtempSync(join(tmpdir(), 'heddle-isolates-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The URL of a module with that text, in which `heddle` can be imported by its URL. */
function moduleOf(name: string, text: string): string {
  const file = join(folder, name);
  const heddle = new URL('../../dist/lib/index.js', import.meta.url).href;
  writeFileSync(file, text.replaceAll(`'heddle'`, `'${heddle}'`));
  return `file://${file}`;
}

/** A task of the module with that URL, by the name of f. */
const taskOf = (url: string): string => `defineTasks('${url}', { f() {} }).f`;

describe('isolates', () => {
  test('are not there at import, nor is any thread of heddle', async () => {
    const script = `
      const { promises, readdirSync } = await import('node:fs');
      // Those that Node itself reads files with are there by then.
      await Promise.all([1, 2, 3, 4, 5].map(() => promises.readFile('/dev/null')));
      const threads = () => readdirSync('/proc/self/task').length;
      const before = threads();
      const { runtime, defineTasks } = await import('heddle');
      defineTasks('file:///nowhere.mjs', { f() {} });
      console.log(runtime.stats().isolates.length, runtime.isolates > 0, threads() - before);`;
    expect(await outputOf(script)).toBe('0 true 0');
  });

  const ends: [string, string][] = [
    ['after its tasks', 'await Promise.all([spawn(tasks.one, 1), spawn(tasks.later, 2)]);'],
    ['after an inline task', 'await spawn((ctx, n) => n + 1, 1);'],
    ['after a stream', 'for await (const value of spawn(tasks.yieldAll, 100));'],
    ['after a stream that it broke', 'for await (const v of spawn(tasks.yieldAll, 100)) break;'],
    ['after a thread', "await spawn({ on: 'thread' }, tasks.one, 1);"],
    ['after a failure that was caught', 'await spawn(tasks.fail).catch(() => {});'],
    ['after the death of an isolate', 'await spawn(tasks.exit, 3).catch(() => {});'],
    ['after a cancelled task', 'spawn(tasks.one).cancel();'],
    ['after a timeout that did not pass', 'await spawn({ timeout: 1e6 }, tasks.one);'],
    ['after a deadline that did not come', 'await spawn({ deadline: 1e6 }, tasks.one);'],
  ];
  test.each(ends)('let the process end %s', async (_, body) => {
    const script = `${kImports} ${body} process.on('exit', (code) => console.log('exit', code));`;
    expect(await outputOf(script)).toBe('exit 0');
  });

  test('keep the process alive while one of its tasks runs', async () => {
    const script = `${kImports}
      const go = new Channel(1);
      spawn(tasks.hold, new Channel(1), go).then(() => console.log('settled'));
      setTimeout(() => go.send('go'), 50);`;
    expect(await outputOf(script)).toBe('settled');
  });

  test('use no processor time while they are idle', { timeout: 60_000 }, async () => {
    const script = `${kImports}
      await Promise.all(Array.from({ length: 1_000 }, (_, i) => spawn(tasks.later, i)));
      const go = new Channel(1);
      const held = spawn(tasks.hold, new Channel(1), go);
      await sleep(1_500);
      const used = [];
      for (let i = 0; i < 3; i += 1) {
        const before = process.cpuUsage();
        await sleep(1_500);
        const { user, system } = process.cpuUsage(before);
        used.push(user + system);
      }
      // The collectors tidy up once, some seconds after the last work.
      console.log(runtime.stats().isolates.length > 0, Math.min(...used));
      go.close();
      await held;`;
    const [alive, us] = (await outputOf(script)).split(' ');
    expect(alive).toBe('true');
    expect(Number(us)).toBeLessThan(7_500); // 0.5 %
  });

  test('end when they have long been idle, and come back', { timeout: 60_000 }, async () => {
    const script = `${kImports}
      const own = { concurrency: 2, execArgv: [], idleTimeout: 20 };
      const pool = new Pool(async (ctx, go) => { if (go !== null) await go.recv(); }, own);
      const isolates = () => pool.stats().isolates.length;
      const counts = [];
      for (let round = 0; round < 3; round += 1) {
        const go = new Channel(1);
        await Promise.all(Array.from({ length: 100 }, () => pool.run(null)));
        const held = [0, 1].map(() => pool.run(go));
        await sleep(1_200); // longer than it takes to look: one with tasks stays
        console.log(isolates() > 0);
        go.close();
        await Promise.all(held);
        await until(() => isolates() === 0);
        // Its thread ends a little later.
        if (round === 0) await sleep(500);
        counts.push(threads());
      }
      await until(() => threads() <= counts[0]);
      console.log(await pool.run(null));`;
    expect(await outputOf(script)).toBe('true\ntrue\ntrue\nundefined');
  });

  test('are as many as are wanted at most, however busy', async () => {
    const script = `${kImports}
      runtime.isolates = 3;
      const [started, go] = [new Channel(10), new Channel()];
      const blocked = Array.from({ length: 9 }, () => spawn(tasks.block, started, go));
      await until(() => started.length === 3);
      const { isolates, queuedTasks } = runtime.stats();
      console.log(isolates.length, queuedTasks);
      go.close();
      console.log((await Promise.all(blocked)).length);`;
    expect(await outputOf(script)).toBe('3 6\n9');
  });
});

describe('the end of the process', () => {
  const crowd = `
    const never = new Channel();
    const told = new Channel(1_000);
    for (let i = 0; i < 500; i += 1) spawn(tasks.hold, told, never).catch(() => {});
    for (let i = 0; i < 2; i += 1) spawn(tasks.forever, told).catch(() => {});
    for (let i = 0; i < 500; i += 1) spawn(tasks.one, i).catch(() => {});
    spawn({ on: 'thread' }, tasks.forever, told).catch(() => {});`;
  const table: [string, string][] = [
    ['right after the spawns', 'process.exit(7);'],
    ['when they run', 'await told.recv(); process.exit(7);'],
    ['in a callback', 'setTimeout(() => process.exit(7), 100);'],
    ['in the reaction of a task', 'await spawn({ on: "thread" }, tasks.one); process.exit(7);'],
  ];
  test.each(table)('by process.exit comes at once, %s', async (_, body) => {
    const { code, signal, stderr } = await runScript(`${kImports} ${crowd} ${body}`);
    expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: '' });
  });

  test('by a signal comes while tasks run', async () => {
    const script = `${kImports} ${crowd}
      await told.recv();
      process.kill(process.pid, 'SIGINT');`;
    expect(await runScript(script)).toMatchObject({ code: null, signal: 'SIGINT', stderr: '' });
  });

  test('by an uncaught exception comes while tasks run', async () => {
    const script = `${kImports} ${crowd}
      await told.recv();
      throw new Error('the words');`;
    const { code, stderr } = await runScript(script);
    expect(code).toBe(1);
    expect(stderr).toContain('the words');
  });
});

describe('an isolate that dies', () => {
  // Tasks that are in it beside the one that ends it, and others that wait in the queue.
  const around = (body: string, more = ''): string => `${kImports}
    runtime.isolates = 1;
    const [told, go] = [new Channel(10), new Channel(1)];
    const beside = spawn(tasks.hold, told, go);
    await told.recv();
    const bad = ${body};
    const later = Array.from({ length: 20 }, (_, i) => spawn(tasks.one, i));
    const [why, whyBeside] = (await Promise.allSettled([bad, beside])).map(({ reason }) => reason);
    console.log(why.code, whyBeside.code, why.message.split(';')[0]);
    ${more}
    console.log((await Promise.all(later)).length);`;
  const kBoth = 'ERR_HEDDLE_ISOLATE_EXIT ERR_HEDDLE_ISOLATE_EXIT';

  test('by process.exit fails its tasks only, with the exit code', async () => {
    expect(await outputOf(around('spawn(tasks.exit, 5)'))).toBe(
      `${kBoth} expected its isolate to live, got exit code 5\n20`,
    );
  });

  const causes: [string, string][] = [
    ['an exception in a timer', "setTimeout(() => { throw new RangeError('the words'); })"],
    ['an unhandled rejection', "void Promise.reject(new RangeError('the words'))"],
    ['an exception in a microtask', "queueMicrotask(() => { throw new RangeError('the words'); })"],
  ];
  test.each(causes)('by %s fails its tasks only, with the cause', async (_, body) => {
    const bad = `spawn(async (ctx) => { ${body}; await new Promise(() => {}); })`;
    const more = 'console.log(why.cause.name, why.cause.message, whyBeside.cause.message);';
    expect(await outputOf(around(bad, more))).toBe(
      `${kBoth} expected its isolate to live, got an uncaught error\n` +
        'RangeError the words the words\n20',
    );
  });

  test('by an exception that cannot travel says what it was', async () => {
    const body = 'setTimeout(() => { throw { shared: new SharedArrayBuffer(8) }; })';
    const bad = `spawn(async (ctx) => { ${body}; await new Promise(() => {}); })`;
    const more = "console.log(typeof why.cause, why.cause.includes('shared'));";
    expect(await outputOf(around(bad, more))).toBe(
      `${kBoth} expected its isolate to live, got an uncaught error\nstring true\n20`,
    );
  });

  test('young and often, by its tasks, fails these tasks and no other', async () => {
    const script = `${kImports}
      const bad = Array.from({ length: 15 }, () => codeOf(spawn(tasks.exit, 1)));
      const good = Array.from({ length: 50 }, (_, i) => spawn({ priority: -1 }, tasks.one, i));
      console.log(new Set(await Promise.all(bad)), (await Promise.all(good)).length);`;
    expect(await outputOf(script)).toBe("Set(1) { 'ERR_HEDDLE_ISOLATE_EXIT' } 50");
  });

  test('before it can take a task, again and again, fails what waits and says why', async () => {
    const script = `${kImports}
      const execArgv = ['--require', '/nowhere/at/all.cjs'];
      const pool = new Pool(tasks.one, { concurrency: 2, execArgv });
      const waiting = [1, 2, 3].map((i) => pool.run(i));
      for (const { reason } of await Promise.allSettled(waiting)) {
        console.log(reason.code, reason.cause.code);
      }
      await pool.close();`;
    expect(await outputOf(script)).toBe(
      new Array(3).fill('ERR_HEDDLE_ISOLATE_EXIT MODULE_NOT_FOUND').join('\n'),
    );
  });

  test('with its pool settles all that it had, and nothing is taken any more', async () => {
    const script = `${kImports}
      const outcomes = new Set();
      const half = async (ctx, i, never) => { if (i % 2 === 0) await never.recv(); };
      for (let round = 0; round < 8; round += 1) {
        const pool = new Pool(half, { concurrency: 4, perIsolate: 2, execArgv: [] });
        const never = new Channel(1);
        const all = Array.from({ length: 300 }, (_, i) => pool.run(i, never));
        if (round % 4 > 0) await sleep(20 * round);
        const closed = pool.close({ deadline: 0 });
        const refused = () => pool.run(1, never).catch(({ code }) => code);
        console.log(await refused());
        for (const { status, reason } of await Promise.allSettled(all)) {
          outcomes.add(reason?.code ?? status);
        }
        await Promise.all([closed, pool.close()]);
        console.log(await refused(), pool.stats().queued, pool.stats().isolates.length);
      }
      await until(() => threads() < 30);
      console.log([...outcomes].sort().join());`;
    const round = 'ERR_HEDDLE_POOL_CLOSED\nERR_HEDDLE_POOL_CLOSED 0 0\n';
    expect(await outputOf(script)).toBe(`${round.repeat(8)}ERR_HEDDLE_POOL_CLOSED,fulfilled`);
  });

  test('without memory says so, and the next one works', { timeout: 60_000 }, async () => {
    const script = `${kImports}
      const pool = new Pool(async (ctx, what, told) => {
        if (what === 'live') return 'alive';
        if (what === 'wait') { await told.send(1); await new Promise(() => {}); }
        const all = [];
        // Not without a call in it: Node 24 ends the process for that, and Node 26 hangs.
        while (true) all.push({ text: 'x'.repeat(1_000) + all.length });
      }, { concurrency: 2, perIsolate: 2, resourceLimits: { maxOldGenerationSizeMb: 24 } });
      for (let round = 0; round < 2; round += 1) {
        const told = new Channel(1);
        const beside = pool.run('wait', told);
        await told.recv();
        const [why, whyBeside] = await Promise.allSettled([pool.run('hog'), beside]);
        console.log(why.reason.code, whyBeside.reason.code, await pool.run('live'));
      }
      await pool.close();`;
    const { code, signal, stdout } = await runScript(script);
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    const line = 'ERR_HEDDLE_ISOLATE_OOM ERR_HEDDLE_ISOLATE_OOM alive';
    expect(stdout).toBe(`${line}\n${line}\n`);
  });

  test('by a kill while it loops shows its turn before', async () => {
    const script = `${kImports}
      runtime.isolates = 1;
      const told = new Channel(1);
      const task = spawn({ timeout: 300, kill: true }, tasks.forever, told);
      await told.recv();
      await until(() => runtime.stats().isolates[0].turnMs > 100);
      console.log((await task.catch((error) => error)).name, task.state);
      console.log(await spawn(tasks.one, 'next'), runtime.stats().isolates[0].turnMs < 100);`;
    expect(await outputOf(script)).toBe('TimeoutError cancelled\nnext true');
  });
});

describe('a task module', () => {
  test('that is not there fails its tasks with the cause', async () => {
    const script = `${kImports}
      const task = ${taskOf('file:///nowhere/at-all.mjs')};
      for (let i = 0; i < 2; i += 1) {
        const error = await spawn(task).catch((error) => error);
        console.log(error.code, error.cause.code, /nowhere\\/at-all/.test(error.message));
      }
      console.log(await spawn(tasks.one, 'others work'));`;
    const line = 'ERR_HEDDLE_MODULE ERR_MODULE_NOT_FOUND true';
    expect(await outputOf(script)).toBe(`${line}\n${line}\nothers work`);
  });

  test('that throws when it is loaded fails its tasks with what it threw', async () => {
    const url = moduleOf('throws.mjs', `throw new RangeError('at the top');`);
    const script = `${kImports}
      const task = ${taskOf(url)};
      const errors = await Promise.all([1, 2, 3].map(() => spawn(task).catch((error) => error)));
      for (const { code, cause } of errors) console.log(code, cause.name, cause.message);
      console.log(await spawn(tasks.one, 'others work'));`;
    const line = 'ERR_HEDDLE_MODULE RangeError at the top';
    expect(await outputOf(script)).toBe(`${line}\n${line}\n${line}\nothers work`);
  });

  test('that does not define the task is named', async () => {
    const url = moduleOf(
      'other.mjs',
      `import { defineTasks } from 'heddle';
      export const tasks = defineTasks(import.meta.url, { g() { return 'g'; } });`,
    );
    const script = `${kImports}
      const error = await spawn(${taskOf(url)}).catch((error) => error);
      console.log(error.code, error.message.includes('to define the task "f"'));
      const { tasks: others } = await import('${url}');
      console.log(await spawn(others.g));`;
    expect(await outputOf(script)).toBe('ERR_HEDDLE_MODULE true\ng');
  });

  test('that spawns while it is loaded is refused, while other tasks there may', async () => {
    const url = moduleOf(
      'entry.mjs',
      `
      import { defineTasks, spawn } from 'heddle';
      export const tasks = defineTasks(import.meta.url, { f: () => 'f' });
      await new Promise((resolve) => setTimeout(resolve, 100));
      console.log(await spawn(tasks.f));`,
    );
    const script = `${kImports}
      runtime.isolates = 1;
      const nested = spawn(async (ctx, one, many) => {
        const { spawn } = await import(one);
        const { tasks } = await import(many);
        const results = [];
        const end = performance.now() + 300;
        while (performance.now() < end) results.push(await spawn(tasks.nest, 0));
        return results.length > 0;
      }, import.meta.resolve('heddle'), '${kFixtures}tasks.mjs');
      const error = await spawn(${taskOf(url)}).catch((error) => error);
      console.log(error.code);
      console.log(await nested);`;
    expect(await outputOf(script)).toBe('ERR_HEDDLE_LOADING\ntrue');
  });

  test('that is the entry of the program does not start it again', async () => {
    const url = moduleOf(
      'main.mjs',
      `
      import { defineTasks, spawn } from 'heddle';
      console.log('started');
      const tasks = defineTasks(import.meta.url, { f: () => 'f' });
      console.log(await spawn(tasks.f).catch((error) => error.code));`,
    );
    const { code, stdout } = await runNode([url.replace('file://', '')]);
    // What an isolate prints comes when it comes.
    const lines = stdout.trim().split('\n').sort();
    expect({ code, lines }).toEqual({
      code: 0,
      lines: ['ERR_HEDDLE_LOADING', 'started', 'started'],
    });
  });

  test('that is the entry works if it spawns on the main thread only', async () => {
    const url = moduleOf(
      'guarded.mjs',
      `
      import { isMainThread } from 'node:worker_threads';
      import { defineTasks, spawn } from 'heddle';
      const tasks = defineTasks(import.meta.url, { f: (ctx, n) => n + 1 });
      if (isMainThread) console.log(await spawn(tasks.f, 1));`,
    );
    const { code, stdout } = await runNode([url.replace('file://', '')]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '2\n' });
  });

  test('defines a name once, unless it is the same function', async () => {
    const script = `${kImports}
      const url = 'file:///somewhere.mjs';
      defineTasks(url, { f: (ctx, n) => n });
      defineTasks(url, { f: (ctx, n) => n });
      defineTasks(url + '?other', { f: (ctx, n) => n + 1 });
      try {
        defineTasks(url, { f: (ctx, n) => n + 1 });
      } catch ({ code, message }) {
        console.log(code, message.includes('one task "f" in file:///somewhere.mjs'));
      }`;
    expect(await outputOf(script)).toBe('ERR_HEDDLE_DUPLICATE true');
  });

  test('is one of functions, with a URL', async () => {
    const script = `${kImports}
      const bad = [['no url', {}], [5, {}], ['file:///a.mjs', { f: 5 }], ['file:///a.mjs', null]];
      for (const [url, fns] of bad) {
        try { defineTasks(url, fns); } catch ({ code }) { console.log(code); }
      }`;
    expect(await outputOf(script)).toBe(new Array(4).fill('ERR_HEDDLE_ARGUMENT').join('\n'));
  });

  test.runIf(process.versions.node.startsWith('20.'))(
    'of TypeScript, which this Node does not know, names the remedy',
    async () => {
      const url = moduleOf('typed.ts', `export const n: number = 1;`);
      const script = `${kImports}
        const error = await spawn(${taskOf(url)}).catch((error) => error);
        console.log(error.code, error.message);`;
      const said = await outputOf(script);
      expect(said).toMatch(/^ERR_HEDDLE_MODULE .*ERR|^ERR_HEDDLE_MODULE /);
      expect(said).toContain('does not strip types: use Node 22.18 or newer, run under tsx');
    },
  );
});

describe('an isolate of a task', () => {
  test('is watched by --cpu-prof', { timeout: 60_000 }, async () => {
    const script = `${kImports} console.log(await spawn(tasks.one, 'profiled'));`;
    const profiles = join(folder, 'profiles');
    const options = ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
    const { code, stdout } = await runScript(script, ...options);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'profiled\n' });
    expect(readdirSync(profiles)).toHaveLength(2);
  });

  test('is there for the inspector', async () => {
    const script = `${kImports}
      import { Session } from 'node:inspector';
      const session = new Session();
      session.connect();
      const seen = new Promise((resolve) => session.on('NodeWorker.attachedToWorker', resolve));
      session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
      console.log(await spawn(tasks.one, 'inspected'));
      console.log((await seen).params.workerInfo.title);
      session.disconnect();`;
    const { code, stdout } = await runScript(script, '--inspect=0');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^inspected\n.*heddle isolate 0/);
  });

  test('shows where an error is in the source', async () => {
    const map = { version: 3, sources: ['there.ts'], names: [], mappings: 'AAUA' };
    const text = Buffer.from(JSON.stringify(map)).toString('base64');
    const url = moduleOf(
      'mapped.mjs',
      `const f = () => { throw new Error('mapped'); };
import { defineTasks } from 'heddle';
export const tasks = defineTasks(import.meta.url, { f });
//# source${'MappingURL'}=data:application/json;base64,${text}`,
    );
    const script = `${kImports}
      const error = await spawn(${taskOf(url)}).catch((error) => error);
      console.log(error.stack);`;
    const { code, stdout } = await runScript(script, '--enable-source-maps');
    expect(code).toBe(0);
    expect(stdout).toContain('there.ts:11');
  });

  test('runs under options that name no file', async () => {
    const script = `${kImports} console.log(await spawn((ctx, n) => n + 1, 1));`;
    expect(await outputOf(script)).toBe('2');
    const common = `import('heddle')
      .then(({ spawn }) => spawn((ctx, n) => n + 1, 1))
      .then(console.log)`;
    expect(await runNode(['--eval', common])).toMatchObject({ code: 0, stdout: '2\n' });
    const printed = await runNode(['--print', `${common}; 0`]);
    expect(printed.stdout.split('\n').sort()).toEqual(['', '0', '2']); // in whichever order
  });
});
