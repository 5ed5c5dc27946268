// Workers that are ended in the midst of their tasks give everything back. The same loop runs for
// ten thousand rounds with `node scripts/soak-terminate.mjs`.
import { expect, test } from 'vitest';
import { runNode } from '../lib/support.js';

const kSoak = 'scripts/soak-terminate.mjs';

test('two hundred terminated Workers leave nothing behind', { timeout: 240_000 }, async () => {
  const { code, stdout, stderr } = await runNode([kSoak, '--rounds', '200']);
  expect(stdout).toMatch(/\n200 Workers ended in \d+\.\d s; everything came back\n$/);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const what of ['threads', 'machines', 'descriptors', 'mappings', 'fibers', 'stacks']) {
    expect(stdout).toMatch(new RegExp(`^${what} +\\d+ before, \\d+ after$`, 'm'));
  }
});

test('nor do those whose tasks are in isolates', { timeout: 240_000 }, async () => {
  const { code, stdout, stderr } = await runNode([kSoak, '--rounds', '40', '--of', 'tasks']);
  expect(stdout).toMatch(/\n40 Workers ended in \d+\.\d s; everything came back\n$/);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

test('the soak explains itself and refuses what is no count', async () => {
  expect(await runNode([kSoak, '--help'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('--rounds n') as string,
    stderr: '',
  });
  const wrong = [
    ['--rounds', '0'],
    ['--rounds', 'many'],
    ['--round', '5'],
    ['extra'],
    ['--of', 'x'],
  ];
  for (const args of wrong) {
    const { code, stdout, stderr } = await runNode([kSoak, ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('(see --help)');
  }
});
