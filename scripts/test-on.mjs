// The tests in TypeScript on other versions of Node, with the addon as it is: Node-API keeps its
// promise, and what Node does differently shows.
//   node scripts/test-on.mjs 22 24 26 [vitest arguments…]      (default: every line, 20 to 26)
// Each version comes from npm, into build/nodes. The last line is `N passed, N failed`.
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './run.mjs';
import { runVitest } from './vitest.mjs';

const kLines = ['20', '22', '24', '26'];
const root = fileURLToPath(new URL('..', import.meta.url));

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
  console.log(`\n# Node ${line}`);
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  return await runVitest(['--typecheck.enabled=false', ...args], {
    node: join(bin, 'node'),
    env,
    name: `vitest-${line}`,
  });
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
