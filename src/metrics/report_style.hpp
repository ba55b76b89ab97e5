// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the report looks like, on light and dark screens, wide and narrow.

#include <string_view>

namespace memsim::detail {

inline constexpr std::string_view report_style = R"css(
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --card: #ffffff; --ink: #1c1e21; --quiet: #5c6370; --rule: #dcdfe4;
  --grid: #d5d9e0;
  --line-1: #0072b2; --line-2: #d55e00; --line-3: #009e73; --line-4: #a8508a;
  --line-5: #8a6d00; --line-6: #5b5bd6; --line-7: #b3261e; --line-8: #4a4f57;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1b1e24; --ink: #e6e8eb; --quiet: #9aa3b0; --rule: #333842;
    --grid: #3a404b;
    --line-1: #56b4e9; --line-2: #f08a3c; --line-3: #2cc79a; --line-4: #dd93c3;
    --line-5: #d9b93c; --line-6: #9d9dff; --line-7: #ff8a80; --line-8: #b4bac4;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 74rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 3rem 0 .6rem; padding-bottom: .3rem;
     border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
.quiet, figcaption, .card small { color: var(--quiet); }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }

.cards { display: grid; gap: .8rem; margin: 1.5rem 0 0;
         grid-template-columns: repeat(auto-fit, minmax(min(20rem, 45%), 1fr)); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem;
        padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; font-weight: 600; line-height: 1.3;
          font-variant-numeric: tabular-nums; }
.card span { display: block; font-size: .9rem; }
.card small { display: block; font-size: .85rem; }

.charts { display: grid; gap: 1.6rem 2rem;
          grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; }
figcaption strong { color: var(--ink); display: block; font-size: 1rem; }
.chart { display: flex; flex-direction: column; }
.chart .scroll { margin-top: auto; }
.chart .scroll > svg { display: block; width: 100%; min-width: 26rem; height: auto;
                       font-family: inherit; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .5rem 0;
          padding: 0; font-size: .9rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.legend .hint { color: var(--quiet); }
.key { width: 1.75rem; height: .5rem; }
.key line { stroke-width: 2; }
.line-1 { stroke: var(--line-1); }
.line-2 { stroke: var(--line-2); stroke-dasharray: 7 4; }
.line-3 { stroke: var(--line-3); stroke-dasharray: 2 3; }
.line-4 { stroke: var(--line-4); stroke-dasharray: 8 3 2 3; }
.line-5 { stroke: var(--line-5); stroke-dasharray: 8 3 2 3 2 3; }
.line-6 { stroke: var(--line-6); }
.line-7 { stroke: var(--line-7); stroke-dasharray: 7 4; }
.line-8 { stroke: var(--line-8); stroke-dasharray: 2 3; }
.key .line-6, .key .line-7, .key .line-8 { stroke-width: 4; }
.bars { list-style: none; margin: .5rem 0 1rem; padding: 0; max-width: 46rem; font-size: .9rem; }
.bars li { display: grid; grid-template-columns: 7.5rem 1fr 4.5rem; gap: .6rem;
           align-items: center; }
.bars span { overflow-wrap: anywhere; }
.bars i { background: var(--line-1); height: .8rem; border-radius: .1rem; min-width: 1px; }
.bars b { font-weight: 500; text-align: right; font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; font: .85rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
.swatch { width: 3rem; height: .9rem; border-radius: .15rem; }

.pair { display: grid; gap: 1.5rem 2rem;
        grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.map { display: flex; gap: .5rem; margin-top: .3rem; }
.map img { flex: 1; min-width: 0; width: 100%; height: auto; }
.map .sharp { image-rendering: pixelated; }
.addresses { position: relative; width: 4.2rem; flex: none; font-size: .8rem; line-height: 1;
             color: var(--quiet); font-variant-numeric: tabular-nums; }
.addresses span { position: absolute; right: 0; white-space: nowrap; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
        margin: .4rem 0 .8rem; }
th, td { padding: .22rem .7rem; text-align: right; white-space: nowrap;
         border-bottom: 1px solid var(--rule); }
th { font-weight: 500; }
th:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--quiet); }
.groups th { color: var(--ink); border-bottom: none; }
.strong th, .strong td { font-weight: 650; }
.section th { font-weight: 650; padding-top: .9rem; }
td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.notice { border-left: .25rem solid var(--line-2); padding: .3rem .9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .5rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
@media print {
  :root { color-scheme: light; --page: #ffffff; }
  h2, h3 { break-after: avoid; }
  p { break-inside: avoid; }
  .bars i { print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: .8rem; }
  .cards, figure, table { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  th, td { padding: .15rem .35rem; }
}
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .5rem; }
  /* A shade at its edge says that there is more. */
  .scroll { background:
    linear-gradient(to left, var(--page) 70%, transparent) right / 2rem 100% no-repeat local,
    linear-gradient(to left, var(--grid), transparent) right / 1rem 100% no-repeat scroll; }
}
)css";

}  // namespace memsim::detail
