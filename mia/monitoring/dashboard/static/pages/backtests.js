// Runs that lie in the results folder, newest first.
import * as fmt from "../format.js";
import { card, el, empty, table, watch } from "../views.js";

const day = (id) => (id ? `${String(id).slice(0, 4)}-${String(id).slice(4, 6)}-${String(id).slice(6)}` : fmt.NONE);
const between = (pair, write) => (pair && pair[0] !== null && pair[1] !== null ? `${write(pair[0])}\u2013${write(pair[1])}` : "too few");
const when = (ns) => new Date(ns / 1e6).toISOString().slice(0, 16).replace("T", " ");

function run(entry) {
  const links = el("span", {},
    el("a", { href: `/performance?run=${entry.id}`, text: entry.name }));
  return links;
}
const report = (entry) => (entry.report
  ? el("a", { href: `/report/${entry.id}`, target: "_blank", rel: "noopener", "aria-label": `Report of ${entry.name}`, text: "report" })
  : el("span", { class: "sub", text: "none" }));

const heads = [
  { head: "run", cell: run },
  { head: "", cell: report },
  { head: "written, UTC", cell: (e) => when(e.written) },
  { head: "sessions", num: true, cell: (e) => fmt.whole(e.sessions) },
  { head: "from", cell: (e) => day(e.first_session) },
  { head: "to", cell: (e) => day(e.last_session) },
  { head: "trades", num: true, cell: (e) => fmt.whole(e.trades) },
  { head: "won", num: true, cell: (e) => fmt.percent(e.win_rate) },
  { head: "95 %", num: true, cell: (e) => between(e.win_rate_wilson_95, (x) => fmt.percent(x)) },
  { head: "R a trade", num: true, cell: (e) => fmt.signedDecimals(e.expectancy_r), tone: (e) => fmt.tone(e.expectancy_r) },
  { head: "95 %", num: true, cell: (e) => between(e.expectancy_r_95, (x) => fmt.signedDecimals(x)) },
  { head: "net", num: true, cell: (e) => fmt.usd(e.net_pnl_usd), tone: (e) => fmt.tone(e.net_pnl_usd) },
  { head: "deepest fall", num: true, cell: (e) => fmt.usd0(e.max_drawdown_usd) },
  { head: "Sharpe", num: true, cell: (e) => (e.sharpe === null ? "undefined" : `${fmt.decimals(e.sharpe)} \u00b1 ${fmt.decimals(e.sharpe_standard_error)}`) },
  { head: "PSR", num: true, cell: (e) => fmt.percent(e.probabilistic_sharpe) },
  { head: "data", cell: (e) => e.source ?? fmt.NONE },
];

watch(() => "/api/runs", (body, data) => {
  const whole = data.runs.filter((entry) => !entry.fault);
  const damaged = data.runs.filter((entry) => entry.fault);
  if (!data.runs.length) {
    body.replaceChildren(empty(`No run lies in the folder \u201c${data.folder}\u201d yet`,
      "Backtests and the demo leave their files there; name another folder with --results. A first run, on the synthetic market:",
      "mia backtest --synthetic --days 20 --out results/synthetic"));
    return;
  }
  const parts = [];
  if (whole.length) {
    parts.push(card("Stored runs, newest first", `${whole.length} in \u201c${data.folder}\u201d`,
      table("Stored runs, newest first", heads, whole, (e) => e.id)));
  }
  if (damaged.length) {
    parts.push(card("Runs that cannot be read", `${damaged.length}`, table("Runs that cannot be read", [
      { head: "run", cell: (e) => e.name }, { head: "why", cell: (e) => e.fault }], damaged)));
  }
  parts.push(el("p", { class: "note", text: "Intervals are 95 %: Wilson for the win rate, a bootstrap of sessions for R a trade. The deeper the search for a good run, the less a single one proves: mia report RUN --trials FOLDER deflates for the variants tried." }));
  body.replaceChildren(...parts);
}, 10);
