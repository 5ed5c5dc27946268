// The shape of the house, as tests: who may include or import whom, how long things get, words we
// do not write, files nobody uses. What formatters and linters see is left to them.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Source {
  path: string;
  lines: string[];
}

function listFiles(): string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', args, { cwd: root, encoding: 'utf8' });
  return listed.split('\n').filter((path) => path !== '' && existsSync(join(root, path)));
}

const files = listFiles();
const sources: Source[] = files
  .filter((path) => /\.(ts|mjs|js|cc|h|S|go|gyp|cmake)$/.test(path))
  .map((path) => ({ path, lines: readFileSync(join(root, path), 'utf8').split('\n') }));
const native = sources.filter(({ path }) => /^native\/.*\.(cc|h|S)$/.test(path));
const outsideThisFile = sources.filter(({ path }) => path !== 'test/tidy.test.ts');

// Every offending line as `path:line: text`, so that a failure reads as a list of places.
function findLines(where: Source[], isBad: (line: string, source: Source) => boolean): string[] {
  return where.flatMap((source) =>
    source.lines.flatMap((line, index) =>
      isBad(line, source) ? [`${source.path}:${index + 1}: ${line.trim()}`] : [],
    ),
  );
}

const withoutComment = (line: string): string => line.replace(/\/\/.*$/, '');
const roomOf = (path: string): string => /^native\/(\w+)\//.exec(path)?.[1] ?? '';
// The face of native/include is included as users do: "heddle/channel.h".
const roomOfInclude = (included: string): string => {
  const room = included.split('/')[0] ?? '';
  return room === 'heddle' ? 'include' : room;
};

// Rooms that each room may include besides itself.
const below: Record<string, string[]> = {
  arch: [],
  os: ['arch'],
  core: ['os', 'arch'],
  sync: ['core', 'os', 'arch'],
  observe: ['sync', 'core', 'os', 'arch'],
  kernels: ['net', 'sync', 'core', 'os', 'arch'],
  net: ['sync', 'core', 'os', 'arch'],
  addon: ['net', 'kernels', 'observe', 'sync', 'core', 'os', 'arch', 'include'],
  include: ['sync', 'core', 'os', 'arch'],
};
// Plain data and words that lower rooms need too. They include nothing but each other and arch/.
const leaves = [
  'core/atomic.h',
  'core/check.h',
  'observe/counters.h',
  'observe/event_ring.h',
  'os/sim/model_atomic.h',
];

function includeOf(line: string): string | undefined {
  return /^\s*#\s*include\s+"([^"]+)"/.exec(line)?.[1];
}

test('a native room includes only rooms below it', () => {
  const bad = findLines(native, (line, { path }) => {
    const included = includeOf(line);
    if (included === undefined || !included.includes('/')) return false;
    const room = roomOf(path);
    const target = roomOfInclude(included);
    if (target === room || leaves.includes(included)) return false;
    if (target === 'bench') return room !== 'addon';
    return !(below[room] ?? []).includes(target);
  });
  expect(bad).toEqual([]);
});

test('headers that every room may include depend on nothing above arch', () => {
  const bad = findLines(
    native.filter(({ path }) => leaves.includes(path.replace('native/', ''))),
    (line, { path }) => {
      const included = includeOf(line);
      if (included === undefined || path.startsWith('native/os/sim/')) return false;
      return !included.startsWith('arch/') && !leaves.includes(included);
    },
  );
  expect(bad).toEqual([]);
});

test('only the addon knows Node', () => {
  const isNodeHeader = /#\s*include\s+[<"](node_api|js_native_api|napi|node|uv|v8)\.h[>"]/;
  const bad = findLines(
    sources.filter(({ path }) => /\.(cc|h)$/.test(path) && roomOf(path) !== 'addon'),
    (line) => isNodeHeader.test(line),
  );
  expect(bad).toEqual([]);
});

test('platform conditionals live in arch and os', () => {
  const platform = /__(linux|linux_|x86_64|aarch64|arm|i386|GLIBC|APPLE)__|_WIN32/;
  const bad = findLines(
    native.filter(({ path }) => !['arch', 'os'].includes(roomOf(path))),
    (line) => /^\s*#\s*(if|elif|ifdef|ifndef)/.test(line) && platform.test(line),
  );
  expect(bad).toEqual([]);
});

test('the core reaches clock, threads, memory and atomics through its seams only', () => {
  const standard =
    /std::(atomic|mutex|thread|condition_variable|chrono|random_device|memory_order)/;
  const system = /\b(pthread_|clock_gettime\b|mmap\(|usleep\(|epoll_|syscall\()/;
  const bad = findLines(
    native.filter(
      ({ path }) =>
        ['core', 'sync', 'observe'].includes(roomOf(path)) && path !== 'native/core/atomic.h',
    ),
    (line) => standard.test(withoutComment(line)) || system.test(withoutComment(line)),
  );
  expect(bad).toEqual([]);
});

test('every native header is included by another file', () => {
  const included = new Set(
    sources.flatMap(({ path, lines }) =>
      lines.flatMap((line) => {
        const name = includeOf(line);
        return name === undefined ? [] : [name, join(dirname(path), name)];
      }),
    ),
  );
  const orphans = native
    .map(({ path }) => path)
    .filter((path) => path.endsWith('.h') && !path.startsWith('native/include/'))
    .filter((path) => !included.has(path) && !included.has(path.replace('native/', '')));
  expect(orphans).toEqual([]);
});

test('every file of lib is imported by another one', () => {
  const entries = ['lib/index.ts', 'lib/cli/main.ts'];
  const library = sources.filter(({ path }) => /^lib\/.*\.ts$/.test(path));
  const orphans = library.filter(({ path }) => {
    const imported = `/${basename(path, '.ts')}.js'`;
    const importers = sources.filter(
      (other) => other.path !== path && /^(lib|bench)\//.test(other.path),
    );
    return (
      !entries.includes(path) &&
      !importers.some(({ lines }) => lines.some((line) => line.includes(imported)))
    );
  });
  expect(orphans.map(({ path }) => path)).toEqual([]);
});

test('one file loads the native binary', () => {
  const bad = findLines(
    sources.filter(({ path }) => path.startsWith('lib/') && path !== 'lib/binding.ts'),
    (line) => /node-gyp-build|\.node['"]/.test(withoutComment(line)),
  );
  expect(bad).toEqual([]);
});

test('files have at most 600 lines and lines at most 100 columns', () => {
  const long = sources.filter(({ lines }) => lines.length > 601);
  expect(long.map(({ path, lines }) => `${path}: ${lines.length} lines`)).toEqual([]);
  expect(findLines(sources, (line) => line.length > 100)).toEqual([]);
});

test('words that promise later work or hide control flow do not appear', () => {
  const banned = /\b(TODO|FIXME|XXX|HACK)\b|keep in sync|\b(sig)?(set|long)jmp\b/i;
  const bad = findLines(outsideThisFile, (line, { path }) => {
    return banned.test(line) && !path.startsWith('bench/peers/');
  });
  expect(bad).toEqual([]);
});

test('tests are named by behaviour', () => {
  const name = /\b(?:TEST_CASE|test|it)\(\s*["'`]([^"'`]*)["'`]/;
  const empty = /^(basic|misc|test|works|it works|simple)?\s*(test|tests)?\s*\d*$/i;
  const bad = findLines(
    sources.filter(({ path }) => path.startsWith('test/')),
    (line) => {
      const title = name.exec(line)?.[1];
      return title !== undefined && empty.test(title);
    },
  );
  expect(bad).toEqual([]);
});

test('lock files name no download addresses', () => {
  const locks = files.filter((path) => basename(path) === 'package-lock.json');
  const bad = locks.filter((path) => readFileSync(join(root, path), 'utf8').includes('"resolved"'));
  expect(bad).toEqual([]);
});

test('npm runs nothing at installation', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    gypfile: boolean;
    scripts: Record<string, string>;
  };
  expect(manifest.gypfile).toBe(false);
  const automatic = ['preinstall', 'install', 'postinstall', 'prepare', 'prebuild', 'prepublish'];
  expect(Object.keys(manifest.scripts).filter((name) => automatic.includes(name))).toEqual([]);
});
