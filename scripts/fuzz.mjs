// The fuzz targets of test/fuzz, each with libFuzzer under AddressSanitizer and UBSan.
//   node scripts/fuzz.mjs [--seconds n]        (default: 60 for each target)
// Inputs that found something new stay in build/fuzz/<target>/corpus and are where the next run
// begins; one that fails is left in build/fuzz/<target> and named. Needs clang 19 with its runtime
// (Debian: apt-get install clang-19 libclang-rt-19-dev); without it nothing is run.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = 'clang++-19';
const sanitizers = '-fsanitize=fuzzer,address,undefined';
const kSources = {
  http_parser_fuzz: ['http_parser', 'http_target', 'http_body'].map(
    (name) => `native/net/${name}.cc`,
  ),
};
const kWords = {
  http_parser_fuzz: [
    ...['GET ', 'CONNECT ', 'OPTIONS * ', ' HTTP/1.1\\x0d\\x0a', ' HTTP/1.0\\x0d\\x0a', 'http://'],
    ...['Host:', 'Content-Length:', 'Transfer-Encoding:', 'chunked', 'Connection:', 'keep-alive'],
    ...['close', 'Upgrade:', 'Expect:', '100-continue', '\\x0d\\x0a', '0\\x0d\\x0a\\x0d\\x0a'],
    ...[';a=\\"b\\"', '[::1]', '%41'],
  ],
};

async function hasCompiler(folder) {
  const probe = join(folder, 'probe.cc');
  const empty = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n';
  writeFileSync(probe, empty);
  const args = ['-fsanitize=fuzzer,address', probe, '-o', join(folder, 'probe')];
  const options = { quiet: true, allowFailure: true };
  return (await run(compiler, args, options).catch(() => ({ code: 1 }))).code === 0;
}

async function fuzz(target, folder, seconds) {
  const corpus = join(folder, 'corpus');
  mkdirSync(corpus, { recursive: true });
  const dictionary = join(folder, 'words.txt');
  writeFileSync(dictionary, kWords[target].map((word) => `"${word}"\n`).join(''));
  const program = join(folder, target);
  await run(
    compiler,
    [
      ...['-std=c++17', '-O1', '-g', sanitizers, '-fno-sanitize-recover=all', '-I', 'native'],
      ...['-I', '.', `test/fuzz/${target}.cc`, ...kSources[target], '-o', program],
    ],
    { cwd: root, quiet: true },
  );
  const { code } = await run(
    program,
    [`-max_total_time=${seconds}`, '-max_len=2048', `-dict=${dictionary}`, corpus],
    { cwd: folder, sink: process.stdout, allowFailure: true },
  );
  console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${target}`);
  return code === 0;
}

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } });
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) {
  throw new Error(`--seconds: expected a whole number from 1, got ${values.seconds}`);
}
const build = join(root, 'build', 'fuzz');
mkdirSync(build, { recursive: true });
if (await hasCompiler(build)) {
  const targets = readdirSync(join(root, 'test', 'fuzz')).map((name) => basename(name, '.cc'));
  let failed = 0;
  for (const target of targets) {
    if (!(await fuzz(target, join(build, target), seconds))) failed += 1;
  }
  console.log(`${targets.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} else {
  console.log(`skipped: no clang (${compiler} with libFuzzer is not to be had here)`);
}
