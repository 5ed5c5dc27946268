// runtime: the number of processors, the counters, and that nothing starts before it is needed.
import { kernels, runtime, sleep, spawn } from 'heddle';
import type { RuntimeStats } from 'heddle';
import { afterEach, describe, expect, test } from 'vitest';
import { expectRefusal, outputOf, rejectionOf, until } from './support.js';

const kDefault = runtime.processors;

afterEach(() => {
  runtime.processors = kDefault;
});

describe('processors', () => {
  const setAny = (count: unknown) => (): void => {
    runtime.processors = count as number;
  };
  const table: [string, unknown][] = [
    ['0', 0],
    ['-1', -1],
    ['1.5', 1.5],
    ['257', 257],
    ['NaN', NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
    ['4294967297', 2 ** 32 + 1],
    ['"2"', '2'],
    ['null', null],
    ['undefined', undefined],
    ['true', true],
    ['an instance of Array', [2]],
  ];
  test.each(table)('%s is refused, and the count stays', (got, count) => {
    const words = `processors: expected an integer from 1 to 256, got ${got};`;
    expectRefusal('ERR_HEDDLE_OPTION', setAny(count), words);
    expect(runtime.processors).toBe(kDefault);
  });

  test.each([1, 2, 3, 8, 256, 1])('can be %d, and tasks run', async (count) => {
    runtime.processors = count;
    expect(runtime.processors).toBe(count);
    expect(runtime.stats().processors).toBe(count);
    expect(runtime.stats().perProcessor).toHaveLength(count);
    const results = await Promise.all([1, 2, 3, 4, 5].map((n) => spawn(kernels.fib, n)));
    expect(results).toEqual([1, 1, 2, 3, 5]);
  });

  test.each([1, 2, 4])('%d let as many fibers compute at once', async (count) => {
    runtime.processors = count;
    const hogs = Array.from({ length: count }, () => spawn(kernels.spin, 3_600_000, true));
    await until(() => hogs.every(({ state }) => state === 'running'));
    for (const hog of hogs) hog.cancel('enough');
    expect(await Promise.all(hogs.map(rejectionOf))).toEqual(hogs.map(() => 'enough'));
  });

  test('change a thousand times under load, and nothing is lost', async () => {
    const before = runtime.stats();
    let count = 0;
    const load = async (): Promise<void> => {
      for (let round = 0; round < 50; round += 1) {
        await Promise.all([
          spawn({ stack: 'standard' }, kernels.sleep, 0.1),
          spawn({ stack: 'compact' }, kernels.sleep, 0.1),
          spawn(kernels.spin, 0.02, true),
          spawn(kernels.noop),
          sleep(0.1),
        ]);
        count += 5;
      }
    };
    const change = async (): Promise<void> => {
      for (let i = 0; i < 1_000; i += 1) {
        runtime.processors = 1 + ((i * 5) % 8);
        await spawn(kernels.noop);
      }
    };
    await Promise.all([...Array.from({ length: 20 }, load), change()]);
    expect(count).toBe(20 * 50 * 5);
    const spawned = 20 * 50 * 4 + 1_000;
    expect(runtime.stats().spawned - before.spawned).toBe(spawned);
    await until(() => runtime.stats().exited - before.exited === spawned);
  });

  test('are by default those that the process may use', async () => {
    const allowed = `import { runtime } from 'heddle'; console.log(runtime.processors);`;
    expect(await outputOf(allowed)).toBe(String(kDefault));
    const pinned = `
      import { execFileSync } from 'node:child_process';
      execFileSync('taskset', ['-p', '1', String(process.pid)]);
      const { runtime } = await import('heddle');
      console.log(runtime.processors);`;
    expect(await outputOf(pinned)).toBe('1');
  });
});

describe('stats', () => {
  const kNumbers = [
    'processors',
    'idleProcessors',
    'machines',
    'searching',
    'globalQueue',
    'spawned',
    'started',
    'exited',
    'parked',
    'readied',
    'yielded',
    'stealAttempts',
    'steals',
    'stolen',
    'stealNs',
    'timersFired',
    'handOffs',
    'idleSleeps',
    'polls',
    'pollEvents',
    'stacksEarned',
    'monitorCpuNs',
    'stacksInUse',
    'stacksWarm',
    'descriptorBytes',
    'frameBytes',
  ] as const satisfies (keyof RuntimeStats)[];

  const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

  test('have exactly these parts, all of them counts', async () => {
    await spawn({ on: 'thread' }, kernels.noop);
    const { perProcessor, threads, isolates, ...numbers } = runtime.stats();
    expect(Object.keys(numbers)).toEqual([...kNumbers, 'queuedTasks']);
    expect(isolates).toEqual([]);
    expect(Object.values(numbers).filter((value) => !isCount(value))).toEqual([]);
    expect(perProcessor).toHaveLength(runtime.processors);
    for (const each of perProcessor) {
      expect(Object.keys(each)).toEqual(['queued', 'started', 'local', 'global', 'stolen']);
      expect(Object.values(each).every(isCount)).toBe(true);
    }
    expect(Object.keys(threads)).toEqual(['started', 'createNs', 'firstRunNs', 'joinNs']);
    for (const measure of [threads.createNs, threads.firstRunNs, threads.joinNs]) {
      expect(Object.keys(measure)).toEqual(['last', 'median']);
      expect(Object.values(measure).every(isCount)).toBe(true);
    }
  });

  test('count what is spawned, started, parked and ended', async () => {
    const before = runtime.stats();
    await Promise.all(Array.from({ length: 300 }, () => spawn(kernels.noop)));
    await Promise.all(Array.from({ length: 200 }, () => spawn(kernels.sleep, 1)));
    const after = runtime.stats();
    expect(after.spawned - before.spawned).toBe(500);
    expect(after.started - before.started).toBe(500);
    expect(after.parked - before.parked).toBeGreaterThanOrEqual(200);
    const sum = (stats: RuntimeStats): number =>
      stats.perProcessor.reduce((total, each) => total + each.started, 0);
    expect(sum(after) - sum(before)).toBe(500);
    // A promise may settle before its fiber is taken apart.
    await until(() => runtime.stats().exited - before.exited === 500);
  });

  test('return to rest when all is done', async () => {
    await Promise.all(Array.from({ length: 2_000 }, () => spawn(kernels.sleep, 1)));
    await until(() => {
      const stats = runtime.stats();
      return stats.idleProcessors === stats.processors && stats.searching === 0;
    });
    expect(runtime.stats().globalQueue).toBe(0);
  });
});

describe('what costs something begins with the first task', () => {
  const threads = `
    import { readdirSync, readFileSync } from 'node:fs';
    import { kernels, runtime, sleep, spawn } from 'heddle';
    // Node starts threads of its own whenever it likes; heddle's have its name.
    const nameOf = (id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8');
    const threads = () =>
      readdirSync('/proc/self/task').filter((id) => nameOf(id).startsWith('heddle')).length;
    const lines = [];
    const say = (...words) => lines.push(words.join(' '));
    process.on('exit', () => console.log(lines.join('\\n')));`;

  test('import, counters and settings start no thread', async () => {
    const script = `${threads}
      say(threads());
      say(runtime.processors > 0, threads());
      runtime.processors = 3;
      say(runtime.processors, runtime.stats().processors, threads());
      say(runtime.stats().machines, runtime.stats().spawned, threads());`;
    expect(await outputOf(script)).toBe('0\ntrue 0\n3 3 0\n0 0 0');
  });

  test('refusals and tasks that do not begin start none either', async () => {
    const script = `${threads}
      try { spawn(kernels.fib, -1); } catch (error) { say(error.code); }
      await spawn({ signal: AbortSignal.abort('before') }, kernels.noop).catch(say);
      say(threads());`;
    expect(await outputOf(script)).toBe('ERR_HEDDLE_ARGUMENT\nbefore\n0');
  });

  test('a count that was set before holds for the first task', async () => {
    const script = `${threads}
      runtime.processors = 3;
      await Promise.all([1, 2, 3].map(() => spawn(kernels.spin, 5)));
      say(runtime.stats().processors, threads() > 0);`;
    expect(await outputOf(script)).toBe('3 true');
  });
});
