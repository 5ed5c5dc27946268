// A function that runs in another isolate travels as its source text, which evaluate.ts makes a
// function of there.
//
// Always true here: what `inlineFunction` accepts closes over nothing, so in the isolate no name
// of it is missing. Whatever it refuses, it refuses before anything has been started. A text is
// read once, however many closures of it a loop makes.
//
// The text is Function.prototype.toString's, so it is what runs here: after the compiler, after a
// test runner, with a coverage tool's counters.
import { readFunctionText } from './captures.js';
import type { Capture, FunctionText, ParseProblem } from './captures.js';
import { describe, HeddleError } from './errors.js';

/** A function, ready to travel. */
export interface InlineFunction {
  /** An expression whose value is the function. */
  readonly source: string;
  /** Of the function; empty if it has none. */
  readonly name: string;
  /** Whether it is a generator function, sync or async. */
  readonly isGenerator: boolean;
}

const known = new WeakMap<object, InlineFunction>();

// By name and text, for the closures of a loop. Emptied when full: nobody writes that many.
const knownTexts = new Map<string, InlineFunction>();
const kMostTexts = 1000;

/** Reads a function. One that cannot travel throws ERR_HEDDLE_CAPTURE or ERR_HEDDLE_TARGET. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- all that `typeof` tells
export function inlineFunction(fn: Function): InlineFunction {
  const before = known.get(fn);
  if (before !== undefined) return before;
  if (typeof fn !== 'function') {
    throw new HeddleError('ERR_HEDDLE_TARGET', `expected a function, got ${describe(fn)}`);
  }
  const name = typeof fn.name === 'string' ? fn.name : '';
  const text = Function.prototype.toString.call(fn);
  const key = `${name.length} ${name}${text}`;
  const inline = knownTexts.get(key) ?? readInline(name, text);
  if (knownTexts.size >= kMostTexts) knownTexts.clear();
  knownTexts.set(key, inline);
  known.set(fn, inline);
  return inline;
}

function readInline(name: string, text: string): InlineFunction {
  const read = readFunctionText(text);
  if ('problem' in read) throw unreadable(name, text, read);
  if (read.form === 'class') {
    throw targetError(name, 'a function', `class ${name}`, 'make the instance in a function');
  }
  if (read.form === 'accessor') {
    throw targetError(name, 'a function', `an accessor, ${name}`, 'write it as a method');
  }
  if (read.captures.length > 0) throw captureError(name, read.captures);
  return { source: asExpression(name, text, read), name, isGenerator: read.isGenerator };
}

/** An object's method or property, so that the function has its name in the isolate too. */
function asExpression(name: string, text: string, read: FunctionText): string {
  const quoted = JSON.stringify(name);
  if (read.form === 'function') {
    return name === '' ? `(${text})` : `({[${quoted}]:${text}})[${quoted}]`;
  }
  if (read.computedKey === undefined) return `Object.values({${text}})[0]`;
  const [start, end] = read.computedKey;
  return `Object.values({${text.slice(0, start)}${quoted}${text.slice(end)}})[0]`;
}

function unreadable(name: string, text: string, parsed: ParseProblem): HeddleError {
  const { problem, line, column } = parsed;
  if (/\{\s*\[native code\]\s*\}$/.test(text)) {
    const got = `a native or bound one${name === '' ? '' : `, ${name}`}`;
    return targetError(name, 'a function with a source text', got, 'call it in one that has');
  }
  return targetError(
    name,
    'a function whose text can be parsed as strict code',
    `one with this problem: ${problem} (${line}:${column})`,
    'use other syntax',
  );
}

function targetError(name: string, expected: string, got: string, remedy: string): HeddleError {
  return new HeddleError('ERR_HEDDLE_TARGET', `expected ${expected}, got ${got.trim()}`, {
    remedy: `${remedy}, or ${exportRemedy(name)}`,
  });
}

const kMostShown = 4;

function captureError(name: string, captures: readonly Capture[]): HeddleError {
  const shown = captures
    .slice(0, kMostShown)
    .map((capture) => `\`${capture.name}\` (${capture.line}:${capture.column})`);
  const more = captures.length - shown.length;
  if (more > 0) shown.push(`${more} more`);
  const last = shown.pop()!;
  const uses = shown.length === 0 ? last : `${shown.join(', ')} and ${last}`;
  return new HeddleError(
    'ERR_HEDDLE_CAPTURE',
    `expected a function that closes over nothing, got one that uses ${uses}`,
    { remedy: `${captureRemedy(captures)}, or ${exportRemedy(name)}` },
  );
}

/** `__awaiter`, `__spreadValues` and their like, of compilers. */
const kCompilerHelper = /^__(?!dirname$|filename$)[a-zA-Z]+$/;

function captureRemedy(captures: readonly Capture[]): string {
  if (captures.some(({ name }) => kCompilerHelper.test(name))) {
    return 'compile it for a newer target, which needs no helper';
  }
  const pass = captures.length === 1 ? 'pass it as an argument' : 'pass them as arguments';
  const isModule = captures.some(({ name, isImport }) => isImport || name === 'require');
  return isModule ? `${pass}, load modules inside by \`await import()\`` : pass;
}

function exportRemedy(name: string): string {
  const isName = /^(?!default$|anonymous$)[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name);
  const shown = isName ? name : 'task';
  return (
    'export the function from a module: ' +
    `export const tasks = defineTasks(import.meta.url, { ${shown} })`
  );
}
