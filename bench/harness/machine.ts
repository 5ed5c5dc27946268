// What the numbers were measured on.
import { availableParallelism, cpus, release } from 'node:os';
import { runChild } from './child.js';
import type { Machine } from './types.js';

/** Version of the `go` on PATH as "1.26.8", or null. */
export async function goVersion(): Promise<string | null> {
  try {
    const command = { file: 'go', args: ['version'], env: { GOTOOLCHAIN: 'local' } };
    const { stdout } = await runChild(command, 20_000);
    return /go(\d+(?:\.\d+)*\S*)/.exec(stdout.replace('go version', ''))?.[1] ?? null;
  } catch {
    return null;
  }
}

export async function machineInfo(): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    kernel: release(),
    node: process.versions.node,
    go: await goVersion(),
  };
}
