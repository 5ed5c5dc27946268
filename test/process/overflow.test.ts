// A fiber that overflows its stack: a report that names it, and the end that the process would have
// had without heddle.
import { describe, expect, test } from 'vitest';
import { outputOf, runScript } from '../lib/support.js';

const overflowing = (options: string): string => `
  import { kernels, spawn } from 'heddle';
  console.log('begun');
  await spawn(${options}, kernels.fib, 4e9);
  console.log('not reached');
`;

interface Report {
  readonly name: string;
  readonly bottom: number;
  readonly top: number;
  readonly kib: number;
  readonly touched: number;
  readonly frames: string[];
}

function reportIn(stderr: string): Report {
  const lines = stderr.trim().split('\n');
  const head = /^heddle: stack overflow in fiber '(.*)' \(id \d+, spawned at 0x[0-9a-f]+\)$/;
  const body = /^ {2}stack 0x(\w+) to 0x(\w+), (\d+) KiB; touched 0x(\w+) in the guard below it$/;
  const [, name] = head.exec(lines[0]!) ?? [];
  const [, bottom, top, kib, touched] = body.exec(lines[1]!) ?? [];
  expect([name, touched], stderr).not.toContain(undefined);
  expect(lines[2]).toMatch(/^ {2}remedy: .*stackSize/);
  expect(lines[3]).toBe('  backtrace, innermost first:');
  return {
    name: name!,
    bottom: parseInt(bottom!, 16),
    top: parseInt(top!, 16),
    kib: Number(kib),
    touched: parseInt(touched!, 16),
    frames: lines.slice(4),
  };
}

describe('an overflow of a fiber’s stack', () => {
  const table: [string, string, number][] = [
    ['fib', '{ stack: 16384 }', 16],
    ['deep', "{ name: 'deep', stackSize: 131072 }", 128],
    ['fib', "{ stack: 'standard' }", 64],
    ['fib', '{ lockToThread: true, stack: 32768 }', 32],
  ];
  test.each(table)('of %s with %s is reported, and ends it all', async (name, options, kib) => {
    const { code, signal, stdout, stderr } = await runScript(overflowing(options));
    expect({ code, signal, stdout }).toEqual({ code: null, signal: 'SIGSEGV', stdout: 'begun\n' });
    const report = reportIn(stderr);
    expect(report).toMatchObject({ name, kib });
    expect(report.top - report.bottom).toBeLessThanOrEqual(kib * 1024);
    expect(report.top - report.bottom).toBeGreaterThan((kib - 4) * 1024);
    expect(report.touched).toBeLessThan(report.bottom);
    expect(report.touched).toBeGreaterThan(report.bottom - 65_536);
  });

  test('shows the recursion in its backtrace', async () => {
    const { frames } = reportIn((await runScript(overflowing('{ stack: 16384 }'))).stderr);
    expect(frames.length).toBeGreaterThanOrEqual(10);
    frames.forEach((frame, index) => {
      expect(frame).toMatch(
        new RegExp(`^ {4}#${index} 0x[0-9a-f]+ .*heddle\\.node\\+0x[0-9a-f]+$`),
      );
    });
    // One call site of fib calls fib, over and over.
    const places = frames.slice(1).map((frame) => frame.replace(/^ *#\d+ /, ''));
    expect(new Set(places).size).toBe(1);
  });

  test('is not claimed for faults elsewhere', async () => {
    const { signal, stderr } = await runScript(`
      import { kernels, spawn } from 'heddle';
      await spawn(kernels.noop);
      process.kill(process.pid, 'SIGSEGV');
      setTimeout(() => {}, 10_000);
    `);
    expect({ signal, stderr }).toEqual({ signal: 'SIGSEGV', stderr: '' });
  });
});

test('the deepest recursion that fits leaves its neighbours alone', async () => {
  const script = `
    import { kernels, spawn } from 'heddle';
    const results = await Promise.all(
      Array.from({ length: 64 }, () => spawn({ stack: 4096 }, kernels.fib, 15)),
    );
    console.log(new Set(results).size, results[0]);
  `;
  expect(await outputOf(script)).toBe('1 610');
});
