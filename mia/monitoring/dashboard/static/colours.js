// Colours of the theme that is shown, for what is drawn on a canvas.
const NAMES = ["bg", "surface", "raised", "line", "line-strong", "text", "muted", "accent", "up",
  "up-soft", "down", "down-soft", "warn", "bad", "poc", "vwap", "options", "grid"];
let current = null;

export function colours() {
  if (current === null) {
    const style = getComputedStyle(document.documentElement);
    current = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    current.mono = style.getPropertyValue("--mono");
    current.sans = style.getPropertyValue("--sans");
  }
  return current;
}

// A colour "#rrggbb" with an opacity from 0 to 1.
export const fade = (colour, opacity) =>
  colour.slice(0, 7) + Math.round(255 * Math.min(1, Math.max(0, opacity))).toString(16).padStart(2, "0");

export const onTheme = (act) => addEventListener("mia-theme", act);
addEventListener("mia-theme", () => { current = null; }, { capture: true });
