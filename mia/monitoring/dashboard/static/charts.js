// Charts as SVG: colours are classes of views.css, so a change of theme needs no redraw.
const NS = "http://www.w3.org/2000/svg";

function node(name, attributes, ...children) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Round values in [low, high], about as many as wanted.
export function steps(low, high, wanted) {
  if (!(high > low)) return [low];
  const raw = (high - low) / wanted;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 2.5, 5, 10].find((m) => m * unit >= raw - 1e-12);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= high / step + 1e-9; k += 1) found.push(k * step);
  return found;
}

// Draws with the host's own width, and again whenever that changes.
function drawn(host, label, height, draw) {
  const paint = () => {
    const width = Math.max(240, Math.floor(host.clientWidth));
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
    svg.setAttribute("aria-label", label);
    draw(svg, width);
    host.replaceChildren(svg);
  };
  host.classList.add("plot");
  host.plot?.disconnect();
  host.plot = new ResizeObserver(() => {
    if (host.clientWidth !== host.plotWidth) {
      host.plotWidth = host.clientWidth;
      paint();
    }
  });
  host.plotWidth = host.clientWidth;
  paint();
  host.plot.observe(host);
}

const text = (x, y, words, anchor = "middle", kind = "tick") =>
  node("text", { x, y, "text-anchor": anchor, class: kind }, String(words));
const line = (x1, y1, x2, y2, kind) => node("line", { x1, y1, x2, y2, class: kind });

function frameOf(width, height, left = 62) {
  return { left, right: width - 10, top: 12, bottom: height - 24 };
}

function yAxis(svg, box, low, high, write, wanted = 4) {
  const y = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
  for (const value of steps(low, high, wanted)) {
    svg.append(line(box.left, y(value), box.right, y(value), value === 0 ? "zero" : "rule"));
    svg.append(text(box.left - 6, y(value) + 3.5, write(value), "end"));
  }
  return y;
}

function widened(low, high) {
  if (low === high) return [low - 1, high + 1];
  const margin = 0.06 * (high - low);
  return [low - margin, high + margin];
}

// One curve, or several, over equally spaced points; the first is filled down to `base`.
export function curve(host, { label, points, write, when, base = null, kind = "", height = 200 }) {
  drawn(host, label, height, (svg, width) => {
    const box = frameOf(width, height);
    const values = points.map((point) => point[1]);
    if (base !== null) values.push(base);
    const [low, high] = widened(Math.min(...values), Math.max(...values));
    const y = yAxis(svg, box, low, high, write);
    const last = Math.max(1, points.length - 1);
    const x = (k) => box.left + (k / last) * (box.right - box.left);
    const wanted = Math.max(2, Math.min(points.length, Math.floor((box.right - box.left) / 110)));
    for (let j = 0; j < wanted; j += 1) {
      const k = Math.round((j / Math.max(1, wanted - 1)) * (points.length - 1));
      const anchor = j === 0 ? "start" : j === wanted - 1 ? "end" : "middle";
      svg.append(text(x(k), height - 7, when(points[k][0]), anchor));
    }
    const path = points.map((point, k) => `${x(k).toFixed(1)},${y(point[1]).toFixed(1)}`);
    const floor = y(base === null ? low : base);
    const area = `M${x(0)},${floor}L${path.join("L")}L${x(points.length - 1)},${floor}Z`;
    svg.append(node("path", { d: area, class: `area ${kind}` }));
    svg.append(node("path", { d: `M${path.join("L")}`, class: `curve ${kind}` }));
    if (points.length < 60) {
      points.forEach((point, k) => {
        const dot = node("circle", { cx: x(k), cy: y(point[1]), r: 2.6, class: `dot ${kind}` });
        dot.append(node("title", {}, `${when(point[0])}: ${write(point[1])}`));
        svg.append(dot);
      });
    }
  });
}

// Upright bars by name: {name, value, note}.
export function columns(host, { label, bars, write, height = 200 }) {
  drawn(host, label, height, (svg, width) => {
    const box = frameOf(width, height);
    const values = bars.map((bar) => bar.value);
    const [low, high] = widened(Math.min(0, ...values), Math.max(0, ...values));
    const y = yAxis(svg, box, low, high, write);
    const room = (box.right - box.left) / bars.length;
    const every = Math.ceil(44 / room);
    bars.forEach((bar, k) => {
      const middle = box.left + (k + 0.5) * room;
      const [top, bottom] = [y(Math.max(0, bar.value)), y(Math.min(0, bar.value))];
      const rect = node("rect", {
        x: middle - Math.min(22, 0.36 * room), width: Math.min(44, 0.72 * room),
        y: top, height: Math.max(1, bottom - top), class: bar.value < 0 ? "bar down" : "bar up",
      });
      rect.append(node("title", {}, `${bar.name}: ${write(bar.value)}${bar.note ? `, ${bar.note}` : ""}`));
      svg.append(rect);
      if (k % every === 0) svg.append(text(middle, height - 7, bar.name));
    });
  });
}

// Points {x, y, good, title} with both axes from zero.
export function scatter(host, { label, points, xName, yName, height = 260 }) {
  drawn(host, label, height, (svg, width) => {
    const box = { ...frameOf(width, height, 48), bottom: height - 38 };
    const top = Math.max(1, ...points.map((point) => point.y)) * 1.08;
    const far = Math.max(1, ...points.map((point) => point.x)) * 1.08;
    const y = yAxis(svg, box, 0, top, (value) => value);
    const x = (value) => box.left + (value / far) * (box.right - box.left);
    for (const value of steps(0, far, Math.max(3, Math.floor(width / 90)))) {
      svg.append(line(x(value), box.top, x(value), box.bottom, value === 0 ? "zero" : "rule"));
      svg.append(text(x(value), box.bottom + 14, value));
    }
    svg.append(text((box.left + box.right) / 2, height - 6, xName));
    const side = text(0, 0, yName);
    side.setAttribute("transform", `translate(11 ${(box.top + box.bottom) / 2}) rotate(-90)`);
    svg.append(side);
    for (const point of points) {
      const dot = node("circle", {
        cx: x(point.x), cy: y(point.y), r: 4, class: point.good ? "mark up" : "mark down",
      });
      dot.append(node("title", {}, point.title));
      svg.append(dot);
    }
  });
}

// Values over a price axis: bars {at, value} or a curve, with named levels {name, at, kind}.
export function priced(host, { label, bars = [], path = [], levels, low, high, write, height = 300 }) {
  drawn(host, label, height, (svg, width) => {
    const box = { ...frameOf(width, height), top: 40 };
    const inside = (at) => at >= low && at <= high;
    const shownBars = bars.filter((bar) => inside(bar.at));
    const shownPath = path.filter((point) => inside(point.at));
    const values = [...shownBars, ...shownPath].map((one) => one.value);
    const [least, most] = widened(Math.min(0, ...values), Math.max(0, ...values));
    const y = yAxis(svg, box, least, most, write);
    const x = (at) => box.left + ((at - low) / (high - low)) * (box.right - box.left);
    for (const value of steps(low, high, Math.max(3, Math.floor(width / 100)))) {
      svg.append(text(x(value), height - 7, value.toLocaleString("en-US")));
    }
    const gaps = shownBars.slice(1).map((bar, k) => bar.at - shownBars[k].at);
    const room = gaps.length ? x(low + Math.min(...gaps)) - x(low) : 8;
    for (const bar of shownBars) {
      const [top, bottom] = [y(Math.max(0, bar.value)), y(Math.min(0, bar.value))];
      const rect = node("rect", {
        x: x(bar.at) - Math.max(0.5, 0.4 * room), width: Math.max(1, 0.8 * room),
        y: top, height: Math.max(0.5, bottom - top), class: bar.value < 0 ? "bar down" : "bar up",
      });
      rect.append(node("title", {}, `${bar.at}: ${write(bar.value)}`));
      svg.append(rect);
    }
    if (shownPath.length) {
      const d = shownPath.map((point) => `${x(point.at).toFixed(1)},${y(point.value).toFixed(1)}`);
      svg.append(node("path", { d: `M${d.join("L")}`, class: "curve" }));
    }
    // Names of levels that are close stand one above the other.
    let edge = [-1e9, -1e9, -1e9];
    const named = levels.filter((level) => inside(level.at)).sort((a, b) => a.at - b.at);
    for (const level of named) {
      const words = `${level.name} ${level.at.toLocaleString("en-US", { maximumFractionDigits: 0 })}`;
      const half = 3.2 * words.length;
      const middle = Math.min(Math.max(x(level.at), box.left + half), box.right - half);
      const row = Math.max(0, edge.findIndex((end) => middle - half > end));
      edge[row] = middle + half + 4;
      svg.append(line(x(level.at), 4 + 12 * row + 3, x(level.at), box.bottom, `level ${level.kind}`));
      svg.append(text(middle, 11 + 12 * row, words, "middle", `name ${level.kind}`));
    }
  });
}
