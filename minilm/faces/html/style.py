"""The style sheet of the report: light and dark, on a screen, on a wall and on paper."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink:#1f2933; --paper:#fbfaf7; --dim:#52606d; --line:#d9dee3;
  --accent:#005a8c; --card:#fff; --before:#9aa5b1; --after:#0072B2; --chosen:#E69F00; --new:#ffe3a3;
  --track:#e4e7eb; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8eaed; --paper:#16191d; --dim:#aab4bf; --line:#3a424b;
  --accent:#7cc4f0; --card:#1f242a; --before:#77838f; --after:#56B4E9; --chosen:#E69F00; --new:#6b4e00;
  --track:#39414a; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink); font:17px/1.6 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width:62rem; margin:0 auto; padding:0 1.5rem; }
header { padding-top:3rem; }
h1 { font-size:2.2rem; line-height:1.2; margin:0 0 .5rem; letter-spacing:-.01em; }
h2 { font-size:1.5rem; line-height:1.25; margin:3rem 0 .6rem; padding-top:.6rem;
  border-top:3px solid var(--accent); }
h3 { font-size:1.1rem; margin:1.6rem 0 .3rem; }
p { max-width:44rem; margin:.6rem 0; }
.lead { font-size:1.15rem; color:var(--dim); }
nav ol { padding-left:1.4rem; columns:2 20rem; margin:1rem 0 0; }
a { color:var(--accent); }
figure { margin:1.5rem 0; }
figure img { display:block; width:100%; height:auto; background:#fff; border:1px solid var(--line);
  border-radius:8px; padding:.6rem; }
figcaption { color:var(--dim); font-size:.95rem; max-width:44rem; margin-top:.5rem; }
pre { white-space:pre-wrap; overflow-wrap:anywhere; background:var(--card); border:1px solid var(--line);
  border-radius:8px; padding:.8rem 1rem; font:15px/1.55 ui-monospace, "Cascadia Mono", Menlo, Consolas,
  monospace; }
code { font-family:ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size:.95em; }
.texts { display:grid; grid-template-columns:repeat(auto-fit,minmax(16rem,1fr)); gap:0 1.2rem; }
.wide { overflow-x:auto; margin:1rem 0; }
.wide caption { text-align:left; color:var(--dim); font-size:.95rem; padding-bottom:.3rem; }
.steps > div { background:var(--card); }
summary { cursor:pointer; color:var(--accent); }
footer { color:var(--dim); font-size:.9rem; padding:3rem 1.5rem; }
@media print { body { background:#fff; font-size:11pt; } h2 { break-after:avoid; } nav { display:none; }
  figure, .steps > div, table, pre { break-inside:avoid; }
  * { print-color-adjust:exact; -webkit-print-color-adjust:exact; } }
"""
"""CSS for `report`; the variables are those that marks.py asks for."""
