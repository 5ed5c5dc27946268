// The docs are true: every block of JavaScript or TypeScript in them runs, in a process of its own,
// ends by itself without a complaint, and prints what the page says.
//
// - A block that begins with `// name.mjs` is a file that the page's other blocks can import.
// - `// → text` after a statement is what it prints, and so is a block of text after the block.
// - `<!-- with: code -->` before a block is code that runs before it and that nobody has to read;
//   `<!-- not run: why -->` is a block that does not run here.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, describe, expect, test } from 'vitest';
import { root, runNode } from '../lib/support.js';

const kPages = [
  'README.md',
  'docs/channels.md',
  'docs/tasks.md',
  'docs/tcp.md',
  'docs/migrating.md',
];

interface Block {
  readonly place: string;
  readonly path: string;
  readonly code: string;
  readonly isRun: boolean;
  /** Lines that it prints, in this order, perhaps among others. */
  readonly prints: readonly string[];
  /** Text that follows the block: part of what it prints, but for its line breaks. */
  readonly shows: string | undefined;
}

mkdirSync(join(root, 'build'), { recursive: true });
// Inside the package, so that `heddle` is found as by its users.
const folder = mkdtempSync(join(root, 'build', 'docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

const kMark = '(?:<!-- (with|not run): ((?:(?!-->)[^])*) -->\n+)?';
const kCode = '^```(js|ts)\n([^]*?)^```\n';
const kText = '(?:\n```text\n([^]*?)^```\n)?';
const kBlock = new RegExp(kMark + kCode + kText, 'gm');

function readBlocks(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8');
  const pageFolder = mkdtempSync(join(folder, 'page-'));
  return [...text.matchAll(kBlock)].map((match) => {
    const [all, mark, hidden, language, code, shows] = match as unknown as string[];
    const start = match.index + all!.indexOf('```');
    const line = text.slice(0, start).split('\n').length;
    const name = /^\/\/ ([\w-]+\.m[jt]s)\n/.exec(code!)?.[1];
    const path = join(pageFolder, name ?? `line-${line}.m${language}`);
    const whole = mark === 'with' ? `${hidden}\n${code}` : code!;
    writeFileSync(path, whole);
    return {
      place: `${page}:${line}`,
      path,
      code: whole,
      isRun: mark !== 'not run',
      prints: [...code!.matchAll(/ \/\/ → (.*)$/gm)].map(([, printed]) => printed!),
      shows,
    };
  });
}

test.each(kPages)('every block of %s is read', (page) => {
  const fences = readFileSync(join(root, page), 'utf8').match(/^```(js|ts)$/gm);
  expect(readBlocks(page)).toHaveLength(fences!.length);
});

const blocks = kPages.flatMap(readBlocks).filter(({ isRun }) => isRun);

const onOneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

describe.concurrent('a block runs', () => {
  test.each(blocks)('$place', async ({ path, prints, shows }) => {
    const options = path.endsWith('.mts') ? ['--import', 'tsx'] : [];
    const { code, stdout, stderr } = await runNode([...options, path]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const printed = stdout.split('\n');
    let at = 0;
    for (const line of prints) {
      const found = printed.indexOf(line, at);
      expect(found, `expected ${line} in:\n${stdout}`).toBeGreaterThanOrEqual(at);
      at = found + 1;
    }
    if (shows !== undefined) expect(onOneLine(stdout)).toContain(onOneLine(shows));
  });
});

test('the types of the blocks in TypeScript are right', () => {
  const paths = blocks.map(({ path }) => path).filter((path) => path.endsWith('.mts'));
  const program = ts.createProgram(paths, {
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.esnext.d.ts'],
    types: ['node'],
    skipLibCheck: true,
  });
  const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const place = blocks.find(({ path }) => path === file?.fileName)?.place ?? file?.fileName;
    const line = file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0;
    return `${place} + ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  expect(problems).toEqual([]);
});
