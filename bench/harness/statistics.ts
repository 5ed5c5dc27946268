// Summaries of repeated measurements. Medians are what is compared; min and max say how far to
// trust them.
import type { MeasuredRow, Row } from './types.js';
import { isFailed } from './types.js';

/** The middle value, or the mean of the two middle ones. Throws on an empty list or a NaN. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('expected at least one value, got none');
  const unusable = values.find((value) => !Number.isFinite(value));
  if (unusable !== undefined) throw new RangeError(`expected finite values, got ${unusable}`);
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
}

/** The row of one implementation, from all of its runs. */
export function summarize(impl: string, values: readonly number[], n?: number): MeasuredRow {
  const row = {
    impl,
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    runs: values.length,
  };
  return n === undefined ? row : { ...row, n };
}

/** The index of the value nearest to the median: the run that is shown where only one can be. */
export function typicalIndex(values: readonly number[]): number {
  const center = median(values);
  let best = 0;
  values.forEach((value, index) => {
    if (Math.abs(value - center) < Math.abs(values[best]! - center)) best = index;
  });
  return best;
}

const kBaselines = ['heddle fiber', 'heddle standard', 'heddle'];

/** The row that ratios refer to: the default configuration of heddle, if it was measured. */
export function baseline(rows: readonly Row[]): MeasuredRow | undefined {
  const measured = rows.filter((row): row is MeasuredRow => !isFailed(row));
  for (const impl of kBaselines) {
    const found = measured.find((row) => row.impl === impl);
    if (found) return found;
  }
  return undefined;
}

/** How many times the baseline's median a row's is; undefined where that says nothing. */
export function ratio(row: Row, base: MeasuredRow | undefined): number | undefined {
  if (base === undefined || isFailed(row) || base.median <= 0) return undefined;
  return row.median / base.median;
}
