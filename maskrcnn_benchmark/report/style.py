"""The one stylesheet of the reports."""

STYLE = """\
:root {
  color-scheme: light dark;
  --ink: #1d2430; --soft: #5a6472; --paper: #ffffff; --tile: #f2f4f7; --line: #d8dde4;
  --accent: #0b62c4; --warn: #fff4d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ee; --soft: #a3adba; --paper: #14181e; --tile: #1f252d; --line: #353d48;
    --accent: #7db5ff; --warn: #3a3115;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .9rem;
     border-top: 1px solid var(--line); }
p { margin: .6rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.lead, figcaption, .caption { color: var(--soft); }
.note { background: var(--warn); border-left: 4px solid #d9a400; padding: .6rem .9rem;
        border-radius: 4px; }
.formula { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
           font-size: .92rem; background: var(--tile); padding: .5rem .8rem;
           border-radius: 4px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .7rem;
         margin: 1.1rem 0; }
.facts div { background: var(--tile); border-radius: 8px; padding: .7rem .9rem; }
.facts b { display: block; font-size: 1.5rem; line-height: 1.25; color: var(--accent);
           font-variant-numeric: tabular-nums; }
.facts span { font-size: .86rem; color: var(--soft); line-height: 1.35; display: block; }
figure { margin: 0; }
figcaption { font-size: .9rem; line-height: 1.45; margin-top: .35rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; display: block; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
          gap: 1.2rem; margin: 1rem 0; }
.charts figure { max-width: 34rem; }
.charts img { background: #ffffff; border-radius: 8px; padding: .3rem; width: 100%; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr));
            gap: 1.1rem; margin: 1rem 0; }
.pictures img { width: 100%; border-radius: 6px; }
.pictures figcaption { font-size: .84rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
.caption { font-size: .9rem; margin: 1rem 0 -.6rem; }
th, td { padding: .32rem .75rem; border-bottom: 1px solid var(--line); text-align: right; }
th { font-weight: 600; }
td { white-space: nowrap; }
tbody th { font-weight: 400; overflow-wrap: break-word; }
th:first-child { text-align: left; padding-left: 0; min-width: 7.5rem; max-width: 18rem; }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --tile: #f4f4f4; --line: #bbb;
          --accent: #0b4a94; --warn: #fff; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  figure, tr, .facts, .wide { break-inside: avoid; }
  h2, .caption, .formula { break-after: avoid; }
  .wide { overflow: visible; }
}
"""
