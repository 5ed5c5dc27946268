// Finds the headers of the Node that runs this script, so that node-gyp never downloads any.
// Whatever is found must have the version of the running Node: other headers build an addon that
// may load and then misbehave.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

export class BuildError extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

export function checkPlatform(platform = process.platform, arch = process.arch) {
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64')) return;
  throw new BuildError(
    'ERR_HEDDLE_PLATFORM',
    `expected linux on x64 or arm64, got ${platform} on ${arch}. ` +
      'Build on one of those, for example in a Linux container.',
  );
}

// The version that the headers below `prefix` declare ("v20.20.2"), or undefined without headers.
// Libraries built with Debian's node keep common.gypi here too; node-gyp needs it.
export function headersVersion(prefix) {
  const include = join(prefix, 'include', 'node');
  const versionFile = join(include, 'node_version.h');
  if (!existsSync(versionFile) || !existsSync(join(include, 'common.gypi'))) return undefined;
  const text = readFileSync(versionFile, 'utf8');
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  return `v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`;
}

// Installs the npm package that carries headers for exactly this Node, away from the root's
// node_modules, where its `node` would shadow the one that runs our scripts.
async function installHeaders(version) {
  const cache = join(root, 'build', 'node-headers');
  const name = `node-linux-${process.arch}`;
  const prefix = join(cache, 'node_modules', name);
  if (headersVersion(prefix) === version) return prefix;
  console.error(`headers: none beside ${process.execPath}, installing ${name}@${version.slice(1)}`);
  const npm = process.env.npm_execpath;
  const [command, ...first] = npm ? [process.execPath, npm] : ['npm'];
  const options = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];
  const spec = `${name}@${version.slice(1)}`;
  await run(command, [...first, 'install', '--prefix', cache, ...options, spec], { quiet: true });
  return prefix;
}

// Returns a prefix for node-gyp's --nodedir: <prefix>/include/node/node_api.h exists.
export async function findNodeHeaders(version = process.version) {
  const beside = resolve(dirname(process.execPath), '..');
  const seen = [];
  for (const prefix of new Set([beside, '/usr'])) {
    const found = headersVersion(prefix);
    if (found === version) return prefix;
    seen.push(`${prefix}/include/node has ${found ?? 'none'}`);
  }
  try {
    const prefix = await installHeaders(version);
    const found = headersVersion(prefix);
    if (found === version) return prefix;
    seen.push(`${prefix} has ${found ?? 'none'}`);
  } catch (error) {
    seen.push(`npm package node-linux-${process.arch}: ${error.message.split('\n')[0]}`);
  }
  throw new BuildError(
    'ERR_HEDDLE_NODE_HEADERS',
    `expected the headers of Node ${version}, got: ${seen.join('; ')}. ` +
      'Install Node from its official archive (it contains include/node) or the development ' +
      'package of your distribution in the same version, or allow npm to reach its registry.',
  );
}
