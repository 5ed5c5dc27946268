// Mistakes on the command line: what was expected, what came, and what to type instead.
import { InvalidArgumentError } from 'commander';

/** The exit codes of every command. */
export const kExit = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** A mistake of the caller; printed without a stack, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';

  constructor(expected: string, got: string, remedy: string) {
    super(`expected ${expected}, got ${got}; ${remedy}`);
  }
}

/** For commander: a whole number of 1 or more, in digits. */
export function parseCount(limit: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= 1 && value <= limit) return value;
    const range = `a whole number from 1 to ${limit.toLocaleString('en-US')}`;
    throw new InvalidArgumentError(`Expected ${range}, got '${text}'; write it in plain digits.`);
  };
}

/** Names out of a fixed set, or a UsageError that lists the set. */
export function chooseFrom<T extends string>(
  what: string,
  names: readonly string[],
  known: readonly T[],
): T[] {
  return names.map((name) => {
    const found = known.find((candidate) => candidate === name);
    if (found !== undefined) return found;
    const near = known.find((candidate) => candidate.startsWith(name.slice(0, 2)));
    const hint = near === undefined ? 'see `heddle bench --help`' : `did you mean ${near}?`;
    throw new UsageError(`${what} out of ${known.join(', ')}`, `'${name}'`, hint);
  });
}
