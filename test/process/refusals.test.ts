// What the system refuses, and what is missing, in processes of their own.
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { outputOf, root, runNode } from '../lib/support.js';

// Descriptors come from arenas of 64 MiB, about 350,000 each. The only processor is busy meanwhile,
// so that the tasks keep theirs, and need nothing else.
test('a task for whose fiber there is no memory is refused, and those before it live', async () => {
  const script = `
    import { execFileSync } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    import { kernels, runtime, spawn } from 'heddle';
    const limitMemory = (bytes) =>
      execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes + ':']);
    const controller = new AbortController();
    const busy = () => spawn({ signal: controller.signal }, kernels.spin, 3_600_000, true);
    runtime.processors = 1;
    const tasks = [];
    while (tasks.length < 345_000) tasks.push(busy());
    const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]);
    limitMemory(pages * 4096 + (32 << 20));
    let refusal;
    try {
      for (let i = 0; i < 30_000; i += 1) tasks.push(busy());
    } catch (error) {
      refusal = error;
    }
    limitMemory('unlimited');
    console.log(refusal?.code, refusal?.message);
    controller.abort();
    const ends = await Promise.allSettled(tasks);
    console.log(ends.every(({ reason }) => reason.name === 'AbortError'));
    console.log(await spawn(kernels.fib, 10));
  `;
  const [refusal, ...rest] = (await outputOf(script)).split('\n');
  expect(refusal).toMatch(/^ERR_HEDDLE_MEMORY .+; .+/);
  expect(rest).toEqual(['true', '55']);
}, 60_000);

test('a package without its native part says what it expected, got, and what to do', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-load-'));
  try {
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    cpSync(join(root, 'dist', 'lib'), join(folder, 'dist', 'lib'), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const module = JSON.stringify(join(folder, 'dist', 'lib', 'index.js'));
    const script = `
      const { code, message } = await import(${module}).catch((error) => error);
      console.log(code);
      console.log(message);
    `;
    const { stdout, code } = await runNode(['--input-type=module', '--eval', script]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^ERR_HEDDLE_LOAD\nexpected .*heddle\.node.*, got .+; run `npm run build`/s,
    );
    expect(stdout).toContain(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
