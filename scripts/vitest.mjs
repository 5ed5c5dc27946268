// vitest as the scripts run it: what it prints as it is, and how many tests passed and failed.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

function read(report, code) {
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  // A file that cannot be loaded has no tests of its own that could fail.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  const failed = numFailedTests + broken.length;
  // Errors outside any test (an unhandled rejection, a type error) only show in the exit code.
  return { passed: numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed };
}

/** `name`: of the report in build/. */
export async function runVitest(args, { node = process.execPath, env = process.env, name }) {
  const report = join(root, 'build', `${name}.json`);
  mkdirSync(dirname(report), { recursive: true });
  rmSync(report, { force: true });
  const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  // Its output passes through a pipe, so it cannot see whether a terminal is at the end.
  const { FORCE_COLOR: _, ...rest } = env;
  const { code } = await run(node, [vitest, 'run', ...reporters, ...args], {
    cwd: root,
    env: { ...rest, [process.stdout.isTTY ? 'FORCE_COLOR' : 'NO_COLOR']: '1' },
    sink: process.stdout,
    allowFailure: true,
  });
  return read(report, code);
}
