// One self-contained HTML page: no script, nothing loaded from anywhere, legible in light and dark.
import type { GroupResult, Machine, Scenario } from '../harness/types.js';
import { isFailed } from '../harness/types.js';
import { drawBars, drawComponents, drawOverCount, drawResidency, loadDraw } from './charts.js';
import type { Draw } from './charts.js';
import { formatCount, formatCountOf, formatDuration, formatNumber, formatRatio } from './format.js';
import { sectionsOf } from './sections.js';
import type { Line, Section } from './sections.js';
import { kStyle } from './style.js';
import { renderMachine } from './terminal.js';

export interface ReportInput {
  readonly machine: Machine;
  readonly groups: readonly GroupResult[];
  readonly scenarios: readonly Scenario[];
  readonly runs: number;
  /** The command that measures the same again. */
  readonly rerun: string;
  readonly seconds: number;
  /** Draws the charts; by default ECharts if it can be loaded. */
  readonly draw?: Draw;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function cell(text: string, kind = 'number'): string {
  return `<td class="${kind}">${escape(text)}</td>`;
}

function lineHtml(line: Line, section: Section, first: boolean, span: number): string {
  const { row } = line;
  const { metric, extras } = section;
  const own = row.n === undefined ? '' : ` <small>n=${formatCount(row.n)}</small>`;
  const count = formatCountOf(section.scenario, line.n);
  const head = first ? `<th scope="rowgroup" rowspan="${span}">${count}</th>` : '';
  const name = `<td class="impl">${escape(row.impl)}${own}</td>`;
  const kind = row.impl.startsWith('heddle') ? ' class="ours"' : '';
  if (isFailed(row)) {
    const failed = `<td class="failed" colspan="${5 + extras.length}">${escape(row.failed)}</td>`;
    return `<tr${kind}>${head}${name}${failed}</tr>`;
  }
  const numbers = [row.median, row.min, row.max].map((v) => cell(formatNumber(v, metric.whole)));
  const more = line.extras.map((value, index) =>
    cell(value === undefined ? '' : formatNumber(value, extras[index]!.whole)),
  );
  const ratio = cell(formatRatio(line.ratio), 'number ratio');
  const cells = [...numbers, cell(String(row.runs)), ratio, ...more].join('');
  return `<tr${kind}>${head}${name}${cells}</tr>`;
}

function tableHtml(section: Section, counts: string): string {
  const against = section.baseline === undefined ? '' : `vs ${section.baseline}`;
  const heads = [counts, '', 'median', 'min', 'max', 'runs', against];
  const all = [...heads, ...section.extras.map((extra) => extra.text)];
  const groups = groupByCount(section.lines);
  const bodies = [...groups.values()].map((lines) => {
    const rows = lines.map((line, i) => lineHtml(line, section, i === 0, lines.length));
    return `<tbody>${rows.join('\n')}</tbody>`;
  });
  const head = all.map((text) => `<th scope="col">${escape(text)}</th>`).join('');
  const table = `<table><thead><tr>${head}</tr></thead>\n${bodies.join('\n')}</table>`;
  return `<div class="scroll">${table}</div>`;
}

function groupByCount(lines: readonly Line[]): Map<number, Line[]> {
  const groups = new Map<number, Line[]>();
  for (const line of lines) groups.set(line.n, [...(groups.get(line.n) ?? []), line]);
  return groups;
}

function figure(svg: string | undefined, caption: string): string {
  if (svg === undefined) return '';
  return `<figure><figcaption>${escape(caption)}</figcaption>${svg}</figure>`;
}

/** The count whose bars say most: 100,000 where there is one, else the largest. */
function tellingCount(section: Section): number {
  const counts = section.lines.map((line) => line.n);
  return counts.includes(100_000) ? 100_000 : Math.max(...counts);
}

function chartsHtml(draw: Draw, section: Section, counts: string): string {
  const { scenario, metric } = section;
  if (section.lines.length === 0) return '';
  const n = tellingCount(section);
  const at = `${formatCountOf(scenario, n)} ${counts}`;
  const several = new Set(section.lines.map((line) => line.n)).size > 1;
  const charts: string[] = [];
  if (!several || scenario === 'memory' || scenario === 'create') {
    const caption = `${metric.text}, ${at}, logarithmic`;
    charts.push(figure(drawBars(draw, section, n), caption));
  }
  if (several) {
    charts.push(
      figure(drawOverCount(draw, section, counts), `${metric.text}, over ${counts}, logarithmic`),
    );
  }
  if (scenario === 'memory') {
    charts.push(figure(drawResidency(draw, section, n), `MiB resident over time, ${at}`));
    charts.push(figure(drawComponents(draw, section, n), `Bytes per unit by component, ${at}`));
  }
  return charts.join('\n');
}

function sectionHtml(section: Section, counts: string, draw: Draw | undefined): string {
  const { metric } = section;
  const skipped = section.skipped.map(
    ({ impl, reason }) => `<li><b>${escape(impl)}</b> skipped: ${escape(reason)}</li>`,
  );
  return `<h3>${escape(metric.text)} <small>${metric.better} is better</small></h3>
${draw === undefined ? '' : chartsHtml(draw, section, counts)}
${tableHtml(section, counts)}
${skipped.length === 0 ? '' : `<ul class="skipped">${skipped.join('')}</ul>`}`;
}

function scenarioHtml(scenario: Scenario, input: ReportInput, draw: Draw | undefined): string {
  const own = input.groups.filter((group) => group.scenario === scenario.name);
  if (own.length === 0) return '';
  const sections = sectionsOf(own).map((part) => sectionHtml(part, scenario.counts, draw));
  return `<section id="${scenario.name}">
<h2>${escape(scenario.title)} <code>${escape(scenario.name)}</code></h2>
<p>${escape(scenario.measures)}</p>
<p class="how">${escape(scenario.how)}</p>
${sections.join('\n')}
</section>`;
}

function indexHtml(input: ReportInput): string {
  const names = new Set(input.groups.map((group) => group.scenario));
  const links = input.scenarios
    .filter((scenario) => names.has(scenario.name))
    .map((scenario) => `<a href="#${scenario.name}">${escape(scenario.title)}</a>`);
  return `<nav>${links.join('\n')}</nav>`;
}

const kNoCharts =
  '<p class="note">This copy has no charts, because ECharts could not be loaded. ' +
  'Install it beside heddle with <code>npm install --no-save echarts</code> and run again.</p>';

/** The page as text. */
export async function renderReport(input: ReportInput): Promise<string> {
  const draw = input.draw ?? (await loadDraw());
  const { machine, runs, rerun, seconds } = input;
  const bodies = input.scenarios.map((scenario) => scenarioHtml(scenario, input, draw));
  const times = `${runs} run${runs === 1 ? '' : 's'}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>heddle bench</title>
<style>${kStyle}</style>
</head>
<body>
<header>
<h1>heddle bench</h1>
<p>${escape(renderMachine(machine))}</p>
<p class="how">Medians of ${times}, each in a process of its own; the implementations took turns.
Unit and count are the same for all unless a row states its own. Took ${formatDuration(seconds)}.
Measure again: <code>${escape(rerun)}</code></p>
${indexHtml(input)}
${draw === undefined ? kNoCharts : ''}
</header>
<main>
${bodies.filter((body) => body !== '').join('\n')}
</main>
</body>
</html>
`;
}
