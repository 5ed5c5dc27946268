// Turns a trial into a command line, runs it, and checks what it answers.
import { ChildError, runChild } from './child.js';
import type { Command } from './child.js';
import { goBinary, moodycamelBinary, pythonProgram, trialProgram } from './paths.js';
import type { Output, Trial } from './types.js';

/** Carries one trial out. The bench uses `runTrial`; tests put a fake in its place. */
export type Runner = (trial: Trial) => Promise<Output>;

// Far above any honest trial here (1M goroutines take 8 s), far below the patience of a user.
const kTrialTimeoutMs = 90_000;

/** The command that carries a trial out. */
export function commandOf(trial: Trial): Command {
  switch (trial.program) {
    case 'go':
      // go.mod names an old Go so that old toolchains can build it; the timers are today's.
      return {
        file: goBinary,
        args: [trial.name, JSON.stringify(trial.params)],
        env: { GODEBUG: 'asynctimerchan=0' },
      };
    case 'python':
      return { file: 'python3', args: [pythonProgram, trial.name, JSON.stringify(trial.params)] };
    case 'moodycamel': {
      const params = Object.entries(trial.params).map(([key, value]) => `${key}=${value}`);
      return { file: moodycamelBinary, args: [trial.name, ...params] };
    }
    default:
      return {
        file: process.execPath,
        args: ['--expose-gc', trialProgram, JSON.stringify(trial)],
      };
  }
}

function parseOutput(stdout: string): Output {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    throw new ChildError(`expected one JSON object, got ${JSON.stringify(stdout.slice(0, 80))}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ChildError(`expected one JSON object, got ${stdout.slice(0, 80)}`);
  }
  return value as Output;
}

/** Runs a trial in a process of its own. Rejects with ChildError. */
export const runTrial: Runner = async (trial) => {
  const { stdout } = await runChild(commandOf(trial), kTrialTimeoutMs);
  return parseOutput(stdout);
};
