// The tests in TypeScript on other versions of Node, with the addon as it is: Node-API keeps its
// promise, and what Node does differently shows.
//   node scripts/test-on.mjs 22 24 26 [vitest arguments…]      (default: every line, 20 to 26)
// Each version comes from npm, into build/nodes. The last line is `N passed, N failed`.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './run.mjs';

const kLines = ['20', '22', '24', '26'];
const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

// A folder with `node` and nothing else, to be first on the PATH of what tests start.
async function install(line) {
  const folder = join(root, 'build', 'nodes', line);
  const name = `node-linux-${process.arch}`;
  const binary = join(folder, 'node_modules', name, 'bin', 'node');
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true });
    console.log(`installing ${name}@${line}`);
    await run('npm', ['install', '--prefix', folder, '--no-save', `${name}@${line}`], {
      quiet: true,
    });
  }
  const alone = join(folder, 'bin');
  mkdirSync(alone, { recursive: true });
  rmSync(join(alone, 'node'), { force: true });
  symlinkSync(binary, join(alone, 'node'));
  return alone;
}

async function testOn(line, args) {
  const bin = await install(line);
  const report = join(root, 'build', `vitest-${line}.json`);
  rmSync(report, { force: true });
  const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  console.log(`\n# Node ${line}`);
  const { code } = await run(
    join(bin, 'node'),
    [
      vitest,
      'run',
      '--typecheck.enabled=false',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...args,
    ],
    {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1', PATH: `${bin}${delimiter}${process.env.PATH}` },
      sink: process.stdout,
      allowFailure: true,
    },
  );
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const { numPassedTests: passed, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'));
  return { passed, failed: code !== 0 && numFailedTests === 0 ? 1 : numFailedTests };
}

const given = process.argv.slice(2);
const lines = given.filter((each) => kLines.includes(each));
const args = given.filter((each) => !kLines.includes(each));
const total = { passed: 0, failed: 0 };
for (const line of lines.length > 0 ? lines : kLines) {
  const { passed, failed } = await testOn(line, args);
  console.log(`Node ${line}: ${passed} passed, ${failed} failed`);
  total.passed += passed;
  total.failed += failed;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
