// Charts of the report, drawn by Apache ECharts on the server side as SVG text. ECharts is not a
// dependency of the package: without it the report has its tables, and says how to get the charts.
//
// Ink and grid are drawn in placeholder colours that become CSS variables, so that one SVG is
// legible on a light and on a dark page.
import type * as ECharts from 'echarts';
import type { EChartsOption, SeriesOption } from 'echarts';
import { isFailed } from '../harness/types.js';
import type { Metric, Row } from '../harness/types.js';
import { formatCountOf, formatNumber, formatTick } from './format.js';
import type { Line, Section } from './sections.js';

/** Draws one chart as SVG text. */
export type Draw = (option: EChartsOption, height: number) => string;

const kWidth = 760;
const kInk = '#010203';
const kMuted = '#010204';
const kGrid = '#010205';
const kVariables = { [kInk]: 'var(--ink)', [kMuted]: 'var(--muted)', [kGrid]: 'var(--grid)' };
const kFont = 'Inter, system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

// Middle tones with enough contrast on white and on near-black.
const kColors: Readonly<Record<string, string>> = {
  'heddle fiber': '#0e9384',
  'heddle compact': '#0e9384',
  'heddle standard': '#58b368',
  'heddle queue': '#58b368',
  heddle: '#0e9384',
  'go goroutine': '#3f83f8',
  pthread: '#e0662d',
  'pthread queue': '#d98a4e',
  'moodycamel queue': '#c0568f',
  'js promise': '#c99a06',
  'node worker': '#9061d8',
  'python asyncio': '#a1714b',
};
const kOtherColor = '#7b8794';
const kComponentColors = ['#0e9384', '#3f83f8', '#c99a06', '#9061d8', '#e0662d', '#7b8794'];

function colorOf(impl: string): string {
  return kColors[impl] ?? kOtherColor;
}

// Without a canvas ECharts guesses widths for a narrow font; labels then overlap in a wider one.
function measureText(text: string, font = '12px'): { width: number } {
  const size = Number(/(\d+(?:\.\d+)?)px/.exec(font)?.[1] ?? 12);
  return { width: text.length * size * 0.62 };
}

/** A drawer if ECharts can be loaded, else undefined. */
export async function loadDraw(): Promise<Draw | undefined> {
  let echarts: typeof ECharts;
  try {
    echarts = await import('echarts');
  } catch {
    return undefined;
  }
  echarts.setPlatformAPI({ measureText });
  return (option, height) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: kWidth, height });
    chart.setOption({ animation: false, textStyle: { fontFamily: kFont, color: kInk }, ...option });
    let svg = chart.renderToSVGString();
    chart.dispose();
    for (const [placeholder, variable] of Object.entries(kVariables)) {
      svg = svg.replaceAll(placeholder, variable);
    }
    return svg;
  };
}

const kAxis = {
  axisLabel: { color: kMuted, fontSize: 12 },
  axisLine: { show: false, lineStyle: { color: kGrid } },
  axisTick: { show: false },
  splitLine: { show: true, lineStyle: { color: kGrid, width: 1 } },
  minorSplitLine: { show: false },
  nameTextStyle: { color: kMuted, fontSize: 12 },
} as const;

const kLegend = {
  top: 0,
  left: 0,
  textStyle: { color: kInk },
  icon: 'roundRect',
  itemWidth: 18,
  itemHeight: 8,
  itemGap: 20,
};

// Its marks are pieces of the lines themselves: they tell dashed ones from the others.
const kLegendOfLines = { ...kLegend, icon: 'inherit', itemWidth: 32 };

// Where the chart begins: ECharts makes no room for a legend that wraps into rows.
function topBelowLegend(series: readonly SeriesOption[], legend = kLegend): number {
  let rows = 1;
  let right = 0;
  for (const { name } of series) {
    const width = legend.itemWidth + 5 + measureText(String(name)).width + legend.itemGap;
    if (right > 0 && right + width > kWidth) {
      rows += 1;
      right = 0;
    }
    right += width;
  }
  return 16 + 24 * rows;
}

// A log axis needs a start below its smallest bar; whole decades read best.
function decadeBelow(values: readonly number[]): number {
  const smallest = Math.min(...values);
  const decade = 10 ** Math.floor(Math.log10(smallest));
  return smallest / decade < 1.5 ? decade / 10 : decade;
}

function nameOf(row: Row): string {
  return row.n === undefined ? row.impl : `${row.impl} (n=${row.n.toLocaleString('en-US')})`;
}

// A row that failed keeps its place: an invisible bar whose label says so.
function barOf(row: Row, metric: Metric, least: number): object {
  const label = { show: true, position: 'right', fontSize: 13 };
  if (isFailed(row)) {
    const formatter = row.failed.split(':')[0]!;
    const itemStyle = { color: 'transparent' };
    return { value: least, itemStyle, label: { ...label, color: kMuted, formatter } };
  }
  return {
    value: row.median,
    itemStyle: { color: colorOf(row.impl), borderRadius: [0, 3, 3, 0] },
    label: { ...label, color: kInk, formatter: formatNumber(row.median, metric.whole) },
  };
}

/** Horizontal bars on a logarithmic axis: every implementation at one count. */
export function drawBars(draw: Draw, section: Section, n: number): string | undefined {
  const rows = section.lines
    .filter((line) => line.n === n)
    .map((line) => line.row)
    .filter((row) => isFailed(row) || row.median > 0);
  const medians = rows.flatMap((row) => (isFailed(row) ? [] : [row.median]));
  if (medians.length === 0) return undefined;
  const min = decadeBelow(medians);
  return draw(
    {
      grid: { left: 8, right: 80, top: 8, bottom: 8, containLabel: true },
      xAxis: {
        type: 'log',
        min,
        ...kAxis,
        axisLabel: { ...kAxis.axisLabel, formatter: formatTick },
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: rows.map(nameOf),
        ...kAxis,
        axisLabel: { color: kInk, fontSize: 13 },
        splitLine: { show: false },
      },
      series: [
        {
          type: 'bar',
          barWidth: 18,
          silent: true,
          data: rows.map((row) => barOf(row, section.metric, min * 1.01)),
        },
      ],
    },
    40 + rows.length * 32,
  );
}

function implsOf(lines: readonly Line[]): string[] {
  return [...new Set(lines.map((line) => line.row.impl))];
}

function countsOf(lines: readonly Line[]): number[] {
  return [...new Set(lines.map((line) => line.n))];
}

interface Curve {
  readonly impl: string;
  readonly name: string;
  readonly kind: 'solid' | 'dashed';
  /** In the order of the counts; a logarithmic axis has no place for 0 and below. */
  readonly values: readonly (number | undefined)[];
}

/** One implementation's medians, and those of the metrics that are drawn beside them. */
function curvesOf(impl: string, lines: readonly (Line | undefined)[], section: Section): Curve[] {
  const values = lines.map((line) =>
    line === undefined || isFailed(line.row) ? undefined : line.row.median,
  );
  const dashed = section.extras.flatMap(({ dashed: name }, index): Curve[] => {
    if (name === undefined) return [];
    const extra = lines.map((line) => line?.extras[index]);
    return [{ impl, name: `${impl}, ${name}`, kind: 'dashed', values: extra }];
  });
  return [{ impl, name: impl, kind: 'solid', values }, ...dashed];
}

function seriesOf({ impl, name, kind, values }: Curve): SeriesOption[] {
  const data = values.map((value) => (value !== undefined && value > 0 ? value : null));
  if (data.every((value) => value === null)) return [];
  const color = colorOf(impl);
  return [
    {
      type: 'line',
      name,
      data,
      silent: true,
      symbol: kind === 'solid' ? 'circle' : 'emptyCircle',
      symbolSize: 7,
      itemStyle: { color },
      lineStyle: { color, width: impl.startsWith('heddle') ? 3 : 2, type: kind },
    },
  ];
}

/** Lines over the count, one per implementation that was measured at the same counts. */
export function drawOverCount(draw: Draw, section: Section, counts: string): string | undefined {
  const lines = section.lines.filter((line) => line.row.n === undefined);
  const ns = countsOf(lines);
  const series = implsOf(lines).flatMap((impl) => {
    const own = lines.filter((line) => line.row.impl === impl);
    const inOrder = ns.map((n) => own.find((line) => line.n === n));
    return curvesOf(impl, inOrder, section).flatMap(seriesOf);
  });
  if (series.length === 0 || ns.length < 2) return undefined;
  const hasDashes = section.extras.some((extra) => extra.dashed !== undefined);
  const legend = hasDashes ? kLegendOfLines : kLegend;
  return draw(
    {
      legend,
      grid: {
        left: 8,
        right: 24,
        top: topBelowLegend(series, legend),
        bottom: 36,
        containLabel: true,
      },
      xAxis: {
        type: 'category',
        data: ns.map((n) => formatCountOf(section.scenario, n)),
        name: counts,
        nameLocation: 'middle',
        nameGap: 28,
        ...kAxis,
        splitLine: { show: false },
      },
      yAxis: {
        type: 'log',
        ...kAxis,
        axisLabel: { ...kAxis.axisLabel, formatter: formatTick },
      },
      series,
    },
    340,
  );
}

type Point = [number, number];

function curveIn(value: unknown): Point[] {
  if (!Array.isArray(value)) return [];
  return value.filter((point): point is Point => Array.isArray(point) && point.length === 2);
}

/** Resident memory over time while n units start, stay parked and end. */
export function drawResidency(draw: Draw, section: Section, n: number): string | undefined {
  const mib = 1024 * 1024;
  const series: SeriesOption[] = [];
  for (const [impl, output] of section.typical.get(n) ?? []) {
    const points = curveIn(output['curve']);
    if (points.length < 2) continue;
    const row = section.lines.find((line) => line.n === n && line.row.impl === impl)?.row;
    series.push({
      type: 'line',
      name: row === undefined ? impl : nameOf(row),
      showSymbol: false,
      silent: true,
      data: points.map(([ms, bytes]) => [Math.max(ms, 0.1), bytes / mib]),
      itemStyle: { color: colorOf(impl) },
      lineStyle: { color: colorOf(impl), width: impl.startsWith('heddle') ? 3 : 2 },
    });
  }
  if (series.length === 0) return undefined;
  return draw(
    {
      legend: kLegend,
      grid: { left: 8, right: 24, top: topBelowLegend(series), bottom: 36, containLabel: true },
      xAxis: {
        type: 'log',
        min: 0.1,
        name: 'ms since the first creation, logarithmic',
        nameLocation: 'middle',
        nameGap: 28,
        ...kAxis,
        axisLabel: { ...kAxis.axisLabel, formatter: formatTick },
      },
      yAxis: {
        type: 'value',
        ...kAxis,
      },
      series,
    },
    360,
  );
}

function componentsIn(value: unknown): [string, number][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).filter((entry): entry is [string, number] => entry[1] > 0);
}

/** What a parked unit's bytes are made of, for those that can tell more than page tables. */
export function drawComponents(draw: Draw, section: Section, n: number): string | undefined {
  const parts = new Map<string, Map<string, number>>();
  for (const [impl, output] of section.typical.get(n) ?? []) {
    const components = componentsIn(output['components']);
    if (components.length > 1) parts.set(impl, new Map(components));
  }
  const impls = [...parts.keys()];
  if (impls.length === 0) return undefined;
  const names = [...new Set([...parts.values()].flatMap((own) => [...own.keys()]))];
  const series = names.map((name, index): SeriesOption => ({
    type: 'bar',
    name: name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`),
    stack: 'bytes',
    silent: true,
    barWidth: 26,
    itemStyle: { color: kComponentColors[index % kComponentColors.length]! },
    data: impls.map((impl) => (parts.get(impl)?.get(name) ?? 0) / n),
  }));
  return draw(
    {
      legend: kLegend,
      grid: { left: 8, right: 40, top: topBelowLegend(series), bottom: 8, containLabel: true },
      xAxis: {
        type: 'value',
        ...kAxis,
        axisLabel: { ...kAxis.axisLabel, formatter: formatTick },
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: impls,
        ...kAxis,
        axisLabel: { color: kInk, fontSize: 13 },
        splitLine: { show: false },
      },
      series,
    },
    72 + impls.length * 44,
  );
}
