// Groups the results of a scenario into tables: one per first metric, its other metrics as columns.
import { baseline, ratio } from '../harness/statistics.js';
import { isFailed } from '../harness/types.js';
import type { GroupResult, Metric, Output, Row, Skipped } from '../harness/types.js';

export interface Line {
  /** The group's count. */
  readonly n: number;
  readonly row: Row;
  readonly ratio: number | undefined;
  /** Medians of the section's other metrics, in order. */
  readonly extras: readonly (number | undefined)[];
}

export interface Section {
  readonly scenario: string;
  readonly metric: Metric;
  /** The metrics of the extra columns; those that no row has are left out. */
  readonly extras: readonly Metric[];
  readonly lines: readonly Line[];
  readonly skipped: readonly Skipped[];
  /** Name of the row that ratios refer to. */
  readonly baseline: string | undefined;
  /** What is drawn beyond numbers: the typical output by count and implementation. */
  readonly typical: ReadonlyMap<number, ReadonlyMap<string, Output>>;
}

function medianOf(group: GroupResult, metric: Metric, impl: string): number | undefined {
  const result = group.results[group.metrics.indexOf(metric)];
  const row = result?.rows.find((candidate) => candidate.impl === impl);
  return row === undefined || isFailed(row) ? undefined : row.median;
}

function usedExtras(groups: readonly GroupResult[]): Metric[] {
  const used = new Map<string, Metric>();
  for (const group of groups) {
    for (const metric of group.metrics.slice(1)) {
      const rows = group.results[group.metrics.indexOf(metric)]?.rows ?? [];
      if (rows.some((row) => !isFailed(row))) used.set(metric.text, metric);
    }
  }
  return [...used.values()];
}

function linesOf(group: GroupResult, extras: readonly Metric[]): Line[] {
  const rows = group.results[0]!.rows;
  const base = baseline(rows);
  const own = extras.map((extra) => group.metrics.find((metric) => metric.text === extra.text));
  return rows.map((row) => ({
    n: group.n,
    row,
    ratio: group.metrics[0]!.total && row.n !== undefined ? undefined : ratio(row, base),
    extras: own.map((metric) => metric && medianOf(group, metric, row.impl)),
  }));
}

function skippedOf(groups: readonly GroupResult[]): Skipped[] {
  const seen = new Map<string, Skipped>();
  for (const group of groups) {
    for (const skip of group.results[0]!.skipped) seen.set(`${skip.impl}\n${skip.reason}`, skip);
  }
  return [...seen.values()];
}

/** The tables of some groups, in the order in which their first metrics appear. */
export function sectionsOf(groups: readonly GroupResult[]): Section[] {
  const byMetric = new Map<string, GroupResult[]>();
  for (const group of groups) {
    const key = `${group.scenario}\n${group.metrics[0]!.text}`;
    byMetric.set(key, [...(byMetric.get(key) ?? []), group]);
  }
  return [...byMetric.values()].map((members): Section => {
    const extras = usedExtras(members);
    const lines = members.flatMap((group) => linesOf(group, extras));
    return {
      scenario: members[0]!.scenario,
      metric: members[0]!.metrics[0]!,
      extras,
      lines,
      skipped: skippedOf(members),
      baseline: lines.find((line) => line.ratio === 1)?.row.impl,
      typical: new Map(members.map((group) => [group.n, group.typical])),
    };
  });
}
