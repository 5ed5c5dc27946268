// The examples do what they say when a user types their command.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root, runNode } from '../lib/support.js';

const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['examples/hash-files.mjs', ...args], { cwd: root });

test('hash-files prints the digest of each file', async () => {
  const paths = ['README.md', 'package.json'];
  const lines = paths.map((path) => {
    const digest = createHash('sha256')
      .update(readFileSync(`${root}/${path}`))
      .digest('hex');
    return `${digest}  ${path}\n`;
  });
  expect((await run(...paths)).stdout).toBe(lines.join(''));
});

test('hash-files names the files that it cannot read', async () => {
  await expect(run('README.md', 'missing')).rejects.toMatchObject({
    code: 1,
    stderr: "missing: ENOENT: no such file or directory, open 'missing'\n",
  });
});

test('pipeline prints a digest for each line, in order', () => {
  const output = execFileSync(process.execPath, ['examples/pipeline.mjs'], {
    cwd: root,
    input: 'warp\nweft\n',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = ['warp', 'weft'].map((line) =>
    createHash('sha256').update(line).digest('hex').slice(0, 16),
  );
  expect(output.toString()).toBe(`${lines.join('\n')}\n`);
});

/** The lines that an example prints; it ends by itself and complains of nothing. */
async function linesOf(path: string): Promise<string[]> {
  const { code, stdout, stderr } = await runNode([path]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trimEnd().split('\n');
}

test('image-server answers each request, with an image or with "come again"', async () => {
  const [one, many, spread] = await linesOf('examples/image-server.mjs');
  expect(one).toBe('one image: 200, 24576 bytes (96 × 64), red 200');
  const [, small, refused] = /^24 at once: (\d+) made smaller, (\d+) told to/.exec(many!)!;
  expect(Number(small)).toBeGreaterThan(0);
  expect(Number(small) + Number(refused)).toBe(24);
  expect(spread).toMatch(/^an image waited [\d.]+ ms and took [\d.]+ ms$/);
});

test('log-pipeline counts every line, and its reader waits for the slowest', async () => {
  const lines = await linesOf('examples/log-pipeline.mjs');
  const queued = lines.flatMap((line) => /(\d+) \+ (\d+) in the queues/.exec(line)?.slice(1) ?? []);
  expect(queued).toHaveLength(8);
  for (const length of queued) expect(Number(length)).toBeLessThanOrEqual(64);
  const busiest = createHash('sha256').update('10.0.0.0').digest('hex').slice(0, 12);
  expect(lines[4]).toMatch(new RegExp(`^client ${busiest}: \\d+ requests$`));
  const [, waits] = /^20000 lines of 100 clients; the reader waited (\d+) times$/.exec(
    lines.at(-1)!,
  )!;
  expect(Number(waits)).toBeGreaterThan(0);
});

test('fan-out ends with the first failure, and cancels the other checks', async () => {
  const [good, , bad] = await linesOf('examples/fan-out.mjs');
  expect(good).toBe('as written: 2097152 bytes are in order');
  expect(bad).toMatch(/^one bit later: block 7 is damaged; \d+ other checks were cancelled$/);
});

test('tcp-proxy passes every answer on', async () => {
  const [summary, time] = await linesOf('examples/tcp-proxy.mjs');
  expect(summary).toBe('100 connections, 2000 answers, all of them right');
  expect(time).toMatch(/^\d+ µs for each, both ends in this process$/);
});

test('line-chat tells each what the others say', async () => {
  expect(await linesOf('examples/line-chat.mjs')).toEqual([
    '* Ada is here',
    '* Grace is here',
    'Grace: good morning',
    'Grace: and good night',
    '* Grace has left',
  ]);
});
