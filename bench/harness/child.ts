// One trial = one child process that prints one JSON object and ends. Children are killed when they
// take too long and when the bench itself is interrupted; no trial shares a process with another.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
}

/** The child could not be started, took too long, or did not end with code 0. */
export class ChildError extends Error {
  override readonly name = 'ChildError';
}

const running = new Set<ChildProcess>();

/** Ends every child that is still running, for an interrupted bench. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL');
}

// heddle's own report of a crash and npm's begin with the cause; with all others the end tells
// most.
function tellingLines(text: string): string {
  const lines = text.trim().split('\n');
  const report = lines.findIndex((line) => /^(heddle: |npm error )/.test(line));
  const telling = report >= 0 ? lines.slice(report, report + 3) : lines.slice(-3);
  return telling
    .map((line) => line.trim())
    .join(' / ')
    .slice(0, 300);
}

function ending(code: number | null, signal: string | null, stderr: string): string {
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  const said = tellingLines(stderr);
  return said === '' ? how : `${how}: ${said}`;
}

/** Runs a command to its end. Rejects with ChildError; `timeoutMs` bounds the whole run. */
export function runChild(command: Command, timeoutMs: number): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.file, command.args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...command.env },
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    });
    running.add(child);
    let stdout = '';
    let stderr = '';
    let late = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      running.delete(child);
      reject(new ChildError(`could not be started: ${error.message}`));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      if (code === 0) resolve({ stdout, stderr });
      else if (late) reject(new ChildError(`gave no result within ${timeoutMs / 1000} s`));
      else reject(new ChildError(ending(code, signal, stderr)));
    });
  });
}
