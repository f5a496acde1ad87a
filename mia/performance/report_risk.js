"use strict";

const sessionLine = { t: cumulated(data.sessions.t), usd: cumulated(data.sessions.net).map((cents) => cents / 100) };

/** Draw the known values of a rolling figure over time. */
function drawRolling(id, label, times, values) {
  if (!byId(id)) return;
  const known = values.map((value, k) => k).filter((k) => values[k] !== null);
  if (!known.length) return;
  timeChart(id, label, known.map((k) => times[k]), known.map((k) => values[k]), { include: 0, margins: [8, 12, 24, 44] });
}

function drawCone() {
  const cone = summary.cone;
  if (!cone) return;
  const at = [0, ...cone.at_session];
  const level = (name) => [0, ...cone.sum_usd[name]];
  const own = at.map((k) => (k ? sessionLine.usd[k - 1] : 0));
  const area = drawing("cone-plot", `Bands of ${cone.paths} other orders of the sessions`, [10, 12, 40, 66]);
  let [low, high] = extent([...level("p05"), ...level("p95"), ...own]);
  if (low === high) [low, high] = [low - 1, high + 1];
  const pad = (high - low) * 0.05;
  [low, high] = [low - pad, high + pad];
  const last = at[at.length - 1];
  const x = (k) => area.left + (k / last) * (area.right - area.left);
  const y = (usd) => area.bottom - ((usd - low) / (high - low)) * (area.bottom - area.top);
  const { ticks, digits } = valueTicks(low, high, Math.max(2.5, (area.bottom - area.top) / 45));
  for (const tick of ticks) {
    svgElement("line", { class: "grid", x1: area.left, x2: area.right, y1: y(tick), y2: y(tick) }, area.svg);
    svgElement("text", { x: area.left - 6, y: y(tick) + 4, "text-anchor": "end" }, area.svg, grouped(tick, digits));
  }
  for (const tick of valueTicks(0, last, (area.right - area.left) / 80).ticks.filter(Number.isInteger)) {
    svgElement("text", { x: x(tick), y: area.bottom + 17, "text-anchor": "middle" }, area.svg, grouped(tick, 0));
  }
  svgElement("text", { x: (area.left + area.right) / 2, y: area.bottom + 34, "text-anchor": "middle" }, area.svg, "sessions");
  const xs = at.map(x);
  for (const [lower, upper] of [["p05", "p95"], ["p25", "p75"]]) {
    const up = linePath(xs, level(upper).map(y));
    const back = linePath([...xs].reverse(), level(lower).map(y).reverse()).replace("M", "L");
    svgElement("path", { class: "band", d: `${up}${back}Z` }, area.svg);
  }
  svgElement("line", { class: "rule", x1: area.left, x2: area.right, y1: y(0), y2: y(0) }, area.svg);
  svgElement("path", { class: "middle", d: linePath(xs, level("p50").map(y)) }, area.svg);
  svgElement("path", { class: "curve", d: linePath(xs, own.map(y)) }, area.svg);
  const show = (k) => {
    byId("cone-readout").textContent = `After ${grouped(at[k], 0)} sessions: this run ${grouped(own[k], 0, true)} USD; ` +
      `90 % of orders ${grouped(level("p05")[k], 0, true)} to ${grouped(level("p95")[k], 0, true)}, middle ${grouped(level("p50")[k], 0, true)}`;
  };
  walkable({ ...area, xs }, at.length, show);
  if (!byId("cone-readout").textContent) show(at.length - 1);
}

/** Share of winners among the latest trades, null before there are enough. */
function rollingWins() {
  const window = summary.rolling.win_rate.window_trades;
  let wins = 0;
  return trades.net_pnl.map((net, k) => {
    wins += (net > 0) - (k >= window && trades.net_pnl[k - window] > 0);
    return k + 1 < window ? null : wins / window;
  });
}

/** Draw the sum of results in R after each trade, which no size of a position sways. */
function drawSum() {
  let sum = 0;
  const sums = trades.r_multiple.map((r) => (sum += r ?? 0));
  if (!sums.length) return;
  timeChart("r-sum-plot", `Sum of results, ${grouped(sum, 1, true)} R`, trades.t_exit, sums, { include: 0 });
}

function drawRollings() {
  drawRolling("rolling-sharpe", "Rolling Sharpe ratio", sessionLine.t, data.sessions.sharpe);
  drawRolling("rolling-expectancy", "Rolling mean R", trades.t_exit, data.sessions.expectancy);
  drawRolling("rolling-wins", "Rolling win rate", trades.t_exit, rollingWins());
}

redraws.push(drawCone, drawSum, drawRollings);
