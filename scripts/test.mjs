// Every test: the native ones through CMake, then those in TypeScript through vitest.
//   node scripts/test.mjs [--only native|model|lib] [--sanitize thread|address,undefined|model]
//                         [--poison] [--lto] [--filter substring] [vitest arguments…]
// Variants (--sanitize, --poison, --lto) run the native tests alone; `--sanitize model` is the same
// as `--only model`.
// The last line is `N passed, N failed`, over everything that ran.
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from './run.mjs';
import { runVitest } from './vitest.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const total = { passed: 0, failed: 0 };

function count(passed, failed) {
  total.passed += passed;
  total.failed += failed;
}

export function parse(argv) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      sanitize: { type: 'string', default: '' },
      poison: { type: 'boolean', default: false },
      lto: { type: 'boolean', default: false },
      filter: { type: 'string', default: '' },
    },
  });
  if (values.sanitize === 'model') Object.assign(values, { sanitize: '', only: 'model' });
  const variant = values.sanitize !== '' || values.poison || values.lto;
  const kinds = values.only ? [values.only] : variant ? ['native'] : ['native', 'model', 'lib'];
  for (const kind of kinds) {
    if (['native', 'model', 'lib'].includes(kind)) continue;
    throw new Error(`--only: expected native, model or lib, got ${kind}`);
  }
  return { ...values, kinds, positionals };
}

// One build folder per variant, so that switching between them rebuilds nothing.
async function buildNativeTests({ sanitize, poison, lto }) {
  const options = Object.entries({ poison, lto });
  const variant = [...sanitize.split(','), ...options.map(([name, on]) => (on ? name : ''))];
  const folder = join(root, 'build', ['native-tests', ...variant].filter(Boolean).join('-'));
  const ninja = await run('ninja', ['--version'], { quiet: true, allowFailure: true }).catch(
    () => ({ code: 1 }),
  );
  const generator = existsSync(join(folder, 'CMakeCache.txt'))
    ? []
    : ['-G', ninja.code === 0 ? 'Ninja' : 'Unix Makefiles'];
  const settings = [`-DHEDDLE_SANITIZE=${sanitize}`];
  for (const [name, on] of options) settings.push(`-DHEDDLE_${name.toUpperCase()}=${Number(on)}`);
  const cmake = (...args) => run('cmake', args, { cwd: root, quiet: true });
  await cmake('-S', '.', '-B', folder, ...generator, ...settings);
  await cmake('--build', folder, '--parallel', String(availableParallelism()));
  return folder;
}

const sanitizerEnvironment = {
  ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=0',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  TSAN_OPTIONS: 'halt_on_error=0:second_deadlock_stack=1:die_after_fork=0',
};

// ThreadSanitizer of older compilers cannot place its shadow memory when addresses are randomised
// over more than 28 bits, so its programs run without randomisation where that can be had.
async function launcher(sanitize) {
  if (!sanitize.includes('thread')) return [];
  const prefix = ['setarch', process.arch === 'arm64' ? 'aarch64' : 'x86_64', '-R'];
  const probe = await run(prefix[0], [...prefix.slice(1), 'true'], {
    quiet: true,
    allowFailure: true,
  }).catch(() => ({ code: 1 }));
  return probe.code === 0 ? prefix : [];
}

// A test program says `N passed, N failed` itself; one that dies before counts as one failure.
async function runProgram(path, prefix, filter) {
  console.log(`\n# ${basename(path)}`);
  const [command, ...args] = [...prefix, path, ...(filter ? ['--filter', filter] : [])];
  const env = { ...sanitizerEnvironment, ...process.env };
  const options = { env, allowFailure: true, sink: process.stdout };
  const { code, signal, output } = await run(command, args, options);
  const last = /(\d+) passed, (\d+) failed\s*$/m.exec(output);
  const failed = Number(last?.[2] ?? 0);
  if (last) count(Number(last[1]), failed);
  if (code === 0 || failed > 0) return;
  console.log(`FAIL ${basename(path)} ended with ${signal ?? `exit code ${code}`}`);
  count(0, 1);
}

async function runNative(options) {
  const folder = await buildNativeTests(options);
  const prefix = await launcher(options.sanitize);
  const wanted = options.kinds.map((kind) => (kind === 'native' ? 'heddle_core' : 'heddle_model'));
  for (const line of readFileSync(join(folder, 'tests.txt'), 'utf8').split('\n').filter(Boolean)) {
    const [library, path] = line.split(' ');
    if (wanted.includes(library)) await runProgram(path, prefix, options.filter);
  }
}

async function main(argv) {
  const options = parse(argv);
  if (options.kinds.some((kind) => kind !== 'lib')) await runNative(options);
  if (options.kinds.includes('lib')) {
    const { filter, positionals } = options;
    const args = filter ? ['--testNamePattern', filter, ...positionals] : positionals;
    const { passed, failed } = await runVitest(args, { name: 'vitest' });
    count(passed, failed);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error.message);
    count(0, 1);
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}
