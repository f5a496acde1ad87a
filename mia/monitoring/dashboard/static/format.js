// Numbers as people read them. Prices are in ticks of a quarter point, times in ns UTC.
const TICK = 0.25;
const NY = "America/New_York";
const money0 = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const money2 = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: NY, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { timeZone: NY, hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: NY, weekday: "short", day: "2-digit", month: "short" });

export const NONE = "\u2013";
export const MINUS = "\u2212";
const known = (x) => x !== null && x !== undefined && Number.isFinite(x);
// What rounds to nothing has no sign.
const signed = (text, x) => (!/[1-9]/.test(text) || x === 0 ? text : (x < 0 ? MINUS : "+") + text);

export const points = (ticks) => ticks * TICK;
export const price = (ticks) => (known(ticks) ? (ticks * TICK).toFixed(2) : NONE);
export const whole = (x) => (known(x) ? signed(money0.format(Math.abs(x)), x).replace("+", "") : NONE);
export const change = (x) => (known(x) ? signed(money0.format(Math.abs(x)), x) : NONE);
export const usd = (x) => (known(x) ? signed("$" + money2.format(Math.abs(x)), x) : NONE);
export const usd0 = (x) => (known(x) ? signed("$" + money0.format(Math.abs(x)), x).replace("+", "") : NONE);
export const decimals = (x, n = 2) => (known(x) ? signed(Math.abs(x).toFixed(n), x).replace("+", "") : NONE);
export const signedDecimals = (x, n = 2) => (known(x) ? signed(Math.abs(x).toFixed(n), x) : NONE);
export const percent = (x, n = 0) => (known(x) ? (100 * x).toFixed(n) + "%" : NONE);
export const time = (ns) => (known(ns) ? clock.format(ns / 1e6) : NONE);
export const hhmm = (ns) => (known(ns) ? minute.format(ns / 1e6) : NONE);
export const date = (ns) => (known(ns) ? day.format(ns / 1e6) : NONE);
export const weekday = (ns) => (known(ns) ? date(ns).slice(0, 3) : NONE);
export const words = (code) => String(code ?? "").replaceAll("_", " ").toLowerCase();

export function span(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 10) return seconds.toFixed(1) + " s";
  if (seconds < 120) return Math.round(seconds) + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

export function nanoseconds(ns) {
  if (!known(ns)) return NONE;
  if (ns < 1e3) return Math.round(ns) + " ns";
  if (ns < 1e6) return (ns / 1e3).toFixed(ns < 1e4 ? 1 : 0) + " \u00b5s";
  if (ns < 1e9) return (ns / 1e6).toFixed(ns < 1e7 ? 1 : 0) + " ms";
  return (ns / 1e9).toFixed(1) + " s";
}

export const tone = (x) => (!known(x) || x === 0 ? "flat" : x > 0 ? "up" : "down");
