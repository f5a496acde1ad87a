"use strict";

const equity = {
  t: cumulated(data.equity.t),
  usd: cumulated(data.equity.usd).map((cents) => cents / 100),
  fall: data.equity.fall.map((cents) => -cents / 100),
};

function linePath(xs, ys) {
  let path = "";
  for (let k = 0; k < xs.length; k++) path += `${k ? "L" : "M"}${xs[k].toFixed(1)} ${ys[k].toFixed(1)}`;
  return path;
}

/** Draw values over time with axes, and return how to get from values to places. */
function timeChart(id, label, t, values, options) {
  const area = drawing(id, label, options.margins || [10, 12, 24, 66]);
  let [low, high] = extent(options.include === undefined ? values : [...values, options.include]);
  if (low === high) [low, high] = [low - 1, high + 1];
  const pad = (high - low) * 0.05;
  [low, high] = [low - pad, high + pad];
  const first = t[0];
  const last = Math.max(t[t.length - 1], first + 1);
  const x = (time) => area.left + ((time - first) / (last - first)) * (area.right - area.left);
  const y = (value) => area.bottom - ((value - low) / (high - low)) * (area.bottom - area.top);
  const { ticks, digits } = valueTicks(low, high, Math.max(2.5, (area.bottom - area.top) / 45));
  for (const tick of ticks) {
    svgElement("line", { class: "grid", x1: area.left, x2: area.right, y1: y(tick), y2: y(tick) }, area.svg);
    svgElement("text", { x: area.left - 6, y: y(tick) + 4, "text-anchor": "end" }, area.svg,
      grouped(tick, digits));
  }
  for (const [time, text] of timeTicks(first, last, (area.right - area.left) / 90)) {
    if (x(time) > area.right - 20 || x(time) < area.left + 10) continue;
    svgElement("text", { x: x(time), y: area.bottom + 17, "text-anchor": "middle" }, area.svg, text);
  }
  const xs = t.map(x);
  const ys = values.map(y);
  if (options.under) {
    const path = `${linePath(xs, ys)}L${area.right} ${y(0)}L${area.left} ${y(0)}Z`;
    svgElement("path", { class: "under", d: path }, area.svg);
  } else {
    if (options.include !== undefined) {
      svgElement("line", { class: "rule", x1: area.left, x2: area.right, y1: y(options.include), y2: y(options.include) }, area.svg);
    }
    svgElement("path", { class: "curve", d: linePath(xs, ys) }, area.svg);
  }
  return { ...area, x, y, first, last, xs };
}

/** Let pointer and arrow keys walk over the points of a chart. */
function walkable(chart, count, show) {
  const rule = svgElement("line", { class: "rule", y1: chart.top, y2: chart.bottom, visibility: "hidden" }, chart.svg);
  let at = count - 1;
  const go = (k) => {
    at = clamp(k, 0, count - 1);
    rule.setAttribute("visibility", "visible");
    rule.setAttribute("x1", chart.xs[at]);
    rule.setAttribute("x2", chart.xs[at]);
    show(at);
  };
  chart.svg.setAttribute("tabindex", "0");
  chart.svg.addEventListener("pointermove", (event) => {
    go(nearest(chart.xs, event.clientX - chart.svg.getBoundingClientRect().left));
  });
  chart.svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    go(at + step);
  });
}

function drawEquity() {
  const note = byId("equity-note");
  if (!data.equity.marks) {
    note.textContent = `No position was ever held: equity stayed at ${grouped(summary.start_equity_usd, 0)} USD.`;
    return;
  }
  const show = (k) => {
    byId("equity-readout").textContent =
      `${moment(equity.t[k])}: ${grouped(equity.usd[k], 0)} USD, ${grouped(-equity.fall[k], 0)} USD below the high`;
  };
  // A label of ten million needs more room than one of a thousand.
  const left = Math.max(66, 18 + 7 * grouped(extent(equity.usd)[1], 0).length);
  const label = `Equity from ${grouped(summary.start_equity_usd, 0)} to ${grouped(summary.end_equity_usd, 0)} USD`;
  walkable(timeChart("equity-plot", label, equity.t, equity.usd, { include: summary.start_equity_usd, margins: [10, 12, 24, left] }),
    equity.t.length, show);
  const fallLabel = `Drawdown, at most ${grouped(summary.max_drawdown_usd, 0)} USD`;
  walkable(timeChart("fall-plot", fallLabel, equity.t, equity.fall, { include: 0, under: true, margins: [6, 12, 6, left] }),
    equity.t.length, show);
  if (!byId("equity-readout").textContent) show(equity.t.length - 1);
  const thinned = equity.t.length <= data.equity.marks
    ? ` The lines go through the lowest and highest of each stretch, ${grouped(equity.t.length, 0)} points in all.` : "";
  note.textContent = `USD, net of costs, marked at ${grouped(data.equity.marks, 0)} closes with an open position and ends of trades; below, the distance from the high before.${thinned}`;
}

function drawResults() {
  const values = trades.r_multiple.filter((r) => r !== null);
  if (!values.length) return;
  const [smallest, largest] = extent(values);
  const width = Math.max(0.25, niceStep(Math.max(largest - smallest, 1e-9), 40));
  const first = Math.floor(Math.min(smallest, 0) / width);
  const bins = new Array(Math.max(1, Math.floor(Math.max(largest, 0) / width) - first + 1)).fill(0);
  for (const r of values) bins[Math.floor(r / width) - first] += 1;
  const most = Math.max(...bins);
  const area = drawing("r-plot", `Distribution of ${values.length} results in R`, [10, 12, 24, 44]);
  const low = first * width;
  const high = (first + bins.length) * width;
  const x = (r) => area.left + ((r - low) / (high - low)) * (area.right - area.left);
  const y = (count) => area.bottom - (count / most) * (area.bottom - area.top);
  for (const tick of valueTicks(0, most, 5).ticks.filter(Number.isInteger)) {
    svgElement("line", { class: "grid", x1: area.left, x2: area.right, y1: y(tick), y2: y(tick) }, area.svg);
    svgElement("text", { x: area.left - 6, y: y(tick) + 4, "text-anchor": "end" }, area.svg, grouped(tick, 0));
  }
  bins.forEach((count, k) => {
    if (!count) return;
    const from = (first + k) * width;
    const bar = svgElement("rect", {
      class: from >= 0 ? "fill-gain" : "fill-loss", x: x(from) + 0.5, y: y(count),
      width: Math.max(1, x(from + width) - x(from) - 1), height: area.bottom - y(count),
    }, area.svg);
    svgElement("title", {}, bar, `${grouped(from, 2)} to ${grouped(from + width, 2)} R: ${count}`);
  });
  const { ticks, digits } = valueTicks(low, high, (area.right - area.left) / 60);
  for (const tick of ticks) {
    svgElement("text", { x: x(tick), y: area.bottom + 17, "text-anchor": "middle" }, area.svg, grouped(tick, digits));
  }
  const mean = summary.expectancy_r;
  if (mean !== null) {
    svgElement("line", { class: "rule", x1: x(mean), x2: x(mean), y1: area.top, y2: area.bottom }, area.svg);
    svgElement("text", { x: x(mean) + 5, y: area.top + 10 }, area.svg, `mean ${grouped(mean, 2, true)}`);
  }
}

// Where the scatter drew each trade.
const excursions = [];

function drawExcursions() {
  const canvas = byId("excursions");
  if (!tradeCount) return;
  const { pen, width, height } = freshCanvas(canvas);
  const worst = trades.mae_ticks.map((ticks, k) => Math.max(0, -ticks) / trades.distance[k]);
  const best = trades.mfe_ticks.map((ticks, k) => Math.max(0, ticks) / trades.distance[k]);
  const [left, bottom, right, top] = [40, height - 38, width - 12, 10];
  const largestX = Math.max(1.2, extent(worst)[1]) * 1.05;
  const largestY = Math.max(1.2, extent(best)[1]) * 1.05;
  const x = (r) => left + (r / largestX) * (right - left);
  const y = (r) => bottom - (r / largestY) * (bottom - top);
  pen.strokeStyle = colour("--grid");
  pen.fillStyle = colour("--quiet");
  for (const [limit, across] of [[largestX, true], [largestY, false]]) {
    const { ticks, digits } = valueTicks(0, limit, across ? (right - left) / 60 : (bottom - top) / 45);
    pen.textAlign = across ? "center" : "right";
    for (const tick of ticks) {
      pen.beginPath();
      if (across) { pen.moveTo(x(tick), top); pen.lineTo(x(tick), bottom); }
      else { pen.moveTo(left, y(tick)); pen.lineTo(right, y(tick)); }
      pen.stroke();
      if (across) pen.fillText(grouped(tick, digits), x(tick), bottom + 15);
      else pen.fillText(grouped(tick, digits), left - 6, y(tick) + 4);
    }
  }
  pen.textAlign = "center";
  pen.fillText("worst (MAE)", (left + right) / 2, height - 6);
  pen.textAlign = "left";
  pen.fillText("best (MFE)", left + 6, top + 12);
  pen.setLineDash([3, 3]);
  pen.strokeStyle = colour("--quiet");
  pen.beginPath();
  pen.moveTo(x(1), top);
  pen.lineTo(x(1), bottom);
  pen.stroke();
  pen.setLineDash([]);
  const [gain, loss, accent] = ["--gain", "--loss", "--accent"].map(colour);
  excursions.length = 0;
  for (let k = 0; k < tradeCount; k++) {
    const [px, py] = [x(worst[k]), y(best[k])];
    excursions.push([px, py]);
    drawResult(pen, px, py, trades.net_pnl[k] > 0, gain, loss);
  }
  if (selection.trade >= 0) {
    const [px, py] = excursions[selection.trade];
    pen.strokeStyle = accent;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(px, py, 8, 0, 7);
    pen.stroke();
  }
  byId("excursion-readout").textContent = "Discs are winners, crosses losers; the dashed line is the first stop. Pick a point to see its trade.";
}

function drawResult(pen, px, py, won, gain, loss) {
  pen.beginPath();
  if (won) {
    pen.fillStyle = gain;
    pen.arc(px, py, 3.2, 0, 7);
    pen.fill();
  } else {
    pen.strokeStyle = loss;
    pen.lineWidth = 1.4;
    pen.moveTo(px - 3, py - 3);
    pen.lineTo(px + 3, py + 3);
    pen.moveTo(px + 3, py - 3);
    pen.lineTo(px - 3, py + 3);
    pen.stroke();
  }
}

byId("spread-charts").hidden = !tradeCount;
byId("spread-none").hidden = tradeCount > 0;
byId("excursions").addEventListener("click", (event) => {
  const box = event.currentTarget.getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  let found = -1;
  let distance = 15 ** 2;
  excursions.forEach(([x, y], k) => {
    const d = (x - px) ** 2 + (y - py) ** 2;
    if (d < distance) [found, distance] = [k, d];
  });
  selectTrade(found, true);
});

selection.listeners.push(drawExcursions);
redraws.push(drawEquity, drawResults, drawExcursions);
