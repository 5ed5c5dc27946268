// One incremental build: TypeScript into dist/, the addon into build/Release/heddle.node.
//   node scripts/build.mjs [ts] [native] [cmake]      (default: ts native)
// It prints to stderr only, because `npm run bench -- --json` owns stdout.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listSources } from './list-sources.mjs';
import { checkPlatform, findNodeHeaders } from './node-headers.mjs';
import { run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const stampFile = join(root, 'build', '.configured');
const jobs = String(availableParallelism());

async function buildTypeScript() {
  const tsc = require.resolve('typescript/bin/tsc');
  await run(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root });
  await bundleLibrary();
}

// What users and isolates load is few files instead of forty: each costs Node most of a millisecond
// and an isolate 80 KiB. The single files stay beside them, for tests of one part.
async function bundleLibrary() {
  const { build } = await import('esbuild');
  const outdir = join(root, 'dist', 'lib');
  for (const name of readdirSync(outdir)) {
    if (name.startsWith('shared-')) rmSync(join(outdir, name));
  }
  await build({
    absWorkingDir: root,
    entryPoints: ['lib/index.ts', 'lib/isolate.ts'],
    outdir,
    // In the same folder, since they find the addon and each other from where they are.
    chunkNames: 'shared-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // Of an isolate's memory 2 % are this text; stacks show the names of functions.
    minify: true,
    keepNames: true,
    // Node prints the line of an error that nobody has caught.
    lineLimit: 100,
    packages: 'external',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  });
}

// Changes whenever the generated makefiles would: other headers, other sources, other settings.
function configurationStamp(prefix) {
  const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8');
  const folders = gyp.match(/\b(?:native|bench)\/[\w/]+/g);
  const parts = [prefix, process.version, process.execPath, gyp, ...listSources(folders)];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

async function buildNative() {
  const prefix = await findNodeHeaders();
  const nodeGyp = require.resolve('node-gyp/bin/node-gyp.js');
  const gyp = (...args) =>
    run(process.execPath, [nodeGyp, ...args, `--nodedir=${prefix}`], { cwd: root, quiet: true });
  const stamp = configurationStamp(prefix);
  const configured = existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;
  if (!configured) {
    await gyp('configure');
    mkdirSync(dirname(stampFile), { recursive: true });
    writeFileSync(stampFile, stamp);
  }
  await gyp('build', `--jobs=${jobs}`);
}

// The same addon through cmake-js, for those who debug it with CMake tools. Its own headers lack
// uv.h, so the real ones are passed along.
async function buildCmake() {
  const prefix = await findNodeHeaders();
  const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
  const args = ['compile', '--out', 'build/cmake', '--parallel', jobs];
  const define = `--CDHEDDLE_NODE_INCLUDE=${prefix}/include/node`;
  await run(process.execPath, [cmakeJs, ...args, define], { cwd: root, quiet: true });
}

const steps = { ts: buildTypeScript, native: buildNative, cmake: buildCmake };

async function main(names) {
  checkPlatform();
  for (const name of names) {
    const step = steps[name];
    if (!step) throw new Error(`expected ${Object.keys(steps).join(', ')}, got ${name}`);
    const start = performance.now();
    await step();
    console.error(`build ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}

const wanted = process.argv.slice(2);
main(wanted.length > 0 ? wanted : ['ts', 'native']).catch((error) => {
  console.error(error.code ? error.message : `build failed: ${error.message}`);
  process.exitCode = 1;
});
