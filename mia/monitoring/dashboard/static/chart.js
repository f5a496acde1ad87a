// The price chart: bars, profile, VWAP, levels, own orders and fills; delta and CVD below.
import { createChart, HistogramSeries, LineSeries, LineStyle } from "./vendor/lightweight-charts-5.2.1.mjs";
import { CELLS_FROM, Footprint, NUMBERS_FROM } from "./footprint.js";
import { Fills, Profile } from "./marks.js";
import { follow, keys, options } from "./chart_style.js";
import { colours, fade } from "./colours.js";
import { h } from "./dom.js";
import { onSession, session } from "./session.js";
import { sessionPicker } from "./session_picker.js";
import { onUpdate } from "./feed.js";
import * as fmt from "./format.js";

const { points } = fmt;

const ZOOMS = { Session: null, Candles: 7, Footprint: CELLS_FROM + 12, Numbers: NUMBERS_FROM + 30 };
const NEAR = 80;
const LINES = [
  ["poc", "POC", "poc", LineStyle.Solid],
  ["vah", "VAH", "poc", LineStyle.Dashed],
  ["val", "VAL", "poc", LineStyle.Dashed],
  ["gamma_flip", "Gamma flip", "options", LineStyle.Dotted],
  ["call_wall", "Call wall", "options", LineStyle.LargeDashed],
  ["put_wall", "Put wall", "options", LineStyle.LargeDashed],
  ["previous_high", "Prev. high", "muted", LineStyle.SparseDotted],
  ["previous_low", "Prev. low", "muted", LineStyle.SparseDotted],
  ["previous_close", "Prev. close", "muted", LineStyle.SparseDotted],
];
const OWN = [
  ["entry", "Entry", "accent", LineStyle.Solid],
  ["stop", "Stop", "down", LineStyle.Solid],
  ["target", "Target", "up", LineStyle.Solid],
];
const BANDS = [["vwap", 0, 2], ["above", 1, 1], ["below", -1, 1], ["above2", 2, 1], ["below2", -2, 1]];

export function priceChart(body) {
  const legend = h("div", { class: "legend", "aria-live": "off" });
  const zooms = h("div", { class: "zooms", role: "group", "aria-label": "Zoom" });
  const place = h("div", { class: "plot", id: "price-plot", role: "group", "aria-label": "Price chart. Arrow keys move, plus and minus zoom, End goes to the newest bar." });
  body.append(h("div", { class: "chart-head" }, legend, zooms), place);
  document.getElementById("chart-sub").append(sessionPicker());

  const chart = createChart(place, options());
  const bars = chart.addCustomSeries(new Footprint(), { priceFormat: { type: "price", precision: 2, minMove: 0.25 }, priceLineVisible: true, lastValueVisible: true }, 0);
  const lines = BANDS.map(([name, , width]) => chart.addSeries(LineSeries, { lineWidth: width, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false, autoscaleInfoProvider: () => null, title: name === "vwap" ? "VWAP" : "" }, 0));
  const delta = chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, title: "Delta" }, 1);
  const cvd = chart.addSeries(LineSeries, { lineWidth: 2, priceFormat: { type: "volume" }, priceLineVisible: false, title: "CVD" }, 2);
  const [profile, fills] = [new Profile(), new Fills()];
  bars.attachPrimitive(profile);
  bars.attachPrimitive(fills);
  chart.panes().forEach((pane, k) => pane.setStretchFactor([6, 1, 1][k]));
  keys(place, chart);
  place.dataset.empty = "no closed bar in this session yet";

  const priceLines = new Map();
  let forming = null;
  let frame = null;

  bars.applyOptions({ autoscaleInfoProvider: (original) => {
    const found = original();
    const held = session.past ? null : frame?.held;
    const newest = (session.past ? null : frame?.book.last) ?? session.bars.at(-1)?.c ?? null;
    const spacing = chart.timeScale().options().barSpacing;
    if (found && spacing >= NUMBERS_FROM && newest !== null) {
      // Numbers need room: as many prices as can be read, around the newest.
      const half = points(chart.panes()[0].getHeight() / 26);
      const middle = points(newest);
      return { priceRange: { minValue: middle - half, maxValue: middle + half } };
    }
    if (!found || !held || newest === null) return found;
    for (const price of [held.stop, held.target, held.entry]) {
      if (price === null || Math.abs(price - newest) > NEAR) continue;
      found.priceRange.minValue = Math.min(found.priceRange.minValue, fmt.points(price) - 1);
      found.priceRange.maxValue = Math.max(found.priceRange.maxValue, fmt.points(price) + 1);
    }
    return found;
  } });

  function setLine(name, price, title, tint, style, width) {
    const before = priceLines.get(name);
    if (price === null || price === undefined) {
      if (before) { bars.removePriceLine(before); priceLines.delete(name); }
      return;
    }
    const wanted = { price: fmt.points(price), title, color: colours()[tint], lineStyle: style, lineWidth: width, axisLabelVisible: true, axisLabelTextColor: colours().surface };
    if (before) before.applyOptions(wanted);
    else priceLines.set(name, bars.createPriceLine(wanted));
  }

  const ohlc = (bar) => ({ time: bar.time, open: fmt.points(bar.o), high: fmt.points(bar.h), low: fmt.points(bar.l), close: fmt.points(bar.c), rows: bar.rows, bar });

  function setAll() {
    const colour = colours();
    const known = session.bars;
    bars.setData(known.map(ohlc));
    BANDS.forEach(([, times], k) => {
      lines[k].applyOptions({ color: times === 0 ? colour.vwap : fade(colour.vwap, times * times === 1 ? 0.6 : 0.3) });
      lines[k].setData(known.filter((bar) => Number.isFinite(bar.vwap)).map((bar) => ({ time: bar.time, value: fmt.points(bar.vwap + times * bar.sd) })));
    });
    delta.setData(known.map((bar) => ({ time: bar.time, value: bar.d, color: bar.d >= 0 ? colour.up : colour.down })));
    cvd.applyOptions({ color: colour.accent });
    cvd.setData(known.map((bar) => ({ time: bar.time, value: bar.cvd })));
    fills.show(placed());
    if (known.length) delete place.dataset.empty;
    else place.dataset.empty = "no closed bar in this session yet";
    forming = null;
    grow();
    window.__mia.chart = { bars: known.length, last: known.at(-1) ?? null };
    describe(known.at(-1));
  }

  // Each fill at the bar that it fell into.
  function placed() {
    const found = [];
    let k = 0;
    for (const fill of [...session.fills].sort((a, b) => a.t - b.t)) {
      while (k + 1 < session.bars.length && session.bars[k + 1].t <= fill.t) k += 1;
      if (session.bars.length) found.push({ ...fill, time: session.bars[k].time });
    }
    return found;
  }

  // The open bar, as far as frames have shown it: hollow, and replaced when it closes.
  function grow() {
    const last = session.past ? null : frame?.book.last;
    const before = session.bars.at(-1);
    if (!before || last === null || last === undefined || frame.ts < before.t) return;
    if (forming === null) {
      const step = session.bars.length > 1 ? before.time - session.bars.at(-2).time : 60;
      forming = { time: before.time + Math.max(1, step), o: before.c, h: Math.max(before.c, last), l: Math.min(before.c, last), c: last };
    }
    forming = { ...forming, h: Math.max(forming.h, last), l: Math.min(forming.l, last), c: last };
    bars.update({ ...ohlc(forming), forming: true });
    window.__mia.forming = forming;
  }

  function describe(bar) {
    if (!bar) return;
    const { o, h: high, l, c, v, d } = bar;
    const numbers = v === undefined ? "open bar" : `V ${fmt.whole(v)}  \u0394 ${fmt.change(d)}`;
    legend.textContent = `${fmt.hhmm(bar.t ?? bar.time * 1e9)}  O ${fmt.price(o)}  H ${fmt.price(high)}  L ${fmt.price(l)}  C ${fmt.price(c)}  ${numbers}`;
  }

  chart.subscribeCrosshairMove((move) => {
    const shown = move.seriesData?.get(bars);
    describe(shown?.bar ?? session.bars.at(-1));
  });

  for (const [name, spacing] of Object.entries(ZOOMS)) {
    const button = h("button", { type: "button", class: "quiet", "data-zoom": name }, name);
    button.addEventListener("click", () => {
      if (spacing === null) chart.timeScale().fitContent();
      else {
        chart.timeScale().applyOptions({ barSpacing: spacing, rightOffsetPixels: 96 });
        chart.timeScale().scrollToRealTime();
      }
    });
    zooms.append(button);
  }

  let fitted = null;
  onSession(() => {
    setAll();
    showLevels();
    if (fitted === session.id || !session.bars.length) return;
    fitted = session.id;
    chart.timeScale().applyOptions({ barSpacing: CELLS_FROM + 12, rightOffsetPixels: 96 });
    chart.timeScale().scrollToRealTime();
  });
  follow(chart, () => { setAll(); showLevels(); });

  // Of an earlier session its last bar knows the levels; what is held now was not held then.
  function levelsShown() {
    if (!session.past) return frame?.book.last === null ? {} : (frame?.levels ?? {});
    const { poc, vah, val } = session.bars.findLast((bar) => Number.isFinite(bar.poc)) ?? {};
    return { poc, vah, val };
  }

  function showLevels() {
    const levels = levelsShown();
    for (const [name, title, tint, style] of LINES) setLine(name, levels[name], title, tint, style, 1);
    const held = session.past ? null : frame?.held;
    const open = held && held.quantity !== 0;
    for (const [name, title, tint, style] of OWN) {
      setLine(`own-${name}`, open ? held[name] : null, `${title}`, tint, style, 2);
    }
    const { vah = null, val = null } = levels;
    profile.show(session.profile, { vah, val });
  }

  let shownLevels = "";
  onUpdate((state) => {
    if (!state.frame) return;
    frame = state.frame;
    grow();
    const key = JSON.stringify([frame.levels, frame.held?.stop, frame.held?.target, frame.held?.entry, session.version]);
    if (key !== shownLevels) {
      shownLevels = key;
      showLevels();
    }
  });
  return chart;
}
