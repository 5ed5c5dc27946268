// Functions that travel as text: which may, what they take from their surroundings if they may not,
// and that they are the same where they arrive. vitest has rewritten those that are written here;
// those that are given as text are just that.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as url from 'node:url';
import { runInThisContext } from 'node:vm';
import fc from 'fast-check';
import { spawn } from 'heddle';
import type { HeddleError } from 'heddle';
import { describe, expect, test } from 'vitest';
import { evaluateInline } from '../../dist/lib/evaluate.js';
import { inlineFunction } from '../../dist/lib/inline.js';
import { expectRefusal, thrownBy } from './support.js';

type AnyFunction = (...args: unknown[]) => unknown;
type Inline = (...args: never[]) => unknown;

function fromText(text: string): AnyFunction {
  return runInThisContext(`(${text})`) as AnyFunction;
}

/** As it is on the other side. */
function there(fn: Inline): AnyFunction {
  const { source, name } = inlineFunction(fn);
  return evaluateInline(source, name);
}

/** What a function is refused for, as `name` and `line:column`. */
function capturesOf(fn: Inline): [name: string, place: string][] {
  let message: string;
  try {
    inlineFunction(fn);
    return [];
  } catch (error) {
    expect((error as HeddleError).code).toBe('ERR_HEDDLE_CAPTURE');
    ({ message } = error as HeddleError);
  }
  return [...message.matchAll(/`([^`]+)` \((\d+:\d+)\)/g)].map(([, name, at]) => [name!, at!]);
}

const namesOf = (text: string): string[] => capturesOf(fromText(text)).map(([name]) => name);

const width = 3;
const key = 'computed';

describe('a function arrives as it was', () => {
  const object: Record<string, Inline> = {
    async method(_context: unknown, n: number) {
      return Promise.resolve(n + 1);
    },
    *generator(n: number) {
      yield n;
    },
    'quoted key'(n: number) {
      return n + 1;
    },
    [`${key} key${width}`](n: number) {
      return n + 1;
    },
    7(n: number) {
      return n + 1;
    },
    __proto__() {
      return 1;
    },
    get(n: number) {
      return n + 1;
    },
    async(n: number) {
      return n + 1;
    },
  };

  test('if it is an arrow function', async () => {
    expect(there((n: number) => n + 1)(1)).toBe(2);
    expect(await there(async (n: number) => (await Promise.resolve(n)) + 1)(1)).toBe(2);
  });

  test('if it is a function expression that calls itself', () => {
    const fn = function factorial(n: number): number {
      return n < 2 ? 1 : n * factorial(n - 1);
    };
    expect(there(fn)(5)).toBe(120);
  });

  test('if it is a method, however its key is written', async () => {
    expect(await there(object.method!)(undefined, 1)).toBe(2);
    expect(there(object['quoted key']!)(1)).toBe(2);
    expect(there(object['computed key3']!)(1)).toBe(2);
    expect(there(object[7]!)(1)).toBe(2);
    expect(there(object.get!)(1)).toBe(2);
    expect(there(object.async!)(1)).toBe(2);
    expect(
      there(Object.getOwnPropertyDescriptor(object, '__proto__')!.value as AnyFunction)(),
    ).toBe(1);
  });

  test('if it is a static method, or the arrow function of a field', () => {
    class Class {
      static twice(this: void, n: number): number {
        return 2 * n;
      }
      field = (n: number): number => 3 * n;
    }
    expect(there(Class.twice)(2)).toBe(4);
    expect(there(new Class().field)(2)).toBe(6);
  });

  test.each([
    ['function* (n) { yield n; }', true],
    ['async function* (n) { yield n; }', true],
    ['({ *g() {} }).g', true],
    ['({ async *g() {} }).g', true],
    ['({ async g() {} }).g', false],
    ['async (n) => n', false],
    ['() => function* () {}', false],
  ])('%s: a generator: %s', (text, isGenerator) => {
    expect(inlineFunction(fromText(text)).isGenerator).toBe(isGenerator);
  });

  test.each([
    'function plain() {}',
    'async function later() {}',
    '({ method() {} }).method',
    '({ ["a " + 1]() {} })["a 1"]',
    '((words) => ({ [words]() {} })[words])(Symbol("words"))',
    '({ arrow: () => {} }).arrow',
    '({ ["__proto__"]: () => {} })["__proto__"]',
    '({ "\\n\\u2028\\"": () => {} })["\\n\\u2028\\""]',
    '() => {}',
  ])('%s keeps its name', (text) => {
    const fn = fromText(text);
    expect(inlineFunction(fn).name).toBe(fn.name);
    expect(there(fn).name).toBe(fn.name);
  });

  test('with its parameters, defaults and destructuring', () => {
    const text = '({ a, b: [c = 2] = [], ...rest }, d = `${a}${c}`) => [a, c, rest, d]';
    expect(there(fromText(text))({ a: 1, e: 3 })).toEqual([1, 2, { e: 3 }, '12']);
  });

  test('and is strict', () => {
    expect(there(fromText('function () { return this; }'))()).toBe(undefined);
  });

  test('once more from there, as a function in it is that spawns', () => {
    const outer = there(() => {
      const inner = (n: number): number => n + 1;
      return inner;
    });
    expect(there(outer() as AnyFunction)(1)).toBe(2);
  });

  test('and is read only once, also as another closure of the same text', () => {
    const make = (): AnyFunction => () => 1;
    const fn = make();
    expect(inlineFunction(fn)).toBe(inlineFunction(fn));
    expect(inlineFunction(make())).toBe(inlineFunction(fn));
  });

  test('more functions than are remembered', () => {
    for (let i = 0; i < 1200; i += 1) expect(there(fromText(`() => ${i}`))()).toBe(i);
  });
});

describe('in the isolate', () => {
  test('import() finds what Node has, and packages', async () => {
    const fn = async (name: string) => {
      const { existsSync } = await import('node:fs');
      const { parse } = await import('acorn');
      const named = (await import(name)) as object;
      return [typeof existsSync, typeof parse, Object.keys(named).includes('join')];
    };
    expect(await there(fn)('node:path')).toEqual(['function', 'function', true]);
    const plain = fromText('async () => Object.keys(await import("acorn")).length > 0');
    expect(await there(plain)()).toBe(true);
  });

  test('stacks name the function, and its own lines', () => {
    const text = 'function fails() {\n\n  throw new Error("here");\n}';
    expect((thrownBy(there(fromText(text))) as Error).stack).toContain(
      'at fails (heddle:inline/fails:3:9)',
    );
    const { source } = inlineFunction(fromText(text));
    for (const [name, shown] of [
      ['größe 2\n*/', 'größe_2___'],
      ['\ud800"\'', '___'],
      ['', 'anonymous'],
    ] as const) {
      const { stack } = thrownBy(evaluateInline(source, name)) as Error;
      expect(stack).toContain(`(heddle:inline/${shown}:3:9)`);
    }
  });

  test('a direct eval sees the function’s own variables', () => {
    expect(there(fromText('(n) => { const twice = 2 * n; return eval("twice"); }'))(2)).toBe(4);
  });

  test('a tool’s helpers do what they do here', () => {
    const named = fromText('() => __name(() => {}, "told").name');
    expect(there(named)()).toBe('told');
    const counts = fromText(
      '(n) => { cov_1abc2de().f[0]++; cov_1abc2de().b[0][1]++; cov_1abc2de().s[0]++;' +
        'return (cov_1abc2de().temp = n, cov_1abc2de().temp); }',
    );
    for (const value of [undefined, 0, 'text']) expect(there(counts)(value)).toBe(value);
  });
});

describe('a function is refused', () => {
  const parts = ['expected a function', 'defineTasks(import.meta.url, {'];

  test.each([
    ['Math.max', 'a native or bound one, max', '{ max }'],
    ['function f() {}.bind(null)', 'a native or bound one, bound f', '{ task }'],
    ['new Proxy(() => {}, {})', 'a native or bound one;', '{ task }'],
    ['class Task {}', 'class Task', '{ Task }'],
    ['({ default: class {} }).default', 'class default', '{ task }'],
    ['class {}', 'class;', '{ task }'],
    ['class { constructor() {} }', 'class;', '{ task }'],
    ['Object.getOwnPropertyDescriptor({ get x() {} }, "x").get', 'an accessor, get x'],
    ['Object.getOwnPropertyDescriptor({ set x(v) {} }, "x").set', 'an accessor, set x'],
  ])('%s: got %s', (text, ...words) => {
    expectRefusal('ERR_HEDDLE_TARGET', () => spawn(fromText(text)), ...parts, ...words);
  });

  test('if the parser cannot read it, with the parser’s words', () => {
    const got = (text: string): string => {
      const error = thrownBy(() => inlineFunction(fromText(text)));
      expect(error).toMatchObject({ code: 'ERR_HEDDLE_TARGET' });
      return (error as Error).message;
    };
    expect(got('function f(a) {\n  with (a) {}\n}')).toMatch(/'with' in strict mode \(2:3\); /);
    expect(got('() => 010')).toContain('Invalid number (1:7); use other syntax, or export ');
    expect(got('({ async f() { return 010; } }).f')).toContain('(1:20)');
    // What looks native in a text that cannot be read is not.
    expect(got('class { static #p() {} static get p() { return this.#p; } }.p')).toContain('(1:3)');
  });
});

describe('a capture is refused', () => {
  test('with its name, its place and what to do', () => {
    const resize = (n: number): number => n * width;
    expectRefusal(
      'ERR_HEDDLE_CAPTURE',
      () => spawn(resize as never, 1),
      'expected a function that closes over nothing, got one that uses `width` (',
      '; pass it as an argument, or export the function from a module: ' +
        'export const tasks = defineTasks(import.meta.url, { resize })',
    );
    expect(capturesOf(fromText('(n) => {\n  return n +\n   width\n}'))).toEqual([['width', '3:4']]);
  });

  test('each in the order of its first place, and not too many of them', () => {
    const fn = fromText('() => [zeta, this, alpha, zeta, beta, alpha, gamma, delta]');
    const { message } = thrownBy(() => inlineFunction(fn)) as Error;
    expect(message).toContain(
      'uses `zeta` (1:8), `this` (1:14), `alpha` (1:20), `beta` (1:33) and 2 more; pass them as ',
    );
    const two = thrownBy(() => inlineFunction(fromText('() => one(two)'))) as Error;
    expect(two.message).toContain('uses `one` (1:7) and `two` (1:11); ');
  });

  test('with words of their own for CommonJS, imports and compilers’ helpers', () => {
    const remedyOf = (text: string): string =>
      (thrownBy(() => inlineFunction(fromText(text))) as Error).message.split('; ')[1]!;
    expect(remedyOf('() => require("fs")')).toContain('load modules inside by `await import()`');
    expect(remedyOf('() => __dirname')).toMatch(/^pass it as an argument, or export /);
    expect(remedyOf('() => __async(this, null)')).toMatch(/^compile it for a newer target, /);
  });

  test('of an import as the user knows it, though vitest has rewritten it', () => {
    const names = (fn: AnyFunction): string[] => capturesOf(fn).map(([name]) => name);
    expect(names(() => readFileSync('/'))).toEqual(['readFileSync']);
    expect(names(() => [path.sep, import.meta.url])).toEqual(['import default', 'import.meta']);
    expect(names(() => url.pathToFileURL('/'))).toEqual(['pathToFileURL']);
    expect(names(() => url)).toEqual(['import *']);
    expect(names(() => import('./support.js'))).toEqual(["import('/test/lib/support.ts')"]);
    const { message } = thrownBy(() => inlineFunction(() => readFileSync('/'))) as Error;
    expect(message).toContain('load modules inside by `await import()`');
  });

  test('although this isolate has such a global', () => {
    const added = globalThis as { document?: unknown };
    added.document = {};
    try {
      expect(namesOf('() => document')).toEqual(['document']);
    } finally {
      delete added.document;
    }
  });

  test.each([
    ['() => this', ['this']],
    ['() => () => [this, arguments]', ['this', 'arguments']],
    ['() => import("./x.js")', ["import('./x.js')"]],
    ['() => import(`../x/${process.pid}.js`)', ["import('../x/')"]],
    ['() => import("node:fs", { with: width })', ['width']],
    ['() => { undeclared = 1; }', ['undeclared']],
    ['() => { count++; }', ['count']],
    ['() => { [first, ...rest] = []; }', ['first', 'rest']],
    ['() => { ({ a: target.b } = {}); }', ['target']],
    ['() => ({ width, height: 2, [depth]: 3 })', ['width', 'depth']],
    ['() => ({ [this.key]() { return this; } })', ['this']],
    ['() => class extends Base { [this.key] = this; }', ['Base', 'this']],
    ['() => class { static { this.x = y; } z = w; }', ['y', 'w']],
    ['(a = b, b) => a', []],
    ['(a = b) => { var b; return a; }', ['b']],
    ['() => { { function inner() {} } return inner; }', ['inner']],
    ['() => { { let a; } return a; }', ['a']],
    ['() => { try {} catch (error) {} return error; }', ['error']],
    ['() => { for (const i of list) ; return i; }', ['list', 'i']],
    ['() => tag`${text}`', ['tag', 'text']],
    ['() => a?.b?.[c]?.(d)', ['a', 'c', 'd']],
    ['() => typeof a.b', ['a']],
    ['() => typeof a === "undefined" || a', ['a']],
    [
      '() => { require; module; exports; __dirname; }',
      ['require', 'module', 'exports', '__dirname'],
    ],
    ['() => __filename', ['__filename']],
    ['() => toString() + hasOwnProperty', ['toString', 'hasOwnProperty']],
    ['() => eval("1") + outer', ['outer']],
    ['() => cov_x()', ['cov_x']],
    ['() => [cov_1abc2de, __name, cov_1abc2de(1).f]', ['cov_1abc2de', '__name']],
    ['function f() { return [f, g]; }', ['g']],
    ['({ method() { return method; } }).method', ['method']],
    ['({ [key()]() { return key; } }).x', ['key']],
  ] as [string, string[]][])('%s: %j', (text, names) => {
    // The last of them names its key by a call, which must be there when it is made.
    const made = text.includes('key()') ? `((key) => ${text})(() => 'x')` : text;
    expect(namesOf(made)).toEqual(names);
  });

  test('of what a class has', () => {
    const made = runInThisContext(`
      new (class extends Array {
        #size = 1;
        static #all = [];
        functions = [
          () => this.#size,
          (other) => #size in other,
          () => super.length,
          () => new.target,
          () => class { #size; get(o) { return o.#size; } },
          () => class extends (this.#size, Array) { #size; },
        ];
        constructor() { super(); this.construct = () => super(); }
        method() { return super.length; }
        own() { return this.length; }
      })()
    `) as { functions: AnyFunction[] } & Record<string, AnyFunction>;
    const names = (fn: AnyFunction): string[] => capturesOf(fn).map(([name]) => name);
    expect(made.functions.map(names)).toEqual([
      ['this', '#size'],
      ['#size'],
      ['super'],
      ['new.target'],
      [],
      ['this', '#size'],
    ]);
    expect(names(made.construct!)).toEqual(['super']);
    expect(names(made.method!)).toEqual(['super']);
    expect(names(made.own!)).toEqual([]);
  });
});

describe('no capture', () => {
  test.each([
    '() => [process, Buffer, console, fetch, URL, setTimeout, structuredClone, crypto]',
    '() => [undefined, NaN, Infinity, globalThis, Atomics, WebAssembly, Intl, escape, eval]',
    '() => typeof anything',
    '() => { label: for (;;) { continue label; } }',
    '({ a: b, ...c }, [d = b]) => ({ a: b, c, d, e: { f: b.g } })',
    '() => { try {} catch ({ message }) { message; } }',
    '() => { hoisted(); var later; function hoisted() { return later; } }',
    'function f() { return [f, this, arguments, new.target]; }',
    'function f() { return () => [f, this, arguments, new.target]; }',
    '() => function () { return [this, arguments, new.target]; }',
    '() => ({ m() { return super.m(); }, get g() { return super.g; }, f: 1 })',
    '() => class Own extends Array { #p = this; static s = Own; }',
    '() => class { #p; m() { return [super.m, this.#p]; } }',
    '() => class { static { this.x = super.y; } z = () => this; }',
    '(o) => o.width.height?.depth',
    '(o) => `${o.a} ${`${o}`}`',
    '() => /(?<year>\\d+)/v.exec("")?.groups.year',
    'async () => { for await (const a of []) a; await import("node:fs", { with: {} }); }',
    '() => import("#internal")',
    '(n) => { switch (n) { case 1: let a = n; return a; } }',
    '(x) => (x ??= 1, x ||= 2, x **= 3)',
  ])('%s', (text) => {
    expect(namesOf(text)).toEqual([]);
  });
});

// Functions of which it is known what they leave free: each part says what it uses and declares.
interface Part {
  readonly text: string;
  readonly free: ReadonlySet<string>;
}

const names = ['alpha', 'beta', 'gamma', 'delta'];
const name = fc.constantFrom(...names);

function joined(parts: readonly Part[]): Part {
  return {
    text: parts.map(({ text }) => text).join(' '),
    free: new Set(parts.flatMap(({ free }) => [...free])),
  };
}

const without = (free: ReadonlySet<string>, ...declared: string[]): Set<string> =>
  new Set([...free].filter((each) => !declared.includes(each)));

// What declares a name around a body; the places of either are marked.
const kDeclaring = [
  '{ const NAME = 0; BODY }',
  '{ class NAME {} BODY }',
  '((NAME) => { BODY });',
  '(({ key: { NAME } }) => { BODY });',
  '((...NAME) => { BODY });',
  '(function NAME() { BODY });',
  '(class NAME { method() { BODY } });',
  '(() => { { var NAME; } BODY });',
  '(() => { BODY; function NAME() {} });',
  'try {} catch (NAME) { BODY }',
  'for (const NAME of []) { BODY }',
  'for (let NAME = 0; NAME < 0; NAME += 1) { BODY }',
  '(async function* ([NAME]) { BODY });',
];
const kUsing = [
  'sink(NAME);',
  'sink`${NAME}`;',
  '({ NAME });',
  '() => NAME?.key;',
  '(class { [NAME]; });',
  '(class { field = NAME; });',
  '((value = NAME) => value);',
  '({ key: sink.x = NAME } = sink);',
];
const kHarmless = [
  'sink.NAME;',
  'sink?.NAME;',
  '({ NAME: 0 });',
  'NAME: for (;;) break NAME;',
  'typeof NAME;',
  "'NAME';",
  '// NAME\n',
  '(class { NAME; #NAME = 1; m() { return this.#NAME; } });',
  'for (const { NAME: other } of []) other;',
];

const { part } = fc.letrec<{ part: Part; body: Part }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 4 },
    fc.tuple(fc.constantFrom(...kHarmless), name).map(([form, used]) => ({
      text: form.replaceAll('NAME', used),
      free: new Set<string>(),
    })),
    fc.tuple(fc.constantFrom(...kUsing), name).map(([form, used]) => ({
      text: form.replaceAll('NAME', used),
      free: new Set([used]),
    })),
    fc.tuple(fc.constantFrom(...kDeclaring), name, tie('body')).map(([form, declared, body]) => ({
      text: form.replaceAll('NAME', declared).replace('BODY', () => body.text),
      free: without(body.free, declared),
    })),
  ),
  body: fc.array(tie('part'), { maxLength: 4 }).map(joined),
}));

const wrappers = [
  '(sink) => { BODY }',
  'async (sink) => { BODY }',
  'function (sink) { BODY }',
  'async function* alpha(sink) { BODY }',
  '({ beta(sink) { BODY } }).beta',
  '({ async ["gamma"](sink) { BODY } }).gamma',
];

test('the free names of any function are found, no more and no fewer', () => {
  const program = fc.tuple(
    fc.constantFrom(...wrappers),
    fc.array(part, { minLength: 1, maxLength: 6 }).map(joined),
  );
  fc.assert(
    fc.property(program, ([wrapper, body]) => {
      const text = wrapper.replace('BODY', () => `${body.text}\n`);
      const free = wrapper.includes(' alpha(') ? without(body.free, 'alpha') : body.free;
      const fn = fromText(text);
      expect(new Set(capturesOf(fn).map(([found]) => found))).toEqual(free);
      if (free.size === 0) expect(there(fn)).toBeTypeOf('function');
    }),
    { numRuns: 500 },
  );
});

test('each capture is told where it is first used', () => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }).map(joined), ({ text }) => {
      const fn = fromText(`(sink) => {\n${text}\n}`);
      const lines = fn.toString().split('\n');
      for (const [found, at] of capturesOf(fn)) {
        const [line, column] = at.split(':').map(Number) as [number, number];
        expect(lines[line - 1]!.slice(column - 1)).toMatch(new RegExp(`^${found}\\b`));
      }
    }),
  );
});
