// What a function's text takes from its surroundings: the names that it uses and does not declare,
// and `this`, `super` and their like. A parser and a scope analysis find them; nothing is guessed.
//
// Always true here: the parser is loaded when the first text is read, never by an import of the
// package. The text is read as strict code of a module, as which it will run. A name is no capture
// if every fresh isolate has it, whatever anybody has added to the globals of this one.
//
// Left alone: a direct `eval`, which may name anything, and `typeof x`, which never throws.
import { createRequire } from 'node:module';
import type * as acorn from 'acorn';
import type * as eslintScope from 'eslint-scope';
import { isolateGlobals } from './isolate-globals.js';
import { isToolHelper } from './tool-helpers.js';

/** A place in the text; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Something of the surroundings, where it is first used. */
export interface Capture extends Place {
  /** As its author knows it: `width`, `this`, `#size`, `import.meta`. */
  readonly name: string;
  /** Whether the author imported it. Known only where a tool has rewritten the import. */
  readonly isImport: boolean;
}

/** What a text is. */
export interface FunctionText {
  readonly form: 'function' | 'method' | 'accessor' | 'class';
  readonly isGenerator: boolean;
  /** From where to where the computed key of a method is, without its brackets. */
  readonly computedKey: readonly [start: number, end: number] | undefined;
  readonly captures: readonly Capture[];
}

/** Why a text cannot be read. */
export interface ParseProblem extends Place {
  readonly problem: string;
}

/** A syntax tree as its walk sees it: what is in a node depends on its type. */
type Node = acorn.Node & Readonly<Record<string, unknown>>;

const require = createRequire(import.meta.url);

let parser: typeof acorn | undefined;
let scopes: typeof eslintScope | undefined;

// In a constructor everything may stand that can be in a function's text, `super()` and
// `new.target` too. Lines of its own leave the text its columns.
const kBefore = '(class extends Object{constructor(){(';
const kAfter = ')}})';
/** How a text is made an expression: as it is, or, of a method, as part of an object. */
const kExpression = [`${kBefore}\n`, `\n${kAfter}`] as const;
const kMethod = [`${kBefore}{\n`, `\n}${kAfter}`] as const;

/** What it is and what it captures, in the order of the text; or why that cannot be told. */
export function readFunctionText(text: string): FunctionText | ParseProblem {
  const expression = parse(text, kExpression);
  if ('program' in expression) return read(expression.program, text, kExpression[0].length);
  const method = parse(text, kMethod);
  if ('program' in method) return read(method.program, text, kMethod[0].length);
  return furtherProblem(expression, method);
}

function parse(
  text: string,
  [open, close]: readonly [string, string],
): { program: Node } | ParseProblem {
  parser ??= require('acorn') as typeof acorn;
  try {
    const program = parser.parse(`${open}${text}${close}`, {
      ecmaVersion: 'latest',
      sourceType: 'module',
      locations: true,
      ranges: true,
      checkPrivateFields: false,
    });
    return { program: program as unknown as Node };
  } catch (error) {
    if (error instanceof SyntaxError) return problemOf(error);
    throw error;
  }
}

function problemOf(error: SyntaxError & { loc?: acorn.Position }): ParseProblem {
  // The parser's own words end with the place, counted otherwise.
  const problem = error.message.replace(/ \(\d+:\d+\)$/, '');
  return { problem, line: (error.loc?.line ?? 2) - 1, column: (error.loc?.column ?? 0) + 1 };
}

/** Of two ways to read a text, the one that got further is what its author meant. */
function furtherProblem(one: ParseProblem, other: ParseProblem): ParseProblem {
  const difference = one.line - other.line || one.column - other.column;
  return difference >= 0 ? one : other;
}

function read(program: Node, text: string, start: number): FunctionText {
  const whole = nodeAt(program, start, start + text.length);
  if (whole.type === 'ClassExpression') {
    return { form: 'class', isGenerator: false, computedKey: undefined, captures: [] };
  }
  if (whole.type !== 'Property') {
    return { form: 'function', computedKey: undefined, ...readFunction(program, whole) };
  }
  const key = whole.key as Node;
  return {
    form: whole.kind === 'init' ? 'method' : 'accessor',
    computedKey: whole.computed === true ? [key.start - start, key.end - start] : undefined,
    ...readFunction(program, whole.value as Node),
  };
}

function readFunction(program: Node, node: Node): Pick<FunctionText, 'isGenerator' | 'captures'> {
  return { isGenerator: node.generator === true, captures: capturesOf(program, node) };
}

/** The outermost node that is just this part of the text. */
function nodeAt(node: Node, start: number, end: number): Node {
  if (node.start === start && node.end === end) return node;
  const within = childrenOf(node).find((child) => child.start <= start && child.end >= end);
  if (within === undefined) throw new Error('expected a text that is one function');
  return nodeAt(within, start, end);
}

function childrenOf(node: Node): Node[] {
  return Object.values(node)
    .flat()
    .filter(
      (value): value is Node =>
        typeof value === 'object' && value !== null && typeof (value as Node).type === 'string',
    );
}

function capturesOf(program: Node, node: Node): Capture[] {
  const walk = new Walk();
  const isArrow = node.type === 'ArrowFunctionExpression';
  const own = { hasThis: !isArrow, hasSuper: false, privateNames: new Set<string>() };
  for (const child of childrenOf(node)) walk.visit(child, own);
  const known = isolateGlobals();
  for (const identifier of freeIdentifiers(program, node)) {
    const name = identifier.name as string;
    if (known.has(name) || walk.harmless.has(identifier)) continue;
    walk.note(identifier, walk.importedAs.get(identifier) ?? name);
  }
  const captures = new Map<string, Capture>();
  for (const { at, name, isImport } of walk.uses.sort((a, b) => a.at.start - b.at.start)) {
    const { line, column } = at.loc!.start;
    if (captures.has(name)) continue;
    captures.set(name, { name, isImport, line: line - 1, column: column + 1 });
  }
  return [...captures.values()];
}

/** Identifiers in the function that no declaration in it stands for. */
function freeIdentifiers(program: Node, node: Node): Node[] {
  scopes ??= require('eslint-scope') as typeof eslintScope;
  type Program = Parameters<typeof eslintScope.analyze>[0];
  type ScopeNode = Parameters<eslintScope.ScopeManager['acquireAll']>[0];
  const manager = scopes.analyze(program as unknown as Program, {
    ecmaVersion: 2025,
    sourceType: 'module',
    // In strict code it declares nothing outside itself.
    ignoreEval: true,
    // The traversal that it builds on does not know the second argument of import().
    childVisitorKeys: { ImportExpression: ['source', 'options'] },
  });
  // The outermost of its scopes, that of a function expression's own name.
  const [scope] = manager.acquireAll(node as unknown as ScopeNode) ?? [];
  return scope!.through.map(({ identifier }) => identifier as unknown as Node);
}

/** What the code at hand has of its own. */
interface Own {
  readonly hasThis: boolean;
  readonly hasSuper: boolean;
  readonly privateNames: ReadonlySet<string>;
}

// By Vite for vitest, and by esbuild for CommonJS.
const kRewrittenImport = /^(?:__vi(?:te_ssr)?_import_\d+__|import_\w+)$/;
const kViteNamespace = /^__vi(?:te_ssr)?_import_\d+__$/;
const kRewrittenMeta = /^(?:__vite_ssr_import_meta__|import_meta\d*)$/;
const kViteImport = '__vite_ssr_dynamic_import__';
// Vite makes paths below its root of relative ones; and of packages too, which stay allowed.
const kViteRelative = /^(?:\.|\/(?!(?:.*\/)?node_modules\/))/;

/** Collects what scopes do not tell. */
class Walk {
  readonly uses: { at: Node; name: string; isImport: boolean }[] = [];
  /** Identifiers that may stay unresolved: of `typeof`, and the helpers of tools. */
  readonly harmless = new Set<Node>();
  /** What tools have made of imported names and `import.meta`, and what stood there before. */
  readonly importedAs = new Map<Node, string>();

  note(at: Node, name: string): void {
    this.uses.push({ at, name, isImport: this.importedAs.has(at) && name !== 'import.meta' });
  }

  visit(node: Node, own: Own): void {
    switch (node.type) {
      case 'ThisExpression':
        if (!own.hasThis) this.note(node, 'this');
        return;
      case 'Super':
        if (!own.hasSuper) this.note(node, 'super');
        return;
      case 'MetaProperty':
        return this.#visitMeta(node, own);
      case 'PrivateIdentifier':
        if (!own.privateNames.has(node.name as string)) this.note(node, `#${String(node.name)}`);
        return;
      case 'FunctionExpression':
      case 'FunctionDeclaration':
        return this.#visitChildren(node, { ...own, hasThis: true });
      case 'ClassExpression':
      case 'ClassDeclaration':
        return this.#visitClass(node, own);
      case 'Property':
      case 'MethodDefinition':
      case 'PropertyDefinition':
        return this.#visitMember(node, own);
      case 'StaticBlock':
        return this.#visitChildren(node, { ...own, hasThis: true, hasSuper: true });
      case 'Identifier':
        return this.#visitIdentifier(node);
      default:
        this.#visitExpression(node);
        this.#visitChildren(node, own);
    }
  }

  #visitChildren(node: Node, own: Own): void {
    for (const child of childrenOf(node)) this.visit(child, own);
  }

  #visitMeta(node: Node, own: Own): void {
    const isImport = (node.meta as Node).name === 'import';
    if (isImport) this.note(node, 'import.meta');
    else if (!own.hasThis) this.note(node, 'new.target');
  }

  #visitClass(node: Node, own: Own): void {
    const { superClass, body } = node as unknown as { superClass: Node | null; body: Node };
    if (superClass !== null) this.visit(superClass, own);
    const declared = childrenOf(body)
      .map(({ key }) => key as Node | undefined)
      .filter((key) => key?.type === 'PrivateIdentifier')
      .map((key) => key!.name as string);
    const privateNames = new Set([...own.privateNames, ...declared]);
    this.#visitChildren(body, { ...own, privateNames });
  }

  /** Of a class or an object. Its key belongs to the code around it. */
  #visitMember(node: Node, own: Own): void {
    const { key, value } = node as unknown as { key: Node; value: Node | null };
    if (node.computed === true) this.visit(key, own);
    if (value === null) return;
    const isPlain = node.type === 'Property' && node.kind === 'init' && node.method === false;
    this.visit(value, isPlain ? own : { ...own, hasThis: true, hasSuper: true });
  }

  #visitIdentifier(node: Node): void {
    const name = nameOf(node);
    if (kRewrittenMeta.test(name)) this.importedAs.set(node, 'import.meta');
    else if (kViteNamespace.test(name) && !this.importedAs.has(node)) {
      this.importedAs.set(node, 'import *');
    }
  }

  #visitExpression(node: Node): void {
    if (node.type === 'UnaryExpression' && node.operator === 'typeof') {
      this.harmless.add(node.argument as Node);
    } else if (node.type === 'MemberExpression') {
      this.#visitPropertyOf(node.object as Node, node.property as Node);
    } else if (node.type === 'CallExpression') {
      const callee = node.callee as Node;
      if (isToolHelper(nameOf(callee))) this.harmless.add(callee);
      if (nameOf(callee) === kViteImport) this.#visitImport(node, (node.arguments as Node[])[0]);
    } else if (node.type === 'ImportExpression') {
      this.#visitImport(node, node.source as Node);
    }
  }

  /** `__vite_ssr_import_0__.width` was `width`, or the default export, however it was called. */
  #visitPropertyOf(object: Node, property: Node): void {
    if (!kRewrittenImport.test(nameOf(object))) return;
    const name = nameOf(property);
    this.importedAs.set(object, name === 'default' ? 'import default' : name);
  }

  /** A path that is relative to the file in which the function stands. */
  #visitImport(node: Node, source: Node | undefined): void {
    const path = source === undefined ? '' : startOf(source);
    const isRelative = node.type === 'ImportExpression' ? /^\.\.?(\/|$)/ : kViteRelative;
    if (isRelative.test(path)) this.note(node, `import('${path}')`);
  }
}

function nameOf(node: Node): string {
  return node.type === 'Identifier' ? (node.name as string) : '';
}

/** The text with which a string begins, as far as it stands there. */
function startOf(node: Node): string {
  if (node.type === 'TemplateLiteral') {
    const [first] = node.quasis as { value: { cooked?: string } }[];
    return first?.value.cooked ?? '';
  }
  return typeof node.value === 'string' ? node.value : '';
}
