// Finds out which peers this machine has, and builds those that need it.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ChildError, runChild } from './child.js';
import { goBinary, goSources, moodycamelBinary, moodycamelSource } from './paths.js';
import { kPeers } from './types.js';
import type { Machine, Peer } from './types.js';

/** For each peer, undefined if it can run, else the reason why not. */
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
  if (process.env['HOME'] === undefined) env['GOCACHE'] = `${dirname(goBinary)}/go-cache`;
  try {
    await mkdir(dirname(goBinary), { recursive: true });
    const args = ['build', '-trimpath', '-o', goBinary, '.'];
    await runChild({ file: 'go', args, env, cwd: goSources }, kBuildTimeoutMs);
    return undefined;
  } catch (error) {
    return `its build ${reasonOf(error)}`;
  }
}

/** Builds the C++ peer with the system's compiler and the header that the system has. */
async function buildMoodycamel(): Promise<string | undefined> {
  const flags = ['-std=c++17', '-O2', '-pthread', '-Wfatal-errors', '-o', moodycamelBinary];
  try {
    await mkdir(dirname(moodycamelBinary), { recursive: true });
    await runChild({ file: 'c++', args: [...flags, moodycamelSource] }, kBuildTimeoutMs);
    return undefined;
  } catch (error) {
    const reason = reasonOf(error);
    if (reason.includes('ENOENT')) return 'no `c++` on PATH';
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

/** Looks for every wanted peer; one that was not asked for is "not in --peers". */
export async function findPeers(
  wanted: ReadonlySet<Peer>,
  machine: Machine,
): Promise<Availability> {
  const found = new Map<Peer, string | undefined>();
  for (const peer of kPeers) {
    if (!wanted.has(peer)) found.set(peer, 'not in --peers');
    else if (peer === 'go') found.set(peer, await buildGo(machine));
    else if (peer === 'python') found.set(peer, await findPython());
    else if (peer === 'moodycamel') found.set(peer, await buildMoodycamel());
    else found.set(peer, undefined);
  }
  return found;
}
