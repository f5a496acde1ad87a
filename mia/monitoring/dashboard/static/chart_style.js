// How all charts look, in the theme that is shown, with the exchange's day on the time axis.
import { ColorType, CrosshairMode, TickMarkType } from "./vendor/lightweight-charts-5.2.1.mjs";
import { colours, onTheme } from "./colours.js";
import * as fmt from "./format.js";

export function look() {
  const colour = colours();
  return {
    layout: {
      // The logo would bring a style of its own, which the page's policy forbids; the footer links.
      attributionLogo: false,
      background: { type: ColorType.Solid, color: colour.surface },
      textColor: colour.muted,
      fontSize: 11,
      fontFamily: colour.sans,
      panes: { separatorColor: colour.line, separatorHoverColor: colour.raised, enableResize: true },
    },
    grid: { vertLines: { color: colour.grid }, horzLines: { color: colour.grid } },
    crosshair: { mode: CrosshairMode.Normal, vertLine: { color: colour.muted, labelBackgroundColor: colour["line-strong"] }, horzLine: { color: colour.muted, labelBackgroundColor: colour["line-strong"] } },
    rightPriceScale: { borderColor: colour.line },
    timeScale: { borderColor: colour.line },
  };
}

export const options = () => ({
  ...look(),
  autoSize: true,
  timeScale: {
    ...look().timeScale,
    timeVisible: true,
    secondsVisible: false,
    tickMarkFormatter: (time, kind) =>
      kind <= TickMarkType.DayOfMonth ? fmt.date(time * 1e9) : fmt.hhmm(time * 1e9),
  },
  localization: { timeFormatter: (time) => `${fmt.date(time * 1e9)} ${fmt.time(time * 1e9)} ET` },
});

export function follow(chart, restyle) {
  onTheme(() => {
    chart.applyOptions(look());
    restyle();
  });
}

// Arrow keys move, plus and minus zoom, End goes to the newest bar.
export function keys(element, chart) {
  element.tabIndex = 0;
  element.addEventListener("keydown", (event) => {
    const scale = chart.timeScale();
    const spacing = scale.options().barSpacing;
    const act = {
      ArrowLeft: () => scale.scrollToPosition(scale.scrollPosition() - 5, false),
      ArrowRight: () => scale.scrollToPosition(scale.scrollPosition() + 5, false),
      "+": () => scale.applyOptions({ barSpacing: Math.min(140, spacing * 1.3) }),
      "-": () => scale.applyOptions({ barSpacing: Math.max(1, spacing / 1.3) }),
      End: () => scale.scrollToRealTime(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
