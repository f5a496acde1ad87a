"use strict";

const PAGE = 50;
const columns = [
  ["Entry, New York", (k) => trades.t_entry[k], (k) => moment(trades.t_entry[k])],
  ["Side", (k) => trades.side[k], (k) => (trades.side[k] > 0 ? "long" : "short"), "text"],
  ["Size", (k) => trades.quantity[k], (k) => `${trades.quantity[k]} ${named("symbol", k)}`],
  ["Trigger", (k) => named("trigger", k), (k) => named("trigger", k), "text"],
  ["Regime", (k) => named("regime", k), (k) => named("regime", k), "text"],
  ["Entry", (k) => trades.entry[k], (k) => points(trades.entry[k])],
  ["Exit", (k) => trades.exit[k], (k) => points(trades.exit[k])],
  ["By", (k) => named("exit_reason", k), (k) => named("exit_reason", k), "text"],
  ["Bars", (k) => trades.bars_held[k], (k) => grouped(trades.bars_held[k], 0)],
  ["Best", (k) => trades.mfe_ticks[k], (k) => grouped(trades.mfe_ticks[k], 0)],
  ["Worst", (k) => trades.mae_ticks[k], (k) => grouped(trades.mae_ticks[k], 0)],
  ["Back", (k) => givenBack(k), (k) => grouped(givenBack(k), 0)],
  ["Slip", (k) => trades.slippage_ticks[k], (k) => grouped(trades.slippage_ticks[k], 1)],
  ["Costs", (k) => trades.costs[k], (k) => grouped(trades.costs[k], 2)],
  ["Net USD", (k) => trades.net_pnl[k], (k) => grouped(trades.net_pnl[k], 2, true), "result"],
  ["R", (k) => trades.r_multiple[k], (k) => grouped(trades.r_multiple[k], 2, true), "result"],
  ["Conf.", (k) => trades.confidence[k], (k) => grouped(trades.confidence[k], 2)],
];

/** Ticks between the best open profit and the exit. */
function givenBack(k) {
  return trades.mfe_ticks[k] - (trades.exit[k] - trades.entry[k]) * trades.side[k];
}

const list = { order: [], sorted: -1, ascending: true, page: 0, body: null, heads: [] };

function make(name, properties = {}, children = []) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function sortBy(column) {
  list.ascending = list.sorted === column ? !list.ascending : true;
  list.sorted = column;
  list.page = 0;
  const value = column < 0 ? (k) => k : columns[column][1];
  const factor = list.ascending ? 1 : -1;
  list.order.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return (x < y ? -factor : x > y ? factor : 0) || a - b;
  });
  list.heads.forEach((head, k) => {
    if (k - 1 === column) head.setAttribute("aria-sort", list.ascending ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
    head.firstChild.textContent = head.dataset.name + (k - 1 === column ? (list.ascending ? " ↑" : " ↓") : "");
  });
  showPage();
}

function showPage() {
  const pages = Math.ceil(tradeCount / PAGE);
  list.page = clamp(list.page, 0, pages - 1);
  const shown = list.order.slice(list.page * PAGE, (list.page + 1) * PAGE);
  list.body.replaceChildren(...shown.map((k) => {
    const button = make("button", { type: "button", textContent: k + 1, title: `Show trade ${k + 1} on the chart` });
    button.addEventListener("click", () => selectTrade(k, true));
    const head = make("th", { scope: "row" }, [button]);
    const cells = columns.map(([, , text, kind]) => {
      const sign = trades.net_pnl[k] > 0 ? "gain" : trades.net_pnl[k] < 0 ? "loss" : "";
      return make("td", { textContent: text(k), className: kind === "result" ? sign : kind || "" });
    });
    const row = make("tr", {}, [head, ...cells]);
    row.dataset.trade = k;
    return row;
  }));
  markRow();
  const first = list.page * PAGE + 1;
  list.label.textContent = `${first} to ${first + shown.length - 1} of ${grouped(tradeCount, 0)}`;
  list.before.disabled = list.page === 0;
  list.after.disabled = list.page === pages - 1;
}

function markRow() {
  for (const row of list.body.rows) {
    if (Number(row.dataset.trade) === selection.trade) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function buildList() {
  const box = byId("trade-list");
  if (!tradeCount) {
    box.append(make("p", { textContent: "No trade was closed." }));
    return;
  }
  list.order = Array.from({ length: tradeCount }, (_, k) => k);
  list.heads = ["No.", ...columns.map(([name]) => name)].map((name, k) => {
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => sortBy(k - 1));
    const kind = k && columns[k - 1][3] === "text" ? "text" : "";
    const head = make("th", { scope: "col", className: kind }, [button]);
    head.dataset.name = name;
    return head;
  });
  list.body = make("tbody");
  const table = make("table", {}, [make("thead", {}, [make("tr", {}, list.heads)]), list.body]);
  const scroll = make("div", { className: "scroll", tabIndex: 0 }, [table]);
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "List of trades");
  list.before = make("button", { type: "button", textContent: "‹ Earlier rows" });
  list.after = make("button", { type: "button", textContent: "Later rows ›" });
  list.label = make("span", { className: "quiet" });
  list.before.addEventListener("click", () => { list.page -= 1; showPage(); });
  list.after.addEventListener("click", () => { list.page += 1; showPage(); });
  box.append(scroll, make("div", { className: "controls" }, [list.before, list.after, list.label]));
  list.sorted = -2;
  sortBy(-1);
  selection.listeners.push(markRow);
}

buildList();
redrawAll();
selectTrade(0);
