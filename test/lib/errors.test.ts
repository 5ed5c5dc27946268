// The list of codes exists once, in lib/errors.ts; and what lib and native code agree on by number
// is the same on both sides. Both are read as text here.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCodes, HeddleError } from 'heddle';
import type { ErrorCode } from 'heddle';
import { describe, expect, test } from 'vitest';
import { describe as describeValue, isErrorCode, nativeError } from '../../lib/errors.js';
import { root, thrownBy } from './support.js';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

function textsUnder(folder: string, name: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => name.test(path))
    .map((path) => read(join(folder, path)));
}

function codesIn(texts: readonly string[]): Set<string> {
  return new Set(texts.flatMap((text) => text.match(/\bERR_HEDDLE_\w+/g) ?? []));
}

const codes = Object.keys(errorCodes) as ErrorCode[];
const native = codesIn(textsUnder('native', /\.(cc|h)$/));
const lib = codesIn(textsUnder('lib', /(?<!^errors)\.ts$/));

describe('codes', () => {
  test('of native code are all in the list', () => {
    expect(native.size).toBeGreaterThan(0);
    expect([...native].filter((code) => !isErrorCode(code))).toEqual([]);
  });

  test('of the list are all used, in lib or in native code', () => {
    expect(codes.filter((code) => !native.has(code) && !lib.has(code))).toEqual([]);
  });

  test.each(codes)('%s has a cause and a remedy', (code) => {
    expect(code).toMatch(/^ERR_HEDDLE_[A-Z_]+$/);
    const { cause, remedy } = errorCodes[code];
    for (const words of [cause, remedy]) expect(words).toMatch(/^\S.{10,}[^.\s]$/);
  });

  test('are told from other words', () => {
    expect(codes.every(isErrorCode)).toBe(true);
    for (const other of ['ENOENT', '', 'toString', '__proto__', undefined, 5, null]) {
      expect(isErrorCode(other)).toBe(false);
    }
  });
});

describe('a HeddleError', () => {
  test('is an Error whose message ends with the remedy', () => {
    const cause = new Error('below');
    const error = new HeddleError('ERR_HEDDLE_VALUE', 'expected this, got that', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'HeddleError', code: 'ERR_HEDDLE_VALUE', cause });
    const { remedy } = errorCodes.ERR_HEDDLE_VALUE;
    expect(error.message).toBe(`expected this, got that; ${remedy}`);
    expect(String(error)).toBe(`HeddleError: ${error.message}`);
    expect(error.stack).toContain('errors.test.ts');
  });

  test('may have a better remedy than its code’s', () => {
    const error = new HeddleError('ERR_HEDDLE_VALUE', 'expected this, got that', { remedy: 'do' });
    expect(error.message).toBe('expected this, got that; do');
  });

  test('without a problem of its own states the cause of its code', () => {
    for (const code of codes) {
      const { cause, remedy } = errorCodes[code];
      expect(nativeError(code).message).toBe(`${cause}; ${remedy}`);
      expect(nativeError(code, 'the problem').message).toBe(`the problem; ${remedy}`);
    }
  });

  test('of a code that is not in the list cannot be made', () => {
    for (const code of ['ERR_HEDDLE_NONE', 'toString', '']) {
      expect(thrownBy(() => nativeError(code))).toBeInstanceOf(TypeError);
    }
  });
});

describe('what was got is described', () => {
  const named = function resize(): void {};
  const table: [unknown, string][] = [
    [undefined, 'undefined'],
    [null, 'null'],
    [NaN, 'NaN'],
    [-1.5, '-1.5'],
    [true, 'true'],
    ['text', '"text"'],
    ['with "quotes"\n', '"with \\"quotes\\"\\n"'],
    ['long '.repeat(100), `"${'long '.repeat(8)}"`],
    [Symbol('words'), 'Symbol(words)'],
    [named, 'function resize'],
    [
      (
        () => () =>
          1
      )(),
      'function (anonymous)',
    ],
    [class Task {}, 'function Task'],
    [[1, 2], 'an instance of Array'],
    [{}, 'an instance of Object'],
    [new Map(), 'an instance of Map'],
    [Object.create(null), 'an instance of Object'],
  ];
  test.each(table)('%o', (value, words) => {
    expect(describeValue(value)).toBe(words);
  });
});

describe('numbers that lib and native code share', () => {
  // `kLockToThread = 4,` and `lockToThread: 4,` become the same entry.
  function entriesOf(path: string, start: RegExp, entry: RegExp): Record<string, number> {
    const body = new RegExp(`${start.source}[^{]*\\{([^}]*)\\}`).exec(read(path))?.[1];
    if (body === undefined) throw new Error(`expected ${start.source} in ${path}`);
    const found = body.matchAll(entry);
    return Object.fromEntries(
      [...found].map(([, name, value]) => [
        name!.charAt(0).toLowerCase() + name!.slice(1),
        Number(value),
      ]),
    );
  }
  const inLib = /(\w+): (\d+)/g;
  const inNative = /\bk(\w+) = (\d+)/g;

  test.each([
    ['StartMode', 'native/addon/js_spawn.cc', 4],
    ['Status', 'native/addon/environment_results.cc', 9],
  ])('%s', (name, path, count) => {
    const ours = entriesOf('lib/binding.ts', new RegExp(`const ${name} =`), inLib);
    const theirs = entriesOf(path, new RegExp(`enum ${name} :`), inNative);
    expect(Object.keys(ours)).toHaveLength(count);
    expect(theirs).toEqual(ours);
  });

  // `kNotReady = 9` or, where no numbers are given, the place in the list.
  function enumOf(path: string, name: string): Record<string, number> {
    const body = new RegExp(`enum (?:class )?${name}\\b[^{]*\\{([^}]*)\\}`).exec(read(path))?.[1];
    if (body === undefined) throw new Error(`expected enum ${name} in ${path}`);
    const names = body.replaceAll(/\/\/.*/g, '').match(/\bk\w+/g) ?? [];
    return Object.fromEntries(
      names.map((each, place) => [each.charAt(1).toLowerCase() + each.slice(2), place]),
    );
  }

  test.each([
    ['lib/waits.ts', 'Mode', 'native/addon/value_call.h', 'Mode'],
    ['lib/waits.ts', 'WaitKind', 'native/addon/promise_wait.h', 'WaitKind'],
    ['lib/handle.ts', 'HandleKind', 'native/kernels/value.h', 'HandleKind'],
    ['lib/binding.ts', 'Pushed', 'native/addon/isolate_set.h', 'Pushed'],
  ])('%s %s', (lib, name, path, nativeName) => {
    const ours = entriesOf(lib, new RegExp(`const ${name} =`), inLib);
    expect(Object.keys(ours).length).toBeGreaterThan(2);
    expect(enumOf(path, nativeName)).toEqual(ours);
  });

  test('how a try or a wait has ended', () => {
    const ours = entriesOf('lib/waits.ts', /const WaitStatus =/, inLib);
    const waits = enumOf('native/sync/wait.h', 'WaitStatus');
    const tries = Object.fromEntries(
      [...read('native/addon/js_sync.cc').matchAll(/\bk(Pending|NotReady) = (\d+)/g)].map(
        ([, name, value]) => [name!.charAt(0).toLowerCase() + name!.slice(1), Number(value)],
      ),
    );
    expect({ ...waits, ...tries }).toEqual(ours);
  });

  test('what may be wanted of an isolate', () => {
    const ours = entriesOf('lib/mail.ts', /const Want =/, inLib);
    const theirs = entriesOf('native/addon/mailbox.h', /enum class Want :/, inNative);
    expect(theirs).toEqual({ ...ours, reconsider: 1 });
  });

  test('the places of what calls answer', () => {
    const ours = entriesOf('lib/mail.ts', /const State =/, inLib);
    const theirs = enumOf('native/addon/environment.h', 'State');
    expect(theirs).toEqual({ ...ours, stateCount: Object.keys(ours).length });
  });

  test('the states of a task, in the order of their numbers', () => {
    const listed = /kStates[^=]*= \[([^\]]*)\]/.exec(read('lib/task.ts'))?.[1];
    const ours = listed!.split(',').map((word) => word.trim().replaceAll("'", ''));
    const text = /enum class TaskState[^{]*\{([^}]*)\}/.exec(read('native/addon/task_record.h'));
    const theirs = text![1]!.split(',').map((word) => word.trim().replace(/^k/, '').toLowerCase());
    expect(theirs.filter((word) => word !== '')).toEqual(ours);
  });

  // `const kIsThrown = 1 << 5;` and `constexpr uint32_t kIsThrown = 1u << 5;` are the same number.
  function constantOf(path: string, name: string): number {
    const found = new RegExp(`\\b${name} = (\\d+)u?(?: << (\\d+))?;`).exec(read(path));
    if (found === null) throw new Error(`expected ${name} in ${path}`);
    return Number(found[1]) * 2 ** Number(found[2] ?? 0);
  }

  test.each([
    ['kIsThrown', 'lib/task.ts', 'native/addon/environment_results.cc', 'kIsThrown'],
    ['kReasonShift', 'lib/task.ts', 'native/addon/environment_results.cc', 'kReasonShift'],
    ['kIsWait', 'lib/mail.ts', 'native/addon/environment_results.cc', 'kIsWait'],
    ['kDirect', 'lib/tasks.ts', 'native/kernels/kernel.h', 'kMaxArguments'],
  ])('%s', (ours, path, nativePath, theirs) => {
    expect(constantOf(nativePath, theirs)).toBe(constantOf(path, ours));
  });

  test('the largest count of processors', () => {
    const count = /kMaxProcessors = (\d+)/;
    const ours = count.exec(read('lib/runtime.ts'))?.[1];
    const theirs = textsUnder('native/core', /\.h$/).flatMap((text) => count.exec(text)?.[1] ?? []);
    expect(theirs).toEqual([ours]);
  });

  test('the smallest and the largest stack', () => {
    const text = read('native/core/stack.h');
    const ours = read('lib/spawn-options.ts');
    expect(ours).toContain('const kMinStackBytes = 4096;');
    expect(text).toContain('kMinStackBytes = 4 * 1024;');
    expect(ours).toContain('const kMaxStackBytes = 2 ** 30;');
    expect(text).toContain('kMaxStackBytes = size_t{1} << 30;');
  });
});
