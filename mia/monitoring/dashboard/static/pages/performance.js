// What the trades came to: of the account, or of a stored run.
import * as fmt from "../format.js";
import { columns, curve, scatter } from "../charts.js";
import { card, el, empty, interval, plot, table, tile, tiles, watch } from "../views.js";

const side = (trade) => (trade.side > 0 ? "long" : "short");
const r = (x) => (x === null ? fmt.NONE : `${fmt.signedDecimals(x, 2)} R`);
const day = (ns) => fmt.date(ns);
// The hour where all lies within a day, else the day.
const WEEK_NS = 6 * 86_400e9;
const within = (points) => points.at(-1)[0] - points[0][0];
const dayAndTime = (ns) => `${fmt.weekday(ns)} ${fmt.hhmm(ns)}`;
const scale = (points) => {
  if (fmt.date(points[0][0]) === fmt.date(points.at(-1)[0])) return fmt.hhmm;
  return within(points) < WEEK_NS ? dayAndTime : fmt.date;
};

function chooser(data, choose) {
  const select = el("select", { id: "source", onchange: (event) => choose(event.target.value) },
    el("option", { value: "", text: "this account" }),
    ...data.runs.map((run) => el("option", { value: run.id, text: run.name })));
  select.value = data.run;
  return el("div", { class: "chooser" },
    el("label", { for: "source", text: "Trades of" }), select,
    el("span", { class: "sub", text: data.run ? "a stored run: simulated fills" : "closed trades as the journal has them" }));
}

function summary(data) {
  const { figures, deepest, deepest_share: share, closed, known } = data;
  const all = figures.all;
  const missing = closed > known ? `${closed - known} more without details, of an older version` : `${all.wins} won`;
  return tiles(
    tile("Net", fmt.usd(all.net), `after ${fmt.usd0(all.costs)} of costs`, fmt.tone(all.net)),
    tile("Trades", fmt.whole(all.n), missing),
    tile("Win rate", fmt.percent(all.win_rate, 1), interval(all.win_rate_95, (x) => fmt.percent(x))),
    tile("Expectancy", r(all.expectancy_r), interval(all.expectancy_r_95, (x) => fmt.signedDecimals(x, 2)), fmt.tone(all.expectancy_r)),
    tile("Profit factor", fmt.decimals(all.profit_factor), all.profit_factor === null ? "no loss, or no trade" : "gains over losses"),
    tile("Deepest fall", fmt.usd0(deepest), share === null ? "" : `${fmt.percent(share, 1)} of the high${data.run ? "" : ", closed trades"}`, deepest ? "down" : ""),
    tile("Slippage", all.slippage === null ? fmt.NONE : `${fmt.decimals(all.slippage)} ticks`, "mean, a trade"));
}

const groupHeads = (name) => [
  { head: name, cell: (g) => (name === "setup" ? g.name : fmt.words(g.name)) },
  { head: "trades", num: true, cell: (g) => g.n },
  { head: "won", num: true, cell: (g) => fmt.percent(g.win_rate) },
  { head: "95 %", num: true, cell: (g) => `${fmt.percent(g.win_rate_95[0])}\u2013${fmt.percent(g.win_rate_95[1])}` },
  { head: "R a trade", num: true, cell: (g) => fmt.signedDecimals(g.expectancy_r), tone: (g) => fmt.tone(g.expectancy_r) },
  { head: "net", num: true, cell: (g) => fmt.usd(g.net), tone: (g) => fmt.tone(g.net) },
];
const group = (title, name, rows) => {
  const made = card(title, `${rows.length} groups`, table(`Trades by ${name}`, groupHeads(name), rows));
  made.classList.add("third");
  return made;
};

const tradeHeads = [
  { head: "exit", cell: (t) => `${day(t.ts_exit)} ${fmt.time(t.ts_exit)}` },
  { head: "side", cell: side, tone: (t) => (t.side > 0 ? "up" : "down") },
  { head: "size", num: true, cell: (t) => `${t.quantity} ${t.symbol}` },
  { head: "setup", cell: (t) => `${fmt.words(t.strategy)} ${t.setup}` },
  { head: "regime", cell: (t) => fmt.words(t.regime) },
  { head: "in", num: true, cell: (t) => fmt.price(t.entry) },
  { head: "out", num: true, cell: (t) => fmt.price(t.exit) },
  { head: "why out", cell: (t) => fmt.words(t.exit_reason) },
  { head: "best", num: true, cell: (t) => fmt.change(t.mfe) },
  { head: "worst", num: true, cell: (t) => fmt.change(t.mae) },
  { head: "slip", num: true, cell: (t) => fmt.decimals(t.slippage, 1) },
  { head: "R", num: true, cell: (t) => fmt.signedDecimals(t.r), tone: (t) => fmt.tone(t.r) },
  { head: "net", num: true, cell: (t) => fmt.usd(t.net), tone: (t) => fmt.tone(t.net) },
];

function charts(data) {
  const { figures, trades } = data;
  const equity = plot();
  const falls = plot();
  const hours = plot();
  const cloud = plot();
  const halves = [
    card("Equity", `${fmt.usd0(data.equity[0][1])} at the start`, equity),
    card("Fall from the high", `deepest ${fmt.usd0(data.deepest)}`, falls),
    card("By hour of entry, New York", "net USD", hours),
    card("Best and worst of each trade", "ticks, green won", cloud),
  ];
  halves.forEach((half) => half.classList.add("half"));
  const draw = () => {
    const when = scale(data.equity);
    curve(equity, { label: "Equity after each trade, USD", points: data.equity, write: fmt.usd0, when });
    const under = data.falls.map(([ts, fall]) => [ts, -fall]);
    curve(falls, { label: "Fall of equity from its high, USD", points: under, write: fmt.usd0, when, base: 0, kind: "fall" });
    columns(hours, {
      label: "Net USD by hour of entry",
      bars: figures.by_hour.map((g) => ({ name: g.name, value: g.net, note: `${g.n} trades` })),
      write: fmt.usd0,
    });
    scatter(cloud, {
      label: "Worst and best excursion of each trade, ticks",
      points: trades.map((t) => ({ x: Math.max(0, -t.mae), y: Math.max(0, t.mfe), good: t.net > 0,
        title: `${day(t.ts_exit)}, ${side(t)}: best ${t.mfe}, worst ${t.mae} ticks, ${fmt.usd(t.net)}` })),
      xName: "worst, ticks against", yName: "best, ticks for", height: 200,
    });
  };
  return [halves, draw];
}

let run = new URLSearchParams(location.search).get("run") ?? "";
const again = watch(() => `/api/performance?run=${encodeURIComponent(run)}`, (body, data) => {
  const parts = [chooser(data, (value) => {
    run = value;
    history.replaceState(null, "", value ? `?run=${value}` : location.pathname);
    again();
  })];
  let draw = () => {};
  if (data.fault) parts.push(el("p", { class: "trouble", text: `The journal could not be read to its end: ${data.fault}` }));
  if (!data.trades.length) {
    parts.push(empty("No trade has been closed yet",
      "Trades appear here as soon as the trader closes them. To look at what a backtest did instead, run one and choose it above.",
      "mia backtest --synthetic --days 20 --out results/synthetic"));
  } else {
    const [halves, drawing] = charts(data);
    draw = drawing;
    const newest = [...data.trades].reverse();
    parts.push(summary(data), ...halves,
      group("By setup", "setup", data.figures.by_setup),
      group("By regime", "regime", data.figures.by_regime),
      group("By exit", "exit", data.figures.by_exit),
      card("Trades, newest first", `${newest.length} of ${data.closed}`,
        table("Closed trades, newest first", tradeHeads, newest, (t) => t.id)));
  }
  body.replaceChildren(...parts);
  draw();
});
