// The examples do what they say when a user types their command.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from '../lib/support.js';

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
