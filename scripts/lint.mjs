// Formatters and linters of both languages:  node scripts/lint.mjs [--fix] [--only js|cpp]
// The C++ tools are used when the machine has them, and named when it does not.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const { values } = parseArgs({ options: { fix: { type: 'boolean' }, only: { type: 'string' } } });
const failures = [];

async function check(name, command, args) {
  const result = await run(command, args, { cwd: root, quiet: true, allowFailure: true });
  console.log(`${result.code === 0 ? 'ok  ' : 'FAIL'} ${name}`);
  if (result.code === 0) return;
  const noise = /^\[\s*\d+\/\d+\]|^\d+ warnings? (generated|treated)|^Suppressed |^$/;
  console.log(
    result.output
      .split('\n')
      .filter((line) => !noise.test(line))
      .join('\n'),
  );
  failures.push(name);
}

const modulePath = (name, path) => join(dirname(require.resolve(`${name}/package.json`)), path);

async function lintJavaScript() {
  const node = process.execPath;
  const fix = values.fix ? ['--fix'] : [];
  await check('prettier', node, [
    modulePath('prettier', 'bin/prettier.cjs'),
    values.fix ? '--write' : '--check',
    '--log-level=warn',
    '.',
  ]);
  await check('eslint', node, [modulePath('eslint', 'bin/eslint.js'), ...fix, '.']);
  await check('tsc', node, [modulePath('typescript', 'bin/tsc'), '-p', 'tsconfig.json']);
}

// Version 19 is what CI uses; another version formats a few things differently.
async function findTool(name) {
  for (const candidate of [`${name}-19`, name]) {
    const options = { quiet: true, allowFailure: true };
    const probe = await run(candidate, ['--version'], options).catch(() => ({ code: 1 }));
    if (probe.code === 0 && probe.output.includes('version 19.')) return candidate;
  }
  console.log(`skip ${name}: version 19 is not on PATH (Debian: apt-get install ${name}-19)`);
  return undefined;
}

async function trackedFiles(...patterns) {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...patterns];
  const { output } = await run('git', args, { cwd: root, quiet: true });
  return output.split('\n').filter((path) => path && existsSync(join(root, path)));
}

async function lintCpp() {
  const clangFormat = await findTool('clang-format');
  if (clangFormat) {
    const files = await trackedFiles('*.cc', '*.h');
    const mode = values.fix ? ['-i'] : ['--dry-run', '-Werror'];
    if (files.length > 0) await check('clang-format', clangFormat, [...mode, ...files]);
  }
  const clangTidy = await findTool('clang-tidy');
  const folder = join(root, 'build', 'native-tests');
  if (!clangTidy || values.fix) return;
  if (!existsSync(join(folder, 'compile_commands.json'))) {
    console.log('skip clang-tidy: run the native tests once, they write what it needs');
    return;
  }
  const runner = clangTidy.replace('clang-tidy', 'run-clang-tidy');
  const jobs = String(availableParallelism());
  const args = ['-quiet', '-p', folder, '-j', jobs, '-clang-tidy-binary', clangTidy];
  await check('clang-tidy', runner, [...args, `${root}(native|bench)/.*\\.cc$`]);
}

if (values.only !== 'cpp') await lintJavaScript();
if (values.only !== 'js') await lintCpp();
if (failures.length > 0) console.log(`failed: ${failures.join(', ')}`);
process.exitCode = failures.length === 0 ? 0 : 1;
