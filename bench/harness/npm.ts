// Installs the peers that come from npm, into bench/peers/node_modules, when a bench first needs
// them. The lock file beside them says what exactly; the root has none of them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runChild } from './child.js';

const kTimeoutMs = 180_000;

// Without scripts and optional parts, which nobody here needs; and without the patience of npm,
// which is minutes where there is no network.
const kFlags = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'];
const kPatience = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-timeout=30000'];

interface Manifest {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Whether each dependency of `folder` is there, in its pinned version. */
function isInstalled(folder: string): boolean {
  const wanted = Object.entries(manifestIn(folder).dependencies ?? {});
  try {
    return wanted.every(
      ([name, version]) => manifestIn(join(folder, 'node_modules', name)).version === version,
    );
  } catch {
    return false;
  }
}

/** Answers why the dependencies of `folder` are missing, or undefined. Does nothing twice. */
export async function installPeers(folder: string): Promise<string | undefined> {
  if (isInstalled(folder)) return undefined;
  try {
    const args = ['ci', '--prefix', folder, ...kFlags, ...kPatience];
    await runChild({ file: 'npm', args, cwd: folder }, kTimeoutMs);
  } catch (error) {
    const { message } = error as Error;
    if (message.includes('ENOENT')) return 'no `npm` on PATH';
    return `its installation by npm ${message}`;
  }
  return isInstalled(folder) ? undefined : 'npm installed another version than package.json names';
}
