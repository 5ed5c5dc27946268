// Does the simulator notice? Takes one fence, check or wake-up at a time out of a copy of the core
// and says which scenario fails, and at which seed.
//   node test/sim/mutate.mjs [--core folder] [--seeds n] [--only substring] [--keep]
// --core: the folder whose native/core is mutated (default: this repository). The tables of
// mutations are in mutations/; one whose text is not found is reported as stale.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from '../../scripts/run.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: {
    core: { type: 'string', default: root },
    seeds: { type: 'string', default: '3000' },
    only: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
  },
});

function scratchCopy() {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-mutate-'));
  for (const part of ['CMakeLists.txt', 'cmake', 'native', 'test']) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  const core = join('native', 'core');
  cpSync(join(resolve(values.core), core), join(folder, core), { recursive: true });
  return folder;
}

// What one edit of a mutation makes of a file, or undefined if its text is not there once.
function edited(text, from, to) {
  const at = text.indexOf(from);
  if (at < 0 || text.indexOf(from, at + 1) >= 0) return undefined;
  return text.slice(0, at) + to + text.slice(at + from.length);
}

// Applies a mutation; returns what undoes it, or undefined if it does not fit the source.
function apply(folder, mutation) {
  const before = new Map();
  for (const [path, from, to] of mutation.edits) {
    const file = join(folder, 'native', path);
    const text = readFileSync(file, 'utf8');
    if (!before.has(file)) before.set(file, text);
    const after = edited(text, from, to);
    if (after === undefined) {
      for (const [name, original] of before) writeFileSync(name, original);
      return undefined;
    }
    writeFileSync(file, after);
  }
  return () => {
    for (const [name, original] of before) writeFileSync(name, original);
  };
}

async function build(folder, tests) {
  const targets = tests.flatMap((test) => ['--target', `sim_${test}_test`]);
  const parallel = ['--parallel', String(availableParallelism())];
  const options = { quiet: true, allowFailure: true };
  return run('cmake', ['--build', join(folder, 'build'), ...targets, ...parallel], options);
}

// The first failure in the output of a test, as "scenario, seed n: why".
async function firstFailure(folder, test) {
  const env = { ...process.env, HEDDLE_SIM_SEEDS: values.seeds, HEDDLE_TEST_TIMEOUT: '0' };
  const options = { quiet: true, allowFailure: true, env };
  const { code, output } = await run(join(folder, 'build', `sim_${test}_test`), [], options);
  if (code === 0) return undefined;
  const found = /FAILS (.*), seed (\d+)\n(?:heddle: )?([^\n]*)/.exec(output);
  return found ? `${found[1]}, seed ${found[2]}: ${found[3]}` : `${test} ended with ${code}`;
}

async function tryMutation(folder, mutation) {
  const undo = apply(folder, mutation);
  if (undo === undefined) return 'STALE: its text is not in the source once';
  try {
    const built = await build(folder, mutation.tests);
    if (built.code !== 0) return 'STALE: it does not compile';
    for (const test of mutation.tests) {
      const failure = await firstFailure(folder, test);
      if (failure !== undefined) return failure;
    }
    return mutation.harmless ? `not caught (${mutation.harmless})` : 'NOT CAUGHT';
  } finally {
    undo();
  }
}

const tables = join(root, 'test/sim/mutations');
const mutations = readdirSync(tables).flatMap((name) =>
  JSON.parse(readFileSync(join(tables, name), 'utf8')),
);
const wanted = mutations.filter(({ what }) => what.includes(values.only));
const folder = scratchCopy();
const cmake = ['-S', folder, '-B', join(folder, 'build'), '-DHEDDLE_SANITIZE='];
await run('cmake', cmake, { quiet: true });
let unexpected = 0;
for (const mutation of wanted) {
  const outcome = await tryMutation(folder, mutation);
  if (/^(STALE|NOT CAUGHT)/.test(outcome)) unexpected += 1;
  console.log(`${mutation.what}\n    ${outcome}`);
}
console.log(`${wanted.length} mutations, ${unexpected} not caught or stale`);
if (values.keep) console.log(folder);
else rmSync(folder, { recursive: true });
process.exitCode = unexpected === 0 ? 0 : 1;
