// Runs a program for a script and fails with what it printed.
import { spawn } from 'node:child_process';

// Resolves with the exit code and the collected output. `quiet` prints output only on failure,
// otherwise it goes to `sink` as it comes. A failure throws unless `allowFailure`. Lines go to
// stderr by default, because stdout may belong to `heddle bench --json`.
export function run(command, args, options = {}) {
  const { quiet = false, allowFailure = false, sink = process.stderr, ...spawnOptions } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...spawnOptions });
    let output = '';
    const take = (chunk) => {
      output += chunk;
      if (!quiet) sink.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.once('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0 || allowFailure) return resolve({ code: code ?? 1, signal, output });
      if (quiet) sink.write(output);
      reject(new Error(`${command} ${args[0] ?? ''} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}
