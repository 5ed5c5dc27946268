// A server that echoes, in a process of its own, and clients that drive it in another: the CPU time
// of the server for each round trip, as the system counts it, the same for every server.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { echoServer, epollBinary, goBinary } from './paths.js';
import type { Output, Params } from './types.js';

const kTicksPerSecond = 100; // USER_HZ, the same on every Linux
const kTaskset = '/usr/bin/taskset';

const commands: Record<string, readonly [file: string, ...args: string[]]> = {
  heddle: [process.execPath, echoServer, 'heddle'],
  'node:net': [process.execPath, echoServer, 'node:net'],
  go: [goBinary, 'echo', '{}'],
  epoll: [epollBinary, 'serve'],
};

/** On a CPU of its own, if there are enough of them. */
function start(cpu: number, [file, ...args]: readonly [string, ...string[]]): ChildProcess {
  const isPinned = availableParallelism() > 1 && existsSync(kTaskset);
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  return isPinned
    ? spawn(kTaskset, ['-c', String(cpu), file, ...args], { stdio: [...stdio] })
    : spawn(file, args, { stdio: [...stdio] });
}

/** Lines of its output; fails when it ends before. */
function linesOf(child: ChildProcess, name: string): () => Promise<string> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async () => {
    const next = (await lines.next()) as IteratorResult<string, undefined>;
    if (next.done) throw new Error(`${name} ended before it answered`);
    return next.value;
  };
}

function cpuUs(pid: number): number {
  // The name of the program, in brackets, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / kTicksPerSecond) * 1e6;
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** `server`: a key of `commands`; `n`: connections; `ms`: how long is measured. */
async function echo(params: Params): Promise<Output> {
  const n = Number(params['n']);
  const name = String(params['server']);
  const server = start(0, commands[name]!);
  try {
    const port = await linesOf(server, name)();
    const pid = server.pid!;
    const before = residentBytes(pid);
    const drive = ['drive', `port=${port}`, `connections=${n}`, `ms=${Number(params['ms'])}`];
    const clients = start(1, [epollBinary, ...drive]);
    const line = linesOf(clients, 'epoll-peer, whose message is above,');
    await line(); // all are open
    await line(); // and warm
    const began = cpuUs(pid);
    const growth = (residentBytes(pid) - before) / n;
    const result = JSON.parse(await line()) as { roundTrips: number; ns: number };
    const us = (cpuUs(pid) - began) / result.roundTrips;
    return { us, growth, perSecond: result.roundTrips / (result.ns / 1e9) };
  } finally {
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }
}

export const benchmarks = { echo };
