// Bars as candles, as cells, or as cells with bid x ask, by how wide a bar is drawn.
import { customSeriesDefaultOptions } from "./vendor/lightweight-charts-5.2.1.mjs";
import { colours, fade } from "./colours.js";
import { points } from "./format.js";

export const CELLS_FROM = 22;
export const NUMBERS_FROM = 64;
const RATIO = 3;

export class Footprint {
  constructor() {
    this.data = null;
    this.paneRenderer = { draw: (target, toY) => this.draw(target, toY) };
  }

  renderer() { return this.paneRenderer; }
  update(data) { this.data = data; }
  priceValueBuilder(bar) { return [bar.high, bar.low, bar.close]; }
  isWhitespace(bar) { return bar.close === undefined; }
  defaultOptions() { return { ...customSeriesDefaultOptions }; }

  draw(target, toY) {
    const { data } = this;
    if (!data?.visibleRange) return;
    target.useBitmapCoordinateSpace(({ context, horizontalPixelRatio: h, verticalPixelRatio: v }) => {
      const colour = colours();
      for (let k = data.visibleRange.from; k < data.visibleRange.to; k += 1) {
        const bar = data.bars[k];
        const cells = data.barSpacing >= CELLS_FROM && bar.originalData.rows?.length;
        if (cells) drawCells(context, bar, data.barSpacing, toY, h, v, colour);
        else drawCandle(context, bar, data.barSpacing, toY, h, v, colour);
      }
    });
  }
}

function drawCandle(context, bar, spacing, toY, h, v, colour) {
  const { open, high, low, close, forming } = bar.originalData;
  const rising = close >= open;
  const x = Math.round(bar.x * h);
  const width = Math.max(1, Math.round(Math.min(spacing * 0.72, 16) * h));
  const wick = Math.max(1, Math.round(h));
  const top = toY(Math.max(open, close)) * v;
  const height = Math.max(1, toY(Math.min(open, close)) * v - top);
  context.fillStyle = context.strokeStyle = rising ? colour.up : colour.down;
  context.fillRect(x - wick / 2, toY(high) * v, wick, (toY(low) - toY(high)) * v);
  if (forming) {
    context.fillStyle = colour.surface;
    context.fillRect(x - width / 2, top, width, height);
    context.lineWidth = wick;
    context.strokeRect(x - width / 2, top, width, height);
  } else context.fillRect(x - width / 2, top, width, height);
}

// One cell a price: opacity by its share of the bar's largest, colour by who was the aggressor.
function drawCells(context, bar, spacing, toY, h, v, colour) {
  const { open, close, rows } = bar.originalData;
  const x = bar.x * h;
  const width = Math.max(4, (spacing - 8) * h);
  const left = x - width / 2 + 3 * h;
  const largest = rows.reduce((most, row) => Math.max(most, row[1] + row[2]), 1);
  const poc = rows.find((row) => row[1] + row[2] === largest)?.[0];
  const cell = Math.abs((toY(0) - toY(0.25)) * v);
  const numbers = spacing >= NUMBERS_FROM && cell >= 9 * v;
  context.fillStyle = close >= open ? colour.up : colour.down;
  const top = Math.min(toY(open), toY(close)) * v;
  context.fillRect(x - width / 2, top, 2 * h, Math.max(h, Math.abs(toY(open) - toY(close)) * v));
  const under = new Map(rows.map((row) => [row[0] + 1, row]));
  for (const [price, bid, ask] of rows) {
    const y = toY(points(price)) * v;
    const height = Math.max(1, cell - (cell > 4 ? 1 : 0));
    const strength = 0.1 + 0.6 * ((bid + ask) / largest);
    context.fillStyle = fade(ask >= bid ? colour.up : colour.down, strength);
    context.fillRect(left, y - height / 2, width - 3 * h, height);
    if (price === poc) {
      context.strokeStyle = colour.poc;
      context.lineWidth = Math.max(1, h);
      context.strokeRect(left + 0.5, y - height / 2 + 0.5, width - 3 * h - 1, height - 1);
    }
    if (!numbers) continue;
    // A buyer meets the bid a tick below: the diagonal tells imbalance.
    const bought = ask >= RATIO * Math.max(1, under.get(price)?.[1] ?? 0);
    const sold = bid >= RATIO * Math.max(1, rows.find((row) => row[0] === price + 1)?.[2] ?? 0);
    const size = Math.min(11, cell / v - 1) * v;
    const middle = left + (width - 3 * h) / 2;
    context.textBaseline = "middle";
    const half = (width - 3 * h) / 2;
    drawNumber(context, bid, middle, y, -1, sold && colour.down, { half, height, size, h, colour });
    drawNumber(context, ask, middle, y, 1, bought && colour.up, { half, height, size, h, colour });
    context.font = `${size}px ${colour.mono}`;
    context.fillStyle = colour.muted;
    context.textAlign = "center";
    context.fillText("\u00d7", middle, y);
  }
}

// A number that outweighs its diagonal stands on plain ground, bold, with a mark at the edge.
function drawNumber(context, number, middle, y, way, imbalance, { half, height, size, h, colour }) {
  if (imbalance) {
    context.fillStyle = colour.surface;
    context.fillRect(way > 0 ? middle + 3 * h : middle - half + h, y - height / 2, half - 4 * h, height);
    context.fillStyle = imbalance;
    context.fillRect(middle + way * (half - h) - (way > 0 ? 2 * h : 0), y - height / 2, 2 * h, height);
  }
  context.font = `${imbalance ? "bold " : ""}${size}px ${colour.mono}`;
  context.fillStyle = imbalance || colour.text;
  context.textAlign = way > 0 ? "left" : "right";
  context.fillText(number, middle + way * 5 * h, y);
}
