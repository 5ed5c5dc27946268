// The report's style sheet. Colours are variables: the charts use the same ones.
export const kStyle = `
:root {
  --ink: #17212b; --muted: #52606d; --grid: #dde3e9; --page: #ffffff; --soft: #f5f7f9;
  --ours: #0b7a6f; --warn: #a34a12;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6ebf0; --muted: #9fb0c0; --grid: #2c3742; --page: #11171d; --soft: #19212a;
    --ours: #4fd1c1; --warn: #f0a267;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 64rem; color: var(--ink);
  background: var(--page); line-height: 1.5;
  font: 16px/1.5 Inter, system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: 2rem; margin: 0 0 .5rem; letter-spacing: -.02em; }
h2 { font-size: 1.4rem; margin: 3.5rem 0 .5rem; padding-top: 1.25rem; letter-spacing: -.01em;
  border-top: 2px solid var(--grid); }
h2 code { font-size: .8rem; color: var(--muted); margin-left: .4rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h3 small { font-weight: 400; color: var(--muted); margin-left: .4rem; }
p { margin: .25rem 0; max-width: 48rem; }
.how, .skipped, figcaption { color: var(--muted); font-size: .9rem; }
.note { color: var(--warn); }
code { font: .9em ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; background: var(--soft);
  padding: .1em .35em; border-radius: 4px; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; margin-top: 1rem; }
a { color: var(--ours); text-decoration: none; }
a:hover { text-decoration: underline; }
figure { margin: 1rem 0 1.25rem; }
figure svg { display: block; width: 100%; max-width: 760px; height: auto; }
figcaption { margin-bottom: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums;
  min-width: 36rem; }
th, td { padding: .22rem .55rem; text-align: right; white-space: nowrap; vertical-align: top; }
thead th { color: var(--muted); font-weight: 500; white-space: normal; vertical-align: bottom; }
tbody { border-top: 1px solid var(--grid); }
tbody th { font-weight: 500; }
td.impl { text-align: left; }
td.impl small { color: var(--muted); }
tr.ours td { font-weight: 600; color: var(--ours); }
td.failed, tr.ours td.failed { text-align: left; color: var(--warn); font-weight: 400;
  white-space: normal; }
.skipped { padding-left: 1.1rem; }
`;
