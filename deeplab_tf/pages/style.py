"""The style sheet of report.html; it stands in the page, so that the page is one file."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #667085; --line: #e3e6ec; --page: #f6f7f9; --card: #fff;
  --accent: #2563eb; --good: #15803d; --bad: #b91c1c; --before: #94a3b8; --after: #2563eb; --hatch: #d5d9e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #2b313d; --page: #12151b;
  --card: #1a1f28; --accent: #7aa2ff; --good: #4ade80; --bad: #f87171; --before: #64748b; --after: #7aa2ff;
  --hatch: #3a4150; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; }
h3 { font-size: 15px; margin: 24px 0 10px; color: var(--soft); font-weight: 600; }
p { margin: 6px 0; max-width: 78ch; } .soft { color: var(--soft); } small { color: var(--soft); font-size: 13px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; margin: 22px 0 0; }
.figures .name { color: var(--soft); font-size: 13px; }
.figures .value { font-size: 30px; font-weight: 650; letter-spacing: -.02em; line-height: 1.3; }
.figures .value i { font-style: normal; font-size: 16px; font-weight: 500; color: var(--soft); margin-left: 2px; }
.good { color: var(--good); } .bad { color: var(--bad); }
.alarm { border: 1px solid var(--bad); border-left-width: 6px; border-radius: 8px; padding: 10px 14px;
  margin: 18px 0 0; background: var(--card); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.classes { width: 100%; } .classes th, .classes td { padding: 5px 10px; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; } .classes th { color: var(--soft); font-weight: 500; font-size: 13px; }
.classes th:first-child, .classes td:first-child { text-align: left; padding-left: 0; }
.classes tr:last-child td { border-bottom: 0; } .classes .mean td { font-weight: 650; }
.classes td.bars { width: 34%; min-width: 140px; padding-right: 0; }
.bar { height: 6px; border-radius: 3px; background: var(--before); margin: 2px 0; min-width: 1px; }
.bar.after { background: var(--after); }
.swatch { display: inline-block; width: 13px; height: 13px; border-radius: 3px; margin-right: 8px; vertical-align: -2px;
  border: 1px solid color-mix(in srgb, var(--ink) 25%, transparent); }
.void { background: repeating-linear-gradient(135deg, var(--hatch) 0 2px, #fff0 2px 7px); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 4px; font-size: 13px; }
.gallery { display: grid; gap: 22px; }
.item { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; margin: 0; }
.maps { display: grid; grid-template-columns: repeat(var(--columns), 1fr); gap: 10px; }
.maps figure { margin: 0; } .maps img { display: block; width: 100%; border-radius: 4px; }
.maps figcaption { font-size: 12px; color: var(--soft); margin-top: 4px; }
.maps .map { image-rendering: pixelated; }
.item > figcaption { display: flex; justify-content: space-between; gap: 16px; margin-bottom: 10px; font-size: 14px; }
.item > figcaption b { font-weight: 600; overflow-wrap: anywhere; }
@media (max-width: 720px) { .maps { grid-template-columns: repeat(2, 1fr); } main { padding: 20px 14px 48px; } }
.heat td { width: var(--cell); min-width: var(--cell); height: var(--cell); text-align: center; font-size: 11px;
  padding: 0; border: 1px solid var(--card); background: color-mix(in srgb, var(--tint) var(--share), var(--page)); }
.heat td.hit { --tint: var(--accent); } .heat td.miss { --tint: var(--bad); } .heat td.strong { color: #fff; }
@media (prefers-color-scheme: dark) { .heat td.strong { color: #12151b; } }
.heat th { font-weight: 400; font-size: 12px; text-align: right; padding: 0 8px 0 0; white-space: nowrap; }
.heat thead th { height: 104px; vertical-align: bottom; padding: 0; }
.heat thead div { width: var(--cell); transform: translateX(70%) rotate(-55deg); transform-origin: 0 100%;
  text-align: left; }
.heat { margin-right: 80px; }
.chart { display: block; width: 100%; max-width: 860px; height: auto; } .chart text { fill: var(--soft); font-size: 12px; }
.chart .grid { stroke: var(--line); } .chart path { fill: none; stroke-width: 2.5; }
.chart .before { stroke: var(--before); } .chart .after { stroke: var(--after); }
.chart text.before { fill: var(--soft); stroke: none; } .chart text.after { fill: var(--after); stroke: none; }
details { margin-top: 40px; } summary { cursor: pointer; font-weight: 600; font-size: 19px; }
.settings td { padding: 3px 18px 3px 0; vertical-align: top; font-size: 13px; overflow-wrap: anywhere; }
.settings td:first-child { color: var(--soft); white-space: nowrap; }
.settings { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; margin-top: 12px; }
"""
