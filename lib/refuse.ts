import { describe, HeddleError } from './errors.js';

/** An option or argument outside its range. */
export function refuse(option: string, expected: string, got: unknown): never {
  throw new HeddleError(
    'ERR_HEDDLE_OPTION',
    `${option}: expected ${expected}, got ${describe(got)}`,
  );
}

/** A whole number within the range, or a typed error. */
export function wholeNumber(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    refuse(name, `an integer from ${least} to ${most}`, value);
  }
  return value;
}

/** A promise that is rejected with whatever the user has given as the reason. */
export function rejected(reason: unknown): Promise<never> {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the user's own
  return Promise.reject(reason);
}
