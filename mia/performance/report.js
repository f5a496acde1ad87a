"use strict";

const summary = JSON.parse(document.getElementById("summary").textContent);
const data = JSON.parse(document.getElementById("data").textContent);
const trades = data.trades;
const tradeCount = trades.net_pnl.length;

const byId = (id) => document.getElementById(id);
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

function cumulated(steps) {
  let sum = 0;
  return steps.map((step) => (sum += step));
}

/** Index of the last of ascending values that is not above x, -1 if there is none. */
function lastNotAbove(values, x) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Smallest and largest, of lists that are too long to be arguments. */
function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function nearest(values, x) {
  const k = lastNotAbove(values, x);
  if (k < 0) return 0;
  return k + 1 < values.length && values[k + 1] - x < x - values[k] ? k + 1 : k;
}

// Text.

function grouped(value, digits, sign) {
  if (value === null) return "–";
  const text = Math.abs(value).toFixed(digits);
  const [whole, part] = text.split(".");
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const zero = Number(text) === 0;
  const mark = value < 0 && !zero ? "−" : sign && !zero ? "+" : "";
  return mark + apart + (part ? "." + part : "");
}

const points = (ticks) => grouped(ticks * data.tick, 2);

const newYork = new Intl.DateTimeFormat("en-CA", {
  timeZone: "America/New_York", hourCycle: "h23", year: "numeric", month: "2-digit",
  day: "2-digit", hour: "2-digit", minute: "2-digit",
});

function wallClock(seconds) {
  const part = {};
  for (const { type, value } of newYork.formatToParts(seconds * 1000)) part[type] = value;
  return { date: `${part.year}-${part.month}-${part.day}`, time: `${part.hour}:${part.minute}` };
}

function moment(seconds) {
  const { date, time } = wallClock(seconds);
  return `${date} ${time}`;
}

const named = (column, k) => trades[column].names[trades[column].codes[k]];

// Axes.

function niceStep(span, wanted) {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find((f) => f * power >= raw * 0.999);
  return factor * power;
}

function valueTicks(low, high, wanted) {
  const step = niceStep(high - low, wanted);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) ticks.push(k * step);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function timeTicks(low, high, wanted) {
  const days = (high - low) / 86400;
  const ticks = [];
  if (days > 100) {
    const months = [1, 2, 3, 6, 12, 24, 60].find((m) => days / (30.4 * m) <= wanted) || 120;
    const start = new Date(low * 1000);
    let index = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months;
    for (; ; index += months) {
      const t = Date.UTC(Math.floor(index / 12), index % 12, 1) / 1000;
      if (t > high) break;
      if (t >= low) ticks.push([t, new Date(t * 1000).toISOString().slice(0, months >= 12 ? 4 : 7)]);
    }
  } else {
    const step = ([1, 2, 7, 14].find((d) => days / d <= wanted) || 28) * 86400;
    for (let t = Math.ceil(low / step) * step; t <= high; t += step) {
      ticks.push([t, new Date(t * 1000).toISOString().slice(5, 10)]);
    }
  }
  return ticks;
}

// Drawing.

function svgElement(name, attributes, parent, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

/** An empty drawing that fills its box, with its plotting area. */
function drawing(id, label, margins) {
  const box = byId(id);
  box.textContent = "";
  box.hidden = false;
  const [width, height] = [box.clientWidth, box.clientHeight];
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, box);
  const [top, right, bottom, left] = margins;
  return { svg, left, top, right: width - right, bottom: height - bottom };
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A canvas cleared and scaled to device pixels, with its size in CSS pixels. */
function freshCanvas(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

// Redrawing: on a new size, on a change of colours, and in light colours on paper.

const redraws = [];
let pending = 0;

function redrawAll() {
  for (const redraw of redraws) redraw();
}

function redrawSoon() {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(redrawAll);
}

window.addEventListener("resize", redrawSoon);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawSoon);
window.addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  redrawAll();
});
window.addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  redrawAll();
});

// One trade is selected at a time; every part of the page that shows it listens.

const selection = { trade: -1, listeners: [] };

function selectTrade(k, scroll) {
  if (k < 0 || k >= tradeCount) return;
  selection.trade = k;
  for (const listen of selection.listeners) listen(k);
  if (scroll) byId("chart").scrollIntoView({ block: "start" });
}
