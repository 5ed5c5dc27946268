// The results as tables for a terminal. Colours follow NO_COLOR and are left out of pipes.
import Table from 'cli-table3';
import pc from 'picocolors';
import { isFailed } from '../harness/types.js';
import type { Machine, Metric } from '../harness/types.js';
import { formatCount, formatCountOf, formatNumber, formatRatio } from './format.js';
import type { Line, Section } from './sections.js';

// Rules between head and body only: many small tables are read as one page.
const kChars = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

export interface Look {
  readonly color: boolean;
}

type Cell = string | { content: string; colSpan?: number; hAlign?: 'left' | 'right' };

function right(content: string): Cell {
  return { content, hAlign: 'right' };
}

function cellsOf(line: Line, section: Section, colors: ReturnType<typeof pc.createColors>): Cell[] {
  const { row } = line;
  const ours = row.impl.startsWith('heddle');
  const name = ours ? colors.bold(row.impl) : row.impl;
  const own = row.n === undefined ? '' : colors.dim(` (n=${formatCount(row.n)})`);
  const head: Cell[] = [name + own];
  if (isFailed(row)) {
    // A short word in the table, the reason below it: a long cell would stretch every column.
    const content = colors.yellow(row.failed.split(':')[0]);
    return [...head, { content, colSpan: 5 + section.extras.length, hAlign: 'left' }];
  }
  const whole = section.metric.whole;
  const median = formatNumber(row.median, whole);
  const cell = (value: number | undefined, metric: Metric): Cell =>
    right(value === undefined ? '' : formatNumber(value, metric.whole));
  return [
    ...head,
    right(ours ? colors.bold(median) : median),
    right(formatNumber(row.min, whole)),
    right(formatNumber(row.max, whole)),
    right(String(row.runs)),
    right(formatRatio(line.ratio)),
    ...line.extras.map((value, index) => cell(value, section.extras[index]!)),
  ];
}

/** One section as text: a title, the rows by count, and who was skipped and why. */
export function renderSection(section: Section, counts: string, look: Look): string {
  const colors = pc.createColors(look.color);
  const { metric } = section;
  const title = `${section.scenario}: ${metric.text} (${metric.better} is better)`;
  const against = section.baseline === undefined ? '' : `vs ${section.baseline}`;
  const heads = [counts, '', 'median', 'min', 'max', 'runs', against];
  const table = new Table({
    chars: kChars,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    head: [...heads, ...section.extras.map((extra) => extra.text)].map((head) => colors.dim(head)),
    colAligns: ['right', 'left', ...Array<'right'>(5 + section.extras.length).fill('right')],
  });
  let last: number | undefined;
  for (const line of section.lines) {
    const count = line.n === last ? '' : formatCountOf(section.scenario, line.n);
    last = line.n;
    table.push([count, ...cellsOf(line, section, colors)]);
  }
  const notes = [...failures(section), ...skips(section)];
  const tail = notes.length === 0 ? '' : `${colors.dim(notes.join('\n'))}\n`;
  return `\n${colors.bold(title)}\n${trimLines(table.toString())}\n${tail}`;
}

function failures(section: Section): string[] {
  const rows = section.lines.map((line) => line.row).filter(isFailed);
  return [...new Set(rows.map(({ impl, failed }) => `${impl} ${failed}`))];
}

function skips(section: Section): string[] {
  return section.skipped.map(({ impl, reason }) => `skipped ${impl}: ${reason}`);
}

function trimLines(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** One line about the machine. */
export function renderMachine(machine: Machine): string {
  const go = machine.go === null ? 'no Go' : `Go ${machine.go}`;
  const cores = `${machine.cores} core${machine.cores === 1 ? '' : 's'}`;
  return `${machine.cpu}, ${cores}, Linux ${machine.kernel}, Node ${machine.node}, ${go}`;
}
