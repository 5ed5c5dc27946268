// The parts of the bench: statistics, the order of trials, what becomes of outputs, and the report.
import { describe, expect, test } from 'vitest';
import { ChildError, runChild } from '../../bench/harness/child.js';
import { admit, runGroup } from '../../bench/harness/run.js';
import { alternate } from '../../bench/harness/schedule.js';
import { baseline, median, ratio } from '../../bench/harness/statistics.js';
import { summarize, typicalIndex } from '../../bench/harness/statistics.js';
import type { Entrant, Group, Machine, Metric, Output, Peer } from '../../bench/harness/types.js';
import { formatBytes, formatDuration, formatNumber } from '../../bench/report/format.js';
import { formatCountOf, formatRatio } from '../../bench/report/format.js';
import { renderReport } from '../../bench/report/html.js';
import { sectionsOf } from '../../bench/report/sections.js';
import { renderMachine, renderSection } from '../../bench/report/terminal.js';
import { scenarios } from '../../bench/scenarios/index.js';
import { rejectionOf } from './support.js';

const machine: Machine = { cpu: 'A <fast> CPU', cores: 2, kernel: '6.1', node: '20.1.0', go: null };

function entrant(impl: string, peer: Peer | 'heddle' = 'heddle', n?: number): Entrant {
  const trial = { program: 'native', name: impl, params: {} } as const;
  return n === undefined ? { impl, peer, trial } : { impl, peer, trial, n };
}

const group: Group = {
  n: 1_000,
  metrics: [
    { text: 'ns per thing', better: 'lower', key: 'ns' },
    { text: 'kB per thing', better: 'lower', key: 'bytes', scale: 1e-3 },
  ],
  entrants: [entrant('heddle fiber'), entrant('go goroutine', 'go'), entrant('pthread', 'threads')],
  absent: [{ impl: 'js promise', reason: 'has no such thing' }],
};

/** A runner that answers one prepared output after the other. */
function answering(outputs: Record<string, (Output | Error)[]>) {
  const asked: string[] = [];
  const runner = ({ name }: { name: string }): Promise<Output> => {
    asked.push(name);
    const next = outputs[name]!.shift()!;
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  return { asked, runner };
}

const withoutGo = new Map<Peer, string | undefined>([['go', 'no `go` on PATH']]);

describe('statistics', () => {
  test('the median is the middle, or the mean of the two in the middle', () => {
    expect(median([3])).toBe(3);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([10, 9, 100])).toBe(10);
    const values = [2, 1];
    median(values);
    expect(values).toEqual([2, 1]);
  });

  test.each([[[]], [[1, NaN]], [[Infinity, 1]]])('there is no median of %j', (values) => {
    expect(() => median(values)).toThrow(RangeError);
  });

  test('a row has the median, the extremes and the runs', () => {
    expect(summarize('x', [3, 1, 2])).toEqual({ impl: 'x', median: 2, min: 1, max: 3, runs: 3 });
    expect(summarize('x', [5], 20)).toEqual({
      impl: 'x',
      median: 5,
      min: 5,
      max: 5,
      runs: 1,
      n: 20,
    });
  });

  test('the typical run is the one nearest to the median', () => {
    expect(typicalIndex([10, 1, 6, 5])).toBe(2);
    expect(typicalIndex([7])).toBe(0);
  });

  test('ratios refer to the default configuration of heddle', () => {
    const rows = ['go goroutine', 'heddle compact', 'heddle', 'heddle fiber'].map((impl, i) =>
      summarize(impl, [i + 1]),
    );
    const base = baseline(rows);
    expect(base?.impl).toBe('heddle fiber');
    expect(rows.map((row) => ratio(row, base))).toEqual([0.25, 0.5, 0.75, 1]);
    expect(baseline(rows.slice(0, 2))).toBe(undefined);
    expect(baseline([{ impl: 'heddle fiber', failed: 'failed at 5: words' }])).toBe(undefined);
    expect(ratio({ impl: 'x', failed: 'words' }, base)).toBe(undefined);
    expect(ratio(rows[0]!, summarize('heddle', [0]))).toBe(undefined);
  });

  test('numbers keep three digits that say something', () => {
    const table: [number, string][] = [
      [0, '0'],
      [0.0123, '0.012'],
      [0.456, '0.46'],
      [3.214, '3.21'],
      [45.67, '45.7'],
      [456.7, '457'],
      [1234.5, '1,235'],
    ];
    for (const [value, text] of table) expect(formatNumber(value)).toBe(text);
    expect([formatBytes(4096), formatBytes(1.5 * 2 ** 20)]).toEqual(['4 KiB', '1.50 MiB']);
    expect([formatCountOf('stack', 65_536), formatCountOf('spawn', 65_536)]).toEqual([
      '64 KiB',
      '65,536',
    ]);
    expect([formatRatio(undefined), formatRatio(1), formatRatio(2.345)]).toEqual([
      '',
      '1×',
      '2.35×',
    ]);
    expect([formatDuration(5.4), formatDuration(125)]).toEqual(['5 s', '2 min 5 s']);
  });
});

describe('the trials of a group', () => {
  test('alternate, and nobody is always first', () => {
    const order = alternate([entrant('a'), entrant('b'), entrant('c')], 3);
    expect(order.map(({ entrant: { impl }, run }) => `${impl}${run}`)).toEqual(
      'a0 b0 c0 b1 c1 a1 c2 a2 b2'.split(' '),
    );
  });

  test('leave out the peers that are missing, with the reason', () => {
    const { entrants, skipped } = admit(group, withoutGo);
    expect(entrants.map(({ impl }) => impl)).toEqual(['heddle fiber', 'pthread']);
    expect(skipped).toEqual([
      { impl: 'go goroutine', reason: 'no `go` on PATH' },
      { impl: 'js promise', reason: 'has no such thing' },
    ]);
  });

  test('give a result per metric, in its unit', async () => {
    const { asked, runner } = answering({
      'heddle fiber': [
        { ns: 1, bytes: 2_000 },
        { ns: 3, bytes: 4_000 },
      ],
      pthread: [{ ns: 10 }, { ns: 30 }],
    });
    const steps: string[] = [];
    const { results, typical } = await runGroup('spawn', group, {
      runs: 2,
      runner,
      available: withoutGo,
      onStep: ({ impl, run, runs, n }) => steps.push(`${impl} ${run}/${runs} n=${n}`),
    });
    expect(asked).toEqual(['heddle fiber', 'pthread', 'pthread', 'heddle fiber']);
    expect(steps[2]).toBe('pthread 2/2 n=1000');
    const same = { scenario: 'spawn', better: 'lower', n: 1_000, skipped: results[0]!.skipped };
    expect(results).toEqual([
      {
        ...same,
        metric: 'ns per thing',
        rows: [
          { impl: 'heddle fiber', median: 2, min: 1, max: 3, runs: 2 },
          { impl: 'pthread', median: 20, min: 10, max: 30, runs: 2 },
        ],
      },
      {
        ...same,
        metric: 'kB per thing',
        rows: [{ impl: 'heddle fiber', median: 3, min: 2, max: 4, runs: 2 }],
      },
    ]);
    expect([...typical.keys()]).toEqual(['heddle fiber', 'pthread']);
  });

  test('of one that is refused or crashes end, and its row says why', async () => {
    const { asked, runner } = answering({
      'heddle fiber': [{ ns: 1 }, { ns: 1 }],
      pthread: [{ ns: 1, failedAt: 12_345, reason: 'EAGAIN' }],
      'go goroutine': [new ChildError('was ended by SIGKILL')],
    });
    const settings = { runs: 2, runner, available: new Map<Peer, undefined>() };
    const { results } = await runGroup('spawn', group, settings);
    expect(asked.filter((name) => name !== 'heddle fiber')).toEqual(['go goroutine', 'pthread']);
    expect(results[0]!.rows.slice(1)).toEqual([
      { impl: 'go goroutine', failed: 'failed: the process was ended by SIGKILL' },
      { impl: 'pthread', failed: 'failed at 12,345: EAGAIN' },
    ]);
  });

  test('of a bench that is itself at fault reject', async () => {
    const fault = new TypeError('the bench is wrong');
    const { runner } = answering({ 'heddle fiber': [fault] });
    const settings = { runs: 1, runner, available: withoutGo };
    expect(await rejectionOf(runGroup('spawn', group, settings))).toBe(fault);
  });

  test('run in children that are killed when they are late, and say how they ended', async () => {
    const node = (code: string) => ({ file: process.execPath, args: ['-e', code] });
    expect((await runChild(node('console.log(1)'), 20_000)).stdout).toBe('1\n');
    const table: [() => Promise<unknown>, string][] = [
      [() => runChild(node('setInterval(() => {}, 1000)'), 50), 'gave no result within 0.05 s'],
      [
        () => runChild(node('console.error("words"); process.exit(3)'), 20_000),
        'exit code 3: words',
      ],
      [
        () => runChild(node('process.kill(process.pid, "SIGTERM")'), 20_000),
        'was ended by SIGTERM',
      ],
      [() => runChild({ file: '/nowhere/program', args: [] }, 20_000), 'could not be started'],
    ];
    for (const [run, words] of table) {
      const error = await rejectionOf(run());
      expect(error).toBeInstanceOf(ChildError);
      expect((error as Error).message).toContain(words);
    }
  });
});

describe('scenarios', () => {
  const plans = [
    { quick: false, processors: 2 },
    { quick: true, processors: 2 },
    { quick: true, processors: 1, n: 500 },
  ];
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    '%s has groups in which heddle takes part, under names of the contract',
    (_, scenario) => {
      const ours = 'heddle( fiber| compact| standard)?';
      const peers = 'pthread|js promise|node worker|go|python|moodycamel|messageport';
      const impl = new RegExp(
        `^(${ours}|${peers}|piscina|tinypool|workerpool|node:net|epoll c)\\b`,
      );
      for (const plan of plans) {
        const groups = scenario.groups(plan);
        expect(groups.length).toBeGreaterThan(0);
        for (const each of groups) {
          expect(each.entrants.some(({ peer }) => peer === 'heddle')).toBe(true);
          for (const row of each.entrants) expect(row.impl).toMatch(impl);
          if (plan.n !== undefined && scenario.takesN) expect(each.n).toBe(plan.n);
        }
      }
    },
  );

  test('have the metrics of the contract, word for word', () => {
    const texts = scenarios.flatMap((scenario) =>
      scenario.groups(plans[0]!).map((each) => `${scenario.name}: ${each.metrics[0].text}`),
    );
    for (const text of [
      'create: ms to create n and have all started',
      'spawn: ns per spawn+run+exit',
      'spawn: ns per spawn+park+exit',
      'spawn: ns per spawn from JavaScript',
      'memory: bytes per parked unit',
      'switch: ns per yield',
      'stack: ns per create',
      'timer: ms total, n sleeping 1 ms',
      'timer: ns per arm+cancel',
      'preempt: ms worst delay beside a spinner',
      'pingpong: ns per round trip',
      'channel: ns per item 1:1, P=1',
      'channel: ns per item 1:1, P=2',
      'channel: ns per item 4:1, P=1',
      'channel: ns per item 4:1, P=2',
      'channel: ns per item 4:4, P=1',
      'channel: ns per item 4:4, P=2',
      'select: ns per select of 2',
      'tasks: tasks per second in flight n',
      'tasks: us per task alone hot',
      'tasks: us per task alone cold',
      'tasks: us per task with 1 KiB of bytes',
      'tasks: us per task with 1 MiB of bytes',
    ]) {
      expect(texts).toContain(text);
    }
  });
});

describe('reports', () => {
  const measured = async () => {
    const outputs = (ns: number): Output[] => [{ ns, bytes: 10 * ns }];
    const { runner } = answering({ 'heddle fiber': outputs(10), pthread: outputs(1_000) });
    const settings = { runs: 1, runner, available: withoutGo };
    return [await runGroup('spawn', group, settings)];
  };

  test('on a terminal have a row each, the ratio, and who was skipped', async () => {
    const [section] = sectionsOf(await measured());
    const text = renderSection(section!, 'units', { color: false });
    expect(text).toMatch(/^ *1,000 +heddle fiber +10\.0 +10\.0 +10\.0 +1 +1× +0\.10$/m);
    expect(text).toMatch(/^ +pthread +1,000 +1,000 +1,000 +1 +100× +10\.0$/m);
    expect(text).toContain('skipped go goroutine: no `go` on PATH');
    expect(text).not.toContain('\u001b');
    expect(renderSection(section!, 'units', { color: true })).toContain('\u001b[1m');
    expect(renderMachine(machine)).toBe('A <fast> CPU, 2 cores, Linux 6.1, Node 20.1.0, no Go');
  });

  test('as a page have charts and tables, and load nothing', async () => {
    const groups = await measured();
    const rerun = 'npx heddle bench spawn --peers "<all>"';
    const page = await renderReport({ machine, groups, scenarios, runs: 1, rerun, seconds: 61 });
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toMatch(/<svg[\s>]/);
    expect(page).toContain('<table>');
    expect(page).not.toMatch(/<script|<link|<iframe|<img|\bon\w+=|@import|url\(/i);
    const addresses = page.replace(/xmlns(:\w+)?="[^"]*"/g, '').match(/\w+:\/\/[^\s"<]*/g);
    expect(addresses).toBe(null);
    expect(page).toContain('A &lt;fast&gt; CPU');
    expect(page).toContain('npx heddle bench spawn --peers &quot;&lt;all&gt;&quot;');
    expect(page).toContain('<b>go goroutine</b> skipped: no `go` on PATH');
    expect(page).toContain('1 min 1 s');
  });

  test('draw a metric that says so in the same chart, dashed', async () => {
    const [plain, beside] = group.metrics as [Metric, Metric];
    const metrics = [plain, { ...beside, dashed: 'p99' }] as const;
    const groups = await Promise.all(
      [1, 8].map((n) => {
        const { runner } = answering({ 'heddle fiber': [{ ns: n, bytes: 10_000 * n }] });
        const own: Group = { n, metrics, entrants: [entrant('heddle fiber')] };
        return runGroup('capacity', own, { runs: 1, runner, available: withoutGo });
      }),
    );
    const input = { machine, groups, scenarios, runs: 1, rerun: 'npx heddle bench', seconds: 1 };
    const page = await renderReport(input);
    expect(page).toContain('heddle fiber, p99');
    expect(page).toContain('stroke-dasharray');
    expect(await renderReport({ ...input, groups: groups.slice(0, 1) })).not.toContain('dasharray');
  });
});
