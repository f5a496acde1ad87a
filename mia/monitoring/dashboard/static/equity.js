// Equity of the session at each decision, and how far it is below its best.
import { AreaSeries, createChart } from "./vendor/lightweight-charts-5.2.1.mjs";
import { follow, keys, options } from "./chart_style.js";
import { colours, fade } from "./colours.js";
import { h } from "./dom.js";
import { onUpdate, put } from "./feed.js";
import { onSession, session } from "./session.js";
import { sessionName } from "./session_picker.js";
import * as fmt from "./format.js";

export function equityCard(body) {
  const place = h("div", { class: "plot", id: "equity-plot", role: "group", "aria-label": "Equity and drawdown" });
  body.append(place);
  const chart = createChart(place, { ...options(), handleScroll: false, handleScale: false });
  const money = { type: "custom", minMove: 1, formatter: (value) => fmt.usd0(value) };
  const equity = chart.addSeries(AreaSeries, { lineWidth: 2, priceFormat: money, priceLineVisible: false, title: "" }, 0);
  const below = chart.addSeries(AreaSeries, { lineWidth: 1, priceFormat: money, priceLineVisible: false, invertFilledArea: true, title: "" }, 1);
  chart.panes().forEach((pane, k) => pane.setStretchFactor([2.2, 1][k]));
  keys(place, chart);

  function style() {
    const colour = colours();
    equity.applyOptions({ lineColor: colour.accent, topColor: fade(colour.accent, 0.28), bottomColor: fade(colour.accent, 0.02) });
    below.applyOptions({ lineColor: colour.down, topColor: fade(colour.down, 0.05), bottomColor: fade(colour.down, 0.35) });
  }

  function show() {
    const points = [];
    for (const { t, equity: value } of session.marks) {
      const time = Math.floor(t / 1e9);
      if (points.length && points.at(-1).time >= time) points.at(-1).value = value;
      else points.push({ time, value });
    }
    let best = -Infinity;
    equity.setData(points);
    below.setData(points.map(({ time, value }) => {
      best = Math.max(best, value);
      return { time, value: value - best };
    }));
    if (points.length) delete place.dataset.empty;
    else place.dataset.empty = "grows at each close with a position";
    window.__mia.equity = points.length ? points.at(-1).value : null;
    if (session.past) {
      const value = points.at(-1)?.value ?? null;
      put("equity-sub", value, value === null ? sessionName(session.id) : `${fmt.usd0(value)}, ${sessionName(session.id)}`);
    }
    chart.timeScale().fitContent();
  }

  style();
  place.dataset.empty = "grows at each close with a position";
  onSession(show);
  follow(chart, style);
  onUpdate((state) => {
    if (!state.frame || session.past) return;
    const { equity: now, equity_high: high, open_pnl: open } = state.frame.day;
    const fall = now + open - Math.max(high, now + open);
    put("equity-sub", now + open, `${fmt.usd0(now + open)} now${fall < 0 ? ` (${fmt.usd0(fall)})` : ", its best"}`).title = "in brackets: below the best of the account";
  });
}
