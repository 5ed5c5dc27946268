// Finds out which peers this machine has, and builds or installs those that need it.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ChildError, runChild } from './child.js';
import { installPeers } from './npm.js';
import * as paths from './paths.js';
import { kNpmPeers } from './types.js';
import type { Machine, Peer } from './types.js';

/** For each peer that takes part, undefined if it can run, else the reason why not. */
export type Availability = ReadonlyMap<Peer, string | undefined>;

const kBuildTimeoutMs = 180_000;

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Builds the Go peer from its sources; nothing is downloaded, whatever go.mod or GOTOOLCHAIN say.
 */
async function buildGo(machine: Machine): Promise<string | undefined> {
  if (machine.go === null) return 'no `go` on PATH';
  const env: Record<string, string> = {
    GOTOOLCHAIN: 'local',
    GOPROXY: 'off',
    GOWORK: 'off',
    GOFLAGS: '-mod=mod',
    CGO_ENABLED: '0',
  };
  if (process.env['HOME'] === undefined) env['GOCACHE'] = `${dirname(paths.goBinary)}/go-cache`;
  try {
    await mkdir(dirname(paths.goBinary), { recursive: true });
    const args = ['build', '-trimpath', '-o', paths.goBinary, '.'];
    await runChild({ file: 'go', args, env, cwd: paths.goSources }, kBuildTimeoutMs);
    return undefined;
  } catch (error) {
    return `its build ${reasonOf(error)}`;
  }
}

/** Builds a peer with the system's compiler and the headers that the system has. */
async function compile(
  compiler: string,
  flags: readonly string[],
  source: string,
  binary: string,
): Promise<string | undefined> {
  try {
    await mkdir(dirname(binary), { recursive: true });
    const args = [...flags, '-O2', '-Wfatal-errors', '-o', binary, source];
    await runChild({ file: compiler, args }, kBuildTimeoutMs);
    return undefined;
  } catch (error) {
    const reason = reasonOf(error);
    if (reason.includes('ENOENT')) return `no \`${compiler}\` on PATH`;
    // In the words of the source, whose first error that is.
    return /"(no concurrentqueue\.h [^"]*)"/.exec(reason)?.[1] ?? `its build ${reason}`;
  }
}

async function findPython(): Promise<string | undefined> {
  try {
    await runChild({ file: 'python3', args: ['-c', 'import asyncio'] }, 20_000);
    return undefined;
  } catch (error) {
    const missing = error instanceof ChildError && error.message.includes('ENOENT');
    return missing ? 'no `python3` on PATH' : `python3 ${reasonOf(error)}`;
  }
}

/** One installation for all that come from npm: a network that is missing is waited for once. */
let installation: Promise<string | undefined> | undefined;

async function find(peer: Peer, machine: Machine): Promise<string | undefined> {
  if (peer === 'go') return buildGo(machine);
  if (peer === 'python') return findPython();
  if (peer === 'moodycamel') {
    const flags = ['-std=c++17', '-pthread'];
    return compile('c++', flags, paths.moodycamelSource, paths.moodycamelBinary);
  }
  if (peer === 'epoll') return compile('cc', [], paths.epollSource, paths.epollBinary);
  if (!kNpmPeers.some((name) => name === peer)) return undefined;
  return (installation ??= installPeers(paths.npmPeers));
}

/** Looks for every wanted peer out of `taking`; one not asked for is "not in --peers". */
export async function findPeers(
  taking: Iterable<Peer>,
  wanted: ReadonlySet<Peer>,
  machine: Machine,
  onLook?: (peer: Peer) => void,
): Promise<Availability> {
  const found = new Map<Peer, string | undefined>();
  for (const peer of taking) {
    onLook?.(peer);
    found.set(peer, wanted.has(peer) ? await find(peer, machine) : 'not in --peers');
  }
  return found;
}
