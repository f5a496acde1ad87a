// Depth by price, own working orders on their price, what the position is worth there.
import { canvas2d, h } from "./dom.js";
import { colours, fade, onTheme } from "./colours.js";
import { getJson, onUpdate, put } from "./feed.js";
import { session } from "./session.js";
import * as fmt from "./format.js";

const ROW = 17;
const TAGS = { ENTRY: "ENT", STOP: "STP", TARGET: "TGT", FLATTEN: "OUT" };

export function ladder(body) {
  const canvas = h("canvas", { id: "ladder", role: "img", "aria-label": "Depth of market" });
  body.append(canvas);
  let centre = null;
  let frame = null;
  let said = 0;
  let values = {};
  getJson("/api/about").then((about) => { values = about.tick_values; }).catch(() => {});

  function draw() {
    const { context, width, height } = canvas2d(canvas);
    const colour = colours();
    const { book } = frame;
    const middle = book.last ?? book.bid;
    context.font = `11px ${colour.mono}`;
    context.textBaseline = "middle";
    if (middle === null) {
      context.fillStyle = colour.muted;
      context.textAlign = "center";
      context.fillText("no price yet", width / 2, height / 2);
      return;
    }
    const count = Math.floor(height / ROW);
    const half = Math.floor(count / 2);
    if (centre === null || Math.abs(middle - centre) > half * 0.6) centre = middle;
    const bids = new Map(book.bids.length ? book.bids : book.bid === null ? [] : [[book.bid, 0]]);
    const asks = new Map(book.asks.length ? book.asks : book.ask === null ? [] : [[book.ask, 0]]);
    const most = Math.max(1, ...bids.values(), ...asks.values());
    let traded = 1;
    for (const [bid, ask] of session.profile.values()) traded = Math.max(traded, bid + ask);
    const working = new Map();
    for (const order of frame.orders) if (order.price !== null) working.set(order.price, order);
    // P&L | bid size | price | ask size | traded today
    const edges = [0, 0.2, 0.42, 0.66, 0.86, 1].map((part) => Math.round(part * width));
    for (let k = 0; k < count; k += 1) {
      const price = centre + half - k;
      drawRow(context, k * ROW, price, { colour, edges, most, traded, bids, asks, book, working });
    }
    context.fillStyle = colour.line;
    for (const edge of [edges[1], edges[2], edges[3], edges[4]]) context.fillRect(edge, 0, 1, height);
  }

  function drawRow(context, y, price, { colour, edges, most, traded, bids, asks, book, working }) {
    const at = y + ROW / 2;
    const isLast = price === book.last;
    if (isLast) {
      context.fillStyle = colour.raised;
      context.fillRect(0, y, edges[5], ROW);
    }
    const bid = bids.get(price);
    const ask = asks.get(price);
    if (bid !== undefined) {
      const size = ((edges[2] - edges[1]) * bid) / most;
      context.fillStyle = fade(colour.up, 0.35);
      context.fillRect(edges[2] - size, y + 1, size, ROW - 2);
      text(context, bid || "bid", edges[2] - 5, at, "right", colour.text);
    }
    if (ask !== undefined) {
      context.fillStyle = fade(colour.down, 0.35);
      context.fillRect(edges[3] + 1, y + 1, ((edges[4] - edges[3]) * ask) / most, ROW - 2);
      text(context, ask || "ask", edges[3] + 5, at, "left", colour.text);
    }
    const level = session.profile.get(price);
    if (level) {
      context.fillStyle = fade(colour.muted, 0.4);
      context.fillRect(edges[4] + 2, y + 3, ((edges[5] - edges[4] - 3) * (level[0] + level[1])) / traded, ROW - 6);
    }
    if (isLast) {
      context.strokeStyle = colour.accent;
      context.strokeRect(edges[2] + 1.5, y + 1.5, edges[3] - edges[2] - 2, ROW - 3);
    }
    context.font = `${isLast ? "bold " : ""}11px ${colour.mono}`;
    text(context, fmt.price(price), (edges[2] + edges[3]) / 2, at, "center", isLast ? colour.text : colour.muted);
    context.font = `11px ${colour.mono}`;
    const { held } = frame;
    if (held && held.quantity !== 0 && held.entry !== null) {
      const worth = (price - held.entry) * held.quantity * (values[held.symbol] ?? NaN);
      const isEntry = price === Math.round(held.entry);
      text(context, isEntry ? "entry" : fmt.change(worth), edges[1] - 4, at, "right", isEntry ? colour.accent : fade(worth >= 0 ? colour.up : colour.down, 0.85));
    }
    const order = working.get(price);
    if (order) {
      const tint = order.role === "STOP" ? colour.down : order.role === "TARGET" ? colour.up : colour.accent;
      const [from, to] = order.side > 0 ? [edges[1] + 2, edges[2] - 1] : [edges[3] + 2, edges[4] - 1];
      context.fillStyle = tint;
      context.fillRect(from, y + 1, to - from, ROW - 2);
      context.font = `bold 10px ${colour.mono}`;
      text(context, `${TAGS[order.role] ?? order.role} ${order.quantity - order.filled_quantity}`, (from + to) / 2, at, "center", colour.surface);
      context.font = `11px ${colour.mono}`;
    }
  }

  function describe() {
    if (performance.now() - said < 2000) return;
    said = performance.now();
    const { book, orders } = frame;
    const own = orders.map((order) => `${order.role.toLowerCase()} ${order.quantity} at ${fmt.price(order.price)}`).join(", ");
    canvas.setAttribute("aria-label", `Depth of market. Last ${fmt.price(book.last)}, bid ${fmt.price(book.bid)}, ask ${fmt.price(book.ask)}. Own orders: ${own || "none"}`);
  }

  onUpdate((state) => {
    if (!state.frame) return;
    frame = state.frame;
    window.__mia.shown.bid = frame.book.bid;
    window.__mia.shown.ask = frame.book.ask;
    window.__mia.shown.last = frame.book.last;
    const { bids, asks } = frame.book;
    put("depth-sub", bids.length + asks.length, bids.length || asks.length ? "P&L, bid, price, ask, traded" : "this feed has no depth");
    draw();
    describe();
  });
  onTheme(() => frame && draw());
  new ResizeObserver(() => frame && draw()).observe(body);
}

function text(context, value, x, y, align, colour) {
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(value, x, y);
}
