"use strict";

const candles = (() => {
  const { width, runs, opens, highs, lows, closes } = data.pack;
  const n = opens.length;
  const c = { width, n, t: new Float64Array(n), open: new Int32Array(n), high: new Int32Array(n),
    low: new Int32Array(n), close: new Int32Array(n), starts: new Uint8Array(n) };
  let at = 0;
  let time = 0;
  for (let r = 0; r < runs.length; r += 2) {
    time += runs[r];
    c.starts[at] = 1;
    for (let k = 0; k < runs[r + 1]; k++, time += width) c.t[at++] = time;
  }
  let before = 0;
  for (let k = 0; k < n; k++) {
    c.open[k] = before + opens[k];
    c.close[k] = c.open[k] + closes[k];
    c.high[k] = Math.max(c.open[k], c.close[k]) + highs[k];
    c.low[k] = Math.min(c.open[k], c.close[k]) - lows[k];
    before = c.close[k];
  }
  return c;
})();

const daily = { t: cumulated(data.daily.t), close: cumulated(data.daily.close) };

/** Candle that a time falls into, -1 if it is not in the page. */
function candleAt(seconds) {
  const k = lastNotAbove(candles.t, seconds);
  return k >= 0 && (seconds < candles.t[k] + candles.width || !candles.width) ? k : -1;
}

const entries = trades.t_entry.map(candleAt);
const exits = trades.t_exit.map(candleAt);

const canvas = byId("candles");
const view = { first: 0, count: 80 };
let frame = null;
let overview = null;

function setView(first, count) {
  view.count = clamp(count, Math.min(15, candles.n), Math.min(candles.n, 3000));
  view.first = clamp(first, 0, candles.n - view.count);
  drawCandles();
  drawView();
}

function zoom(factor, around = view.first + view.count / 2) {
  const count = clamp(view.count * factor, Math.min(15, candles.n), Math.min(candles.n, 3000));
  setView(around - ((around - view.first) / view.count) * count, count);
}

const inView = (k) => k >= view.first - 1 && k <= view.first + view.count;

function drawCandles() {
  if (!candles.n) return;
  const { pen, width, height } = freshCanvas(canvas);
  const area = { left: 8, right: width - 66, top: 12, bottom: height - 24 };
  const from = Math.floor(view.first);
  const to = Math.min(candles.n, Math.ceil(view.first + view.count));
  const chosen = selection.trade;
  let low = Infinity;
  let high = -Infinity;
  for (let k = from; k < to; k++) {
    low = Math.min(low, candles.low[k]);
    high = Math.max(high, candles.high[k]);
  }
  if (chosen >= 0 && inView(entries[chosen])) {
    low = Math.min(low, trades.stop[chosen], trades.target[chosen]);
    high = Math.max(high, trades.stop[chosen], trades.target[chosen]);
  }
  const pad = Math.max(2, (high - low) * 0.07);
  const step = (area.right - area.left) / view.count;
  const x = (k) => area.left + (k + 0.5 - view.first) * step;
  const y = (ticks) => area.bottom - ((ticks - low + pad) / (high - low + 2 * pad)) * (area.bottom - area.top);
  frame = { ...area, step, x, y };
  drawPrices(pen, (low - pad) * data.tick, (high + pad) * data.tick);
  drawTimes(pen, from, to);
  pen.save();
  pen.beginPath();
  pen.rect(area.left, 0, area.right - area.left, area.bottom);
  pen.clip();
  drawBodies(pen, from, to);
  for (let k = 0; k < tradeCount; k++) {
    if (k !== chosen && (inView(entries[k]) || inView(exits[k]))) drawTrade(pen, k, false);
  }
  if (chosen >= 0) drawTrade(pen, chosen, true);
  pen.restore();
  const span = `${moment(candles.t[from])} to ${moment(candles.t[to - 1])}`;
  canvas.setAttribute("aria-label", `${to - from} candles, ${span} New York`);
}

function drawPrices(pen, low, high) {
  const { ticks } = valueTicks(low, high, (frame.bottom - frame.top) / 45);
  pen.strokeStyle = colour("--grid");
  pen.fillStyle = colour("--quiet");
  pen.textAlign = "left";
  for (const price of ticks) {
    const at = frame.y(price / data.tick);
    pen.beginPath();
    pen.moveTo(frame.left, at);
    pen.lineTo(frame.right, at);
    pen.stroke();
    pen.fillText(grouped(price, 2), frame.right + 5, at + 4);
  }
}

function drawTimes(pen, from, to) {
  pen.textAlign = "center";
  pen.fillStyle = colour("--quiet");
  let free = -Infinity;
  for (let k = from; k < to; k++) {
    const at = frame.x(k);
    const day = candles.starts[k] === 1;
    if (day) {
      pen.strokeStyle = colour("--line");
      pen.beginPath();
      pen.moveTo(at - frame.step / 2, frame.top);
      pen.lineTo(at - frame.step / 2, frame.bottom);
      pen.stroke();
    }
    if (at < free || at > frame.right - 20 || at < frame.left + 20) continue;
    const wide = frame.step * 12 < 4;
    if (!day && (wide || candles.t[k] % 1800)) continue;
    const clock = wallClock(candles.t[k]);
    pen.fillText(day ? clock.date.slice(5) : clock.time, at, frame.bottom + 17);
    free = at + 62;
  }
}

function drawBodies(pen, from, to) {
  const body = Math.max(1, frame.step * 0.66);
  pen.lineWidth = 1;
  for (const rising of [true, false]) {
    pen.strokeStyle = pen.fillStyle = colour(rising ? "--gain" : "--loss");
    pen.beginPath();
    for (let k = from; k < to; k++) {
      if (candles.close[k] >= candles.open[k] !== rising) continue;
      const at = frame.x(k);
      pen.moveTo(at, frame.y(candles.high[k]));
      pen.lineTo(at, frame.y(candles.low[k]));
    }
    pen.stroke();
    if (frame.step < 2.5) continue;
    for (let k = from; k < to; k++) {
      if (candles.close[k] >= candles.open[k] !== rising) continue;
      const top = frame.y(Math.max(candles.open[k], candles.close[k]));
      const size = Math.max(1, frame.y(Math.min(candles.open[k], candles.close[k])) - top);
      if (rising && body > 3) {
        pen.clearRect(frame.x(k) - body / 2, top, body, size);
        pen.strokeRect(frame.x(k) - body / 2 + 0.5, top, body - 1, size);
      } else {
        pen.fillRect(frame.x(k) - body / 2, top, body, size);
      }
    }
  }
}

function drawTrade(pen, k, chosen) {
  const [from, to] = [frame.x(entries[k]), frame.x(exits[k])];
  const [entry, exit] = [frame.y(trades.entry[k]), frame.y(trades.exit[k])];
  const ink = colour(trades.net_pnl[k] > 0 ? "--gain" : "--loss");
  const accent = colour("--accent");
  if (chosen) {
    const end = Math.max(to, from + 40);
    for (const [ticks, name] of [[trades.stop[k], "stop"], [trades.target[k], "target"]]) {
      const at = frame.y(ticks);
      pen.strokeStyle = pen.fillStyle = accent;
      pen.setLineDash(name === "stop" ? [2, 3] : [7, 4]);
      pen.beginPath();
      pen.moveTo(from, at);
      pen.lineTo(end, at);
      pen.stroke();
      pen.textAlign = "left";
      pen.fillText(`${name} ${points(ticks)}`, Math.min(end + 6, frame.right - 100), at + 4);
    }
  }
  pen.setLineDash([4, 3]);
  pen.strokeStyle = ink;
  pen.lineWidth = chosen ? 2 : 1.2;
  pen.beginPath();
  pen.moveTo(from, entry);
  pen.lineTo(to, exit);
  pen.stroke();
  pen.setLineDash([]);
  const size = chosen ? 8 : 6;
  const up = trades.side[k] > 0 ? 1 : -1;
  pen.fillStyle = accent;
  pen.beginPath();
  pen.moveTo(from, entry);
  pen.lineTo(from - size, entry + up * size * 1.6);
  pen.lineTo(from + size, entry + up * size * 1.6);
  pen.fill();
  pen.fillStyle = colour("--card");
  pen.beginPath();
  pen.arc(to, exit, size * 0.65, 0, 7);
  pen.fill();
  pen.stroke();
  pen.lineWidth = 1;
}

function drawDaily() {
  if (!daily.t.length) return;
  const label = `Close of each of ${daily.t.length} sessions, ${points(daily.close[0])} to ${points(daily.close[daily.close.length - 1])}`;
  const closes = daily.close.map((ticks) => ticks * data.tick);
  const chart = timeChart("daily-plot", label, daily.t, closes, { margins: [6, 12, 24, 66] });
  chart.band = svgElement("rect", { class: "view", y: chart.top, height: chart.bottom - chart.top, width: 0 }, chart.svg);
  const marks = { true: "", false: "" };
  trades.t_entry.forEach((t, k) => {
    const at = clamp(chart.x(t), chart.left, chart.right).toFixed(1);
    marks[trades.net_pnl[k] > 0] += `M${at} ${chart.bottom - 6}V${chart.bottom}`;
  });
  svgElement("path", { d: marks[true], stroke: "var(--gain)" }, chart.svg);
  svgElement("path", { d: marks[false], stroke: "var(--loss)" }, chart.svg);
  chart.svg.addEventListener("click", (event) => {
    if (!tradeCount) return;
    const at = event.clientX - chart.svg.getBoundingClientRect().left;
    let found = 0;
    trades.t_entry.forEach((t, k) => {
      if (Math.abs(chart.x(t) - at) < Math.abs(chart.x(trades.t_entry[found]) - at)) found = k;
    });
    selectTrade(found);
  });
  overview = chart;
  drawView();
}

function drawView() {
  if (!overview || !candles.n) return;
  const place = (k) => clamp(overview.x(candles.t[clamp(Math.floor(k), 0, candles.n - 1)]), overview.left, overview.right);
  const from = place(view.first);
  overview.band.setAttribute("x", from - 1);
  overview.band.setAttribute("width", Math.max(2, place(view.first + view.count - 1) - from));
}

function showTrade(k) {
  const side = trades.side[k] > 0 ? "long" : "short";
  byId("trade-readout").textContent =
    `Trade ${k + 1} of ${tradeCount}: ${side} ${trades.quantity[k]} ${named("symbol", k)}, ` +
    `${moment(trades.t_entry[k])} at ${points(trades.entry[k])} to ${wallClock(trades.t_exit[k]).time} at ` +
    `${points(trades.exit[k])} by ${named("exit_reason", k)}; ${grouped(trades.net_pnl[k], 2, true)} USD, ` +
    `${grouped(trades.r_multiple[k], 2, true)} R; ${named("trigger", k)} in ${named("regime", k)}.` +
    (entries[k] < 0 ? " Its candles are not in this page." : "");
  byId("trade-before").disabled = k === 0;
  byId("trade-after").disabled = k === tradeCount - 1;
  if (entries[k] < 0) return drawCandles();
  const last = exits[k] < 0 ? entries[k] : exits[k];
  const count = Math.max(60, (last - entries[k]) * 2.2);
  setView((entries[k] + last + 1 - count) / 2, count);
}

function readCandle(event) {
  if (!frame) return;
  const k = Math.floor(view.first + (event.offsetX - frame.left) / frame.step);
  if (k < 0 || k >= candles.n) return;
  const [o, h, l, c] = [candles.open, candles.high, candles.low, candles.close].map((v) => points(v[k]));
  byId("candle-readout").textContent = `${moment(candles.t[k])}  open ${o}  high ${h}  low ${l}  close ${c}`;
}

function pickTrade(event) {
  let found = -1;
  let distance = 16 ** 2;
  for (let k = 0; k < tradeCount; k++) {
    for (const [at, ticks] of [[entries[k], trades.entry[k]], [exits[k], trades.exit[k]]]) {
      if (at < 0) continue;
      const d = (frame.x(at) - event.offsetX) ** 2 + (frame.y(ticks) - event.offsetY) ** 2;
      if (d < distance) [found, distance] = [k, d];
    }
  }
  selectTrade(found);
}

const fingers = new Map();
let moved = 0;

canvas.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, event.offsetX);
  canvas.setPointerCapture(event.pointerId);
  if (fingers.size === 1) moved = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (before === undefined || !frame) return readCandle(event);
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.max(20, Math.abs(a - b)); };
  const was = fingers.size === 2 ? spread() : 0;
  fingers.set(event.pointerId, event.offsetX);
  moved += Math.abs(event.offsetX - before);
  if (fingers.size === 2) zoom(was / spread());
  else setView(view.first - (event.offsetX - before) / frame.step, view.count);
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (name === "pointerup" && moved < 4 && frame) pickTrade(event);
  });
}
// Without focus or Ctrl the wheel belongs to the page.
canvas.addEventListener("wheel", (event) => {
  if (!frame || (document.activeElement !== canvas && !event.ctrlKey)) return;
  event.preventDefault();
  zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, view.first + (event.offsetX - frame.left) / frame.step);
}, { passive: false });

const commands = {
  n: () => selectTrade(selection.trade + 1), p: () => selectTrade(selection.trade - 1),
  "+": () => zoom(1 / 1.4), "=": () => zoom(1 / 1.4), "-": () => zoom(1.4),
  ArrowLeft: () => setView(view.first - view.count / 6, view.count),
  ArrowRight: () => setView(view.first + view.count / 6, view.count),
  Home: () => setView(0, view.count), End: () => setView(candles.n, view.count),
};
canvas.addEventListener("keydown", (event) => {
  if (!commands[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  commands[event.key]();
});
for (const [id, key] of [["trade-before", "p"], ["trade-after", "n"], ["zoom-in", "+"],
  ["zoom-out", "-"], ["go-left", "ArrowLeft"], ["go-right", "ArrowRight"]]) {
  byId(id).addEventListener("click", commands[key]);
}

canvas.hidden = byId("candle-controls").hidden = !candles.n;
selection.listeners.push(showTrade);
redraws.push(drawDaily, drawCandles);
