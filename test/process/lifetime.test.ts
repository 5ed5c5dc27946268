// What keeps a process alive, what it costs while it has nothing to do, and how it ends.
import { spawn as startProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { outputOf, root, runScript } from '../lib/support.js';

const kImports = `import { kernels, runtime, sleep, spawn } from 'heddle';`;

describe('a process that has nothing to do ends by itself', () => {
  const table: [string, string][] = [
    ['after the import', ''],
    ['after the counters were read', 'runtime.stats();'],
    ['after its tasks', 'await Promise.all([spawn(kernels.noop), spawn(kernels.sleep, 5)]);'],
    ['after a thread', "await spawn({ on: 'thread' }, kernels.sleep, 5);"],
    ['after a sleep', 'await sleep(5);'],
    ['after a failure that was caught', "await spawn(kernels.fail, 'words').catch(() => {});"],
    ['after a cancelled task', 'spawn(kernels.sleep, 3e6).cancel();'],
    ['after a cancelled sleep', 'sleep(3e6).cancel();'],
    ['after a signal', 'sleep(3e6, { signal: AbortSignal.timeout(5) });'],
    ['while a sleep has no end', 'sleep(Infinity);'],
    ['while sleeps have no end and one had', 'sleep(Infinity); await sleep(5); sleep(Infinity);'],
  ];
  test.each(table)('%s', async (_, body) => {
    const script = `${kImports} ${body} process.on('exit', (code) => console.log('exit', code));`;
    expect(await outputOf(script)).toBe('exit 0');
  });

  test('and says so with code 13 when its module awaits what never comes', async () => {
    const { code } = await runScript(`${kImports} await sleep(Infinity);`);
    expect(code).toBe(13);
  });
});

describe('a pending task keeps the process alive', () => {
  const table: [string, string][] = [
    ['that sleeps on a fiber', 'spawn(kernels.sleep, 50)'],
    ['that computes', 'spawn(kernels.spin, 50)'],
    ['on a thread', "spawn({ on: 'thread' }, kernels.sleep, 50)"],
    ['that is a sleep', 'sleep(50)'],
    ['that began in a reaction', 'sleep(5).then(() => spawn(kernels.sleep, 50))'],
    ['beside a sleep without end', '[sleep(Infinity), sleep(50)][1]'],
  ];
  test.each(table)('%s', async (_, task) => {
    expect(await outputOf(`${kImports} ${task}.then(() => console.log('settled'));`)).toBe(
      'settled',
    );
  });

  test('also after the loop has run dry once before', async () => {
    const script = `${kImports}
      process.once('beforeExit', () => spawn(kernels.sleep, 20).then(() => console.log('settled')));
      await spawn(kernels.noop);`;
    expect(await outputOf(script)).toBe('settled');
  });
});

describe('process.exit ends everything at once', () => {
  const crowd = `
    for (let i = 0; i < 1000; i += 1) spawn(kernels.sleep, i % 2 === 0 ? 3e6 : i / 100);
    for (let i = 0; i < 4; i += 1) spawn(kernels.spin, 3e6, i % 2 === 0);
    for (let i = 0; i < 4; i += 1) spawn({ on: 'thread' }, kernels.sleep, 3e6);
    spawn({ on: 'thread' }, kernels.spin, 3e6);
    spawn({ lockToThread: true }, kernels.sleep, 3e6);
    sleep(3e6);`;
  const table: [string, string][] = [
    ['right after the spawns', 'process.exit(7);'],
    ['in the reaction of a task', 'spawn(kernels.noop).then(() => process.exit(7));'],
    [
      'in the reaction of a thread',
      "spawn({ on: 'thread' }, kernels.noop).then(() => process.exit(7));",
    ],
    ['in the reaction of a sleep', 'sleep(3).then(() => process.exit(7));'],
    ['in a callback of Node', 'setTimeout(() => process.exit(7), 3);'],
    [
      'while others are settled',
      'for (let i = 0; i < 50; i += 1) sleep(3).then(() => process.exit(7));',
    ],
  ];
  test.each(table)('%s', async (_, body) => {
    const { code, signal, stdout, stderr } = await runScript(`${kImports} ${crowd} ${body}`);
    expect({ code, signal, stdout, stderr }).toEqual({
      code: 7,
      signal: null,
      stdout: '',
      stderr: '',
    });
  });

  test('also in the middle of a module that still spawns', async () => {
    const ends = Array.from({ length: 10 }, (_, i) =>
      runScript(`${kImports} ${crowd} const end = performance.now() + ${i};
        while (performance.now() < end) spawn(kernels.noop);
        process.exit(${i});`),
    );
    const codes = (await Promise.all(ends)).map(({ code, signal }) => signal ?? code);
    expect(codes).toEqual(ends.map((_, i) => i));
  });
});

describe('an exception in a reaction', () => {
  test('reaches uncaughtException as a rejection, and other tasks go on', async () => {
    const script = `${kImports}
      process.on('uncaughtException', (error, origin) => console.log(error.message, origin));
      for (let i = 0; i < 3; i += 1) {
        spawn(kernels.echo, i).then((value) => { throw new Error('thrown ' + value); });
      }
      await Promise.all(Array.from({ length: 3000 }, (_, i) => spawn(kernels.echo, i)));
      await sleep(5);
      console.log(await spawn(kernels.fib, 10));`;
    expect((await outputOf(script)).split('\n').sort()).toEqual([
      '55',
      'thrown 0 unhandledRejection',
      'thrown 1 unhandledRejection',
      'thrown 2 unhandledRejection',
    ]);
  });

  test('ends a process that does not listen', async () => {
    const script = `${kImports}
      spawn(kernels.noop).then(() => { throw new Error('the words'); });
      spawn(kernels.sleep, 3e6);`;
    const { code, stderr } = await runScript(script);
    expect(code).toBe(1);
    expect(stderr).toContain('Error: the words');
  });

  test('thrown by nextTick between two settlements is an uncaughtException', async () => {
    const script = `${kImports}
      process.on('uncaughtException', (error, origin) => console.log(error.message, origin));
      const later = () => process.nextTick(() => { throw new Error('thrown'); });
      const tasks = Array.from({ length: 5000 }, () => spawn(kernels.noop));
      tasks[2500].then(later);
      await Promise.all(tasks);
      await sleep(5);
      console.log('settled');`;
    expect(await outputOf(script)).toBe('thrown uncaughtException\nsettled');
  });
});

describe('an idle runtime', () => {
  test('uses no processor time in five seconds', { timeout: 60_000 }, async () => {
    const script = `${kImports}
      runtime.processors = 4;
      await Promise.all(Array.from({ length: 5000 }, () => spawn(kernels.sleep, 1)));
      await spawn({ on: 'thread' }, kernels.noop);
      sleep(Infinity);
      spawn(kernels.sleep, Infinity);
      process.stdin.resume();
      console.log('idle');`;
    const child = startProcess(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: root,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const said = once(createInterface(child.stdout), 'line');
    expect(await said).toEqual(['idle']);
    const ticks = (): number => {
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(fields[11]) + Number(fields[12]); // utime and stime, of 10 ms each
    };
    // Node itself comes to rest, and idle processors give their memory back, within a second.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const before = ticks();
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const used = ticks() - before;
    child.kill();
    await once(child, 'close');
    expect(used).toBe(0);
  });
});

describe('a child process', () => {
  test('that is forked has a runtime of its own, while the parent has tasks', async () => {
    const script = `${kImports}
      import { fork } from 'node:child_process';
      import { once } from 'node:events';
      const code = "import { kernels, runtime, spawn } from 'heddle';" +
        'await Promise.all(Array.from({ length: 100 }, () => spawn(kernels.sleep, 1)));' +
        'process.send([await spawn(kernels.fib, 10), runtime.stats().spawned]);';
      const execArgv = ['--input-type=module', '--eval', code];
      const busy = Array.from({ length: 1000 }, () => spawn(kernels.sleep, 50));
      const children = Array.from({ length: 3 }, () => fork('-', { execArgv }));
      const messages = await Promise.all(children.map((child) => once(child, 'message')));
      await Promise.all(busy);
      console.log(JSON.stringify(messages.map(([message]) => message)));`;
    expect(await outputOf(script)).toBe('[[55,101],[55,101],[55,101]]');
  });
});
