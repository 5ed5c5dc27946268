// Inline functions as tools leave them, in processes of their own: what a compiler or a coverage
// tool has written into a function comes along and changes nothing.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { outputOf, root, runNode } from '../lib/support.js';

// It has no types of its own.
const { createInstrumenter } = createRequire(import.meta.url)('istanbul-lib-instrument') as {
  createInstrumenter: (options: { esModules: boolean; reportLogic: boolean }) => {
    instrumentSync(code: string, path: string): string;
  };
};

const fixture = join(root, 'test/lib/fixtures/inline-functions.ts');
const inline = pathToFileURL(join(root, 'dist/lib/inline.js')).href;
const evaluate = pathToFileURL(join(root, 'dist/lib/evaluate.js')).href;

async function expectRuns(...args: string[]): Promise<void> {
  const env = { HEDDLE_INLINE: inline, HEDDLE_EVALUATE: evaluate };
  const { code, stdout, stderr } = await runNode(args, env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { captures, ...values } = JSON.parse(stdout) as Record<string, unknown>;
  expect(values).toEqual({
    sum: 3,
    names: ['Inner', 'inner', 'arrow', 'declared'],
    branches: [9, 10, -2, 7],
    read: true,
    count: [0, 1, 2],
    names2: ['sum', 'count3'],
  });
  expect(captures).toMatch(/^expected .+, got one that uses `width` \(\d+:\d+\); pass it as an /);
}

function compiled(target: ts.ScriptTarget): string {
  const { outputText } = ts.transpileModule(readFileSync(fixture, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target },
  });
  return outputText;
}

test('run under tsx', async () => {
  await expectRuns('--import', 'tsx', fixture);
});

test.each([false, true])('run with istanbul’s counters, with logic: %s', async (reportLogic) => {
  const instrumenter = createInstrumenter({ esModules: true, reportLogic });
  const text = instrumenter.instrumentSync(compiled(ts.ScriptTarget.ES2022), fixture);
  expect(text).toMatch(/cov_\w+\(\)\.s\[/);
  await expectRuns('--input-type=module', '--eval', text);
});

test('run as TypeScript compiles them, and say so when it needs helpers', async () => {
  await expectRuns('--input-type=module', '--eval', compiled(ts.ScriptTarget.ES2022));
  const script = `
    import { inlineFunction } from ${JSON.stringify(inline)};
    const helped = () => __awaiter(undefined, undefined, undefined, function* () {});
    try { inlineFunction(helped); } catch (error) { console.log(error.message); }
  `;
  expect(await outputOf(script)).toMatch(/uses `__awaiter` \(1:7\); compile it for a newer target/);
});

test.skipIf(!('typescript' in process.features && process.features.typescript))(
  'run with their types stripped by Node',
  () => expectRuns('--no-warnings', fixture),
);

test('tsx’s CommonJS names the imports that a function uses', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-inline-'));
  try {
    const program = join(folder, 'program.cts');
    writeFileSync(
      program,
      `import { readFileSync } from 'node:fs';
      import(${JSON.stringify(inline)}).then(({ inlineFunction }) => {
        inlineFunction(() => readFileSync('/'));
      }).catch((error: Error) => console.log(error.message));`,
    );
    const { stdout, stderr } = await runNode(['--import', 'tsx', program]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/uses `readFileSync` \(1:\d+\); .*await import\(\)/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the parser is loaded with the first function, not with the package', async () => {
  const script = `
    import { createRequire } from 'node:module';
    import { inlineFunction } from ${JSON.stringify(inline)};
    import 'heddle';
    const { cache } = createRequire(${JSON.stringify(inline)});
    const loaded = () => Object.keys(cache).filter((path) => /acorn|eslint/.test(path)).length;
    console.log(loaded());
    inlineFunction(() => 1);
    console.log(loaded() > 1);
  `;
  expect(await outputOf(script)).toBe('0\ntrue');
});

test('run in a Worker', async () => {
  const script = `
    import { Worker } from 'node:worker_threads';
    import { inlineFunction } from ${JSON.stringify(inline)};
    const program = 'data:text/javascript,' + encodeURIComponent(\`
      import { parentPort, workerData } from 'node:worker_threads';
      import { evaluateInline } from ${JSON.stringify(evaluate)};
      const { source, name, args } = workerData;
      parentPort.postMessage(await evaluateInline(source, name)(...args));
    \`);
    async function count(folder) {
      const { readdir } = await import('node:fs/promises');
      return [(await readdir(folder)).includes('package.json'), count.name];
    }
    const workerData = { ...inlineFunction(count), args: [process.cwd()] };
    new Worker(new URL(program), { workerData }).on('message', (result) => console.log(result));
  `;
  expect(await outputOf(script)).toBe("[ true, 'count' ]");
});

test('import() in a function says nothing, and later warnings are heard', async () => {
  const script = `
    import { inlineFunction } from ${JSON.stringify(inline)};
    import { evaluateInline } from ${JSON.stringify(evaluate)};
    const before = process.emitWarning;
    const { source } = inlineFunction(() => import('node:fs'));
    console.log(typeof (await evaluateInline(source)()).existsSync);
    console.log(process.emitWarning === before);
  `;
  expect(await outputOf(script)).toBe('function\ntrue');
});

test('the names that count as global are those of a fresh isolate', async () => {
  const globals = pathToFileURL(join(root, 'dist/lib/isolate-globals.js')).href;
  const script = `
    import { Worker } from 'node:worker_threads';
    globalThis.document = {};
    const { isolateGlobals } = await import(${JSON.stringify(globals)});
    const own = 'data:text/javascript,' + encodeURIComponent(\`
      import { parentPort } from 'node:worker_threads';
      parentPort.postMessage(Object.getOwnPropertyNames(globalThis));
    \`);
    new Worker(new URL(own)).on('message', (names) => {
      const known = isolateGlobals();
      const ofModule = ['require', 'module', 'exports', '__dirname', '__filename'];
      const missing = names.filter((name) => !known.has(name) && !ofModule.includes(name));
      console.log(JSON.stringify([missing, [...known].filter((name) => !names.includes(name))]));
    });
  `;
  expect(await outputOf(script)).toBe('[[],[]]');
});
