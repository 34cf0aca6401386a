"""The style of pages: in light and in dark, on screen and on paper. It loads nothing from anywhere."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ground: #f6f7f9; --sheet: #ffffff; --ink: #16202c; --faint: #5a6675; --line: #d8dee6;
  --pass: #0b7a3b; --fail: #b3141d; --on: #ffffff; --pass-bar: #2f9e62; --fail-bar: #d64550; --aim: #1f4fd8; --code: #eef1f5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f141a; --sheet: #182029; --ink: #e8edf3; --faint: #9aa7b5; --line: #2e3a47;
    --pass: #0f7a3f; --fail: #b8212b; --on: #ffffff; --pass-bar: #45b87b; --fail-bar: #f0636d; --aim: #8fb0ff; --code: #0f151c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
header { color: var(--on); padding: clamp(1.5rem, 4vw, 3.5rem) clamp(1rem, 5vw, 4rem); }
header.passed { background: var(--pass); }
header.failed { background: var(--fail); }
h1 { margin: 0; font-size: clamp(4.5rem, 17vw, 13rem); line-height: 1; font-weight: 800; letter-spacing: -.02em; }
header p { margin: .75rem 0 0; font-size: clamp(1.1rem, 2.2vw, 1.7rem); overflow-wrap: anywhere; }
header ul { margin: 1rem 0 0; padding-left: 1.4em; font-size: clamp(1rem, 1.7vw, 1.35rem); overflow-wrap: anywhere; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 3rem; }
section { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem 1.5rem;
  margin-top: 1.25rem; }
h2 { margin: 0 0 .75rem; font-size: 1.15rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.4rem, 1fr)); gap: 1rem; padding: 0; border: 0;
  background: none; }
.figure { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem; }
.figure b { display: block; font-size: 1.4rem; line-height: 1.35; white-space: nowrap; font-variant-numeric: tabular-nums; }
.figure.missed { border: 2px solid var(--fail-bar); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 0 1.25rem; }
.time { white-space: nowrap; }
.faint { color: var(--faint); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; }
td p { margin: 0; }
table.differences { table-layout: fixed; min-width: 40rem; }
table.differences th:nth-child(1) { width: 7rem; }
table.differences th:nth-child(2) { width: 32%; }
code { font: .86rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
td code.image { display: block; background: var(--code); border-radius: 6px; padding: .35rem .5rem; white-space: pre-wrap; }
.scroll { overflow-x: auto; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--faint); font-size: 14px; font-family: inherit; }
svg .axis { stroke: var(--line); }
svg .passed { fill: var(--pass-bar); }
svg .failed { fill: var(--fail-bar); }
svg .aim { stroke: var(--aim); stroke-width: 2; stroke-dasharray: 7 5; }
svg text.aim { stroke: none; fill: var(--aim); font-weight: 600; }
svg text.unknown { fill: var(--fail-bar); font-size: 16px; font-weight: 700; }
footer { color: var(--faint); font-size: .85rem; margin-top: 1.5rem; }
@media print { header { print-color-adjust: exact; -webkit-print-color-adjust: exact; } section { break-inside: avoid; } }
"""
