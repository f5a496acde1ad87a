// What lies over and under the bars: the session's profile, and own fills.
import { colours, fade } from "./colours.js";
import { points } from "./format.js";

class Primitive {
  constructor(zOrder) {
    this.views = [{ zOrder: () => zOrder, renderer: () => ({ draw: (target) =>
      target.useBitmapCoordinateSpace((scope) => { if (this.series) this.draw(scope); }) }) }];
  }

  attached({ chart, series, requestUpdate }) { Object.assign(this, { chart, series, requestUpdate }); }
  detached() { this.series = null; }
  updateAllViews() {}
  paneViews() { return this.views; }
  redraw() { this.requestUpdate?.(); }
}

// Volume by price from the left edge, sold and bought; the value area is shaded across.
export class Profile extends Primitive {
  constructor() {
    super("bottom");
    this.levels = new Map();
    this.area = null;
  }

  show(levels, area) {
    this.levels = levels;
    this.area = area;
    this.redraw();
  }

  draw({ context, bitmapSize, verticalPixelRatio: v }) {
    const colour = colours();
    const y = (ticks) => this.series.priceToCoordinate(points(ticks));
    const { area } = this;
    if (area && area.vah !== null && area.val !== null) {
      const top = y(area.vah);
      const bottom = y(area.val);
      if (top !== null && bottom !== null) {
        context.fillStyle = fade(colour.poc, 0.06);
        context.fillRect(0, top * v, bitmapSize.width, (bottom - top) * v);
      }
    }
    let most = 1;
    for (const [bid, ask] of this.levels.values()) most = Math.max(most, bid + ask);
    // Narrow where cells are wide, so that it does not lie under them.
    const width = bitmapSize.width * (this.chart.timeScale().options().barSpacing >= 60 ? 0.07 : 0.13);
    for (const [price, [bid, ask]] of this.levels) {
      const middle = y(price);
      const above = y(price + 1);
      if (middle === null || above === null) continue;
      const height = Math.max(1, (middle - above) * v - (middle - above > 3 ? 1 : 0));
      const top = middle * v - height / 2;
      const inside = area && price <= area.vah && price >= area.val;
      const sold = (width * bid) / most;
      context.fillStyle = fade(colour.down, inside ? 0.5 : 0.26);
      context.fillRect(0, top, sold, height);
      context.fillStyle = fade(colour.up, inside ? 0.5 : 0.26);
      context.fillRect(sold, top, (width * ask) / most, height);
    }
  }
}

// Own fills as triangles at their price: up is bought, down is sold; entries in blue, exits in amber.
export class Fills extends Primitive {
  constructor() {
    super("top");
    this.fills = [];
  }

  show(fills) {
    this.fills = fills;
    this.redraw();
  }

  draw({ context, horizontalPixelRatio: h, verticalPixelRatio: v }) {
    const colour = colours();
    const scale = this.chart.timeScale();
    for (const { time, side, price, role } of this.fills) {
      const x = scale.timeToCoordinate(time);
      const y = this.series.priceToCoordinate(points(price));
      if (x === null || y === null) continue;
      const [px, py, size] = [x * h, y * v, 7 * h];
      context.beginPath();
      context.moveTo(px, py);
      context.lineTo(px - size, py + side * 1.7 * size);
      context.lineTo(px + size, py + side * 1.7 * size);
      context.closePath();
      context.fillStyle = role === "ENTRY" ? colour.accent : colour.poc;
      context.fill();
      context.lineWidth = 1.5 * h;
      context.strokeStyle = colour.surface;
      context.stroke();
    }
  }
}
