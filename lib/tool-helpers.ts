// The helpers that tools write into a function's text when they compile or instrument it, and
// stand-ins for them where the text runs alone. Other helpers are refused like any capture: they
// do real work, and a newer compile target has no need of them.

/** Its parts count, and hold what istanbul keeps in them for a moment; nobody ever reads them. */
const counters = `() => {
  const make = () => new Proxy(Object.create(null), {
    get: (target, key) => key === Symbol.toPrimitive ? () => 0 :
      Object.hasOwn(target, key) ? target[key] : (target[key] = make()),
  });
  const all = make();
  return () => all;
}`;

/** Vite has made a path below its root, where tests run, of what was a package. */
const viteImport = `(specifier, options) => {
  const path = String(specifier).replace(/^[/]@fs[/]/, '/');
  const below = process.cwd() + path;
  const isBelow = path.startsWith('/') && process.getBuiltinModule('node:fs').existsSync(below);
  return import(isBelow ? below : path, options);
}`;

/** An expression for each. On one line, so that the lines after it keep their numbers. */
const standIns: readonly (readonly [names: RegExp, source: string])[] = [
  // esbuild, and so tsx, with keepNames
  [/^__name$/, "(value, name) => Object.defineProperty(value, 'name', { value: name })"],
  // Vite's module runner, and so vitest
  [/^__vite_ssr_dynamic_import__$/, onOneLine(viteImport)],
  // istanbul, named after a hash of 48 bits
  [/^cov_[0-9a-z]{6,10}$/, onOneLine(`(${counters})()`)],
];

function onOneLine(source: string): string {
  return source.replaceAll(/\s+/g, ' ');
}

/** Whether a call of that name is a tool's. */
export function isToolHelper(name: string): boolean {
  return standIns.some(([names]) => names.test(name));
}

/** Declarations of the helpers that a text names. */
export function declareToolHelpers(text: string): string {
  let declarations = '';
  for (const word of new Set(text.match(/[\w$]+/g))) {
    const standIn = standIns.find(([names]) => names.test(word));
    if (standIn !== undefined) declarations += `const ${word} = ${standIn[1]};`;
  }
  return declarations;
}
