// Resident memory of this process, counted as every peer of the bench counts it: RSS plus page
// tables.
import { readFileSync } from 'node:fs';

/** Page tables of this process in bytes (VmPTE). */
export function pageTables(): number {
  const found = /VmPTE:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}

/** Resident set of this process in bytes, page tables included. */
export function residentBytes(): number {
  return process.memoryUsage.rss() + pageTables();
}

/** Frees what V8 can free; the trial child runs with --expose-gc. */
export function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}
