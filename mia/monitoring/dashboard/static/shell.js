// What every page has: the strip that says whether the trader is safe, the banner, the stops.
import * as fmt from "./format.js";
import { mark, now, onUpdate, put, silence, SILENT_MS } from "./feed.js";
import "./orders.js";

const $ = (id) => document.getElementById(id);
const MODES = { live: "LIVE", paper: "PAPER", data_collection: "COLLECT" };
const STATES = {
  NORMAL: ["Normal", "good"],
  HALT_ENTRIES: ["No entries", "warn"],
  HALT_TRADING: ["Halted", "bad"],
  EMERGENCY: ["Emergency", "bad"],
};
const LINKS = { READY: "good", CONNECTED: "warn", CONNECTING: "warn", DISCONNECTED: "bad" };

// Seconds since the trader's last heartbeat, by what the server said and the time since then.
const heartbeatAge = () =>
  now.age_s === null || now.age_s === undefined ? null : now.age_s + silence() / 1000;

function trouble() {
  if (!now.heard) return ["wait", "Waiting for the dashboard's server"];
  if (now.loggedOut) return ["bad", "Logged out: open the address that the dashboard printed when it started, or /login"];
  if (!now.connected || silence() > SILENT_MS)
    return ["bad", `No connection to the dashboard's server for ${fmt.span(silence() / 1000)}: everything below is old. Trying again`];
  const age = fmt.span(heartbeatAge());
  switch (now.life) {
    case "none": return ["wait", "No trader has run here. Start one with mia trade; this page finds it"];
    case "ended": return ["wait", `The trader has ended in order, ${age} ago. What is shown is its last word`];
    case "died": return ["bad", `THE TRADER DIED, last heard ${age} ago. Stops rest at the broker; Flatten acts there directly`];
    case "silent": return ["bad", `THE TRADER DOES NOT ANSWER, last heard ${age} ago. Everything below is that old`];
    default: return null;
  }
}

function paintBanner() {
  const found = trouble();
  const banner = $("banner");
  banner.hidden = found === null;
  window.__mia.banner = found === null ? "" : found[1];
  mark(document.documentElement, "old", String(found !== null));
  if (found === null) return;
  mark(banner, "tone", found[0]);
  // Only the words are announced to a screen reader, not every tenth of a second.
  if (banner.textContent !== found[1]) banner.textContent = found[1];
}

function paintPosition(frame) {
  const held = frame.held;
  const node = $("position");
  if (!held) {
    put(node, 0, "Flat");
    mark(node, "tone", "flat");
    put("protection", null, frame.orders.length ? `${frame.orders.length} orders` : "");
    mark($("protection"), "tone", "");
    return;
  }
  const side = held.side > 0 ? "Long" : "Short";
  const open = held.quantity !== 0;
  const text = open
    ? `${side} ${Math.abs(held.quantity)} ${held.symbol} @ ${fmt.price(held.entry)}`
    : `Entry works: ${side.toLowerCase()} ${held.wanted}`;
  put(node, held.quantity, text);
  mark(node, "tone", open ? (held.side > 0 ? "up" : "down") : "flat");
  const safe = held.protected || !open;
  const stop = held.stop === null ? "no stop" : `stop ${fmt.price(held.stop)}`;
  put("protection", held.protected, open ? (held.protected ? `\u2713 ${stop}` : `\u26a0 UNPROTECTED, ${stop}`) : "");
  mark($("protection"), "tone", safe ? "" : "bad");
}

function paintDay(day) {
  const total = day.realized_pnl + day.open_pnl;
  put("open-pnl", day.open_pnl, fmt.usd(day.open_pnl));
  mark($("open-pnl"), "tone", fmt.tone(day.open_pnl));
  put("day-pnl", total, fmt.usd(total));
  mark($("day-pnl"), "tone", fmt.tone(total));
  put("worst-pnl", day.worst_pnl, `day at worst ${fmt.usd(day.worst_pnl)}`);
  const used = day.loss_limit > 0 ? Math.min(1, Math.max(0, -day.worst_pnl / day.loss_limit)) : 0;
  $("loss-fill").style.width = `${(100 * used).toFixed(1)}%`;
  const meter = $("loss-meter");
  meter.setAttribute("aria-valuenow", (100 * used).toFixed(0));
  mark(meter, "tone", used >= 0.8 ? "bad" : used >= 0.5 ? "warn" : "good");
  put("loss-text", used, day.loss_limit > 0 ? `${(100 * used).toFixed(0)}% of ${fmt.usd0(day.loss_limit)}` : "no limit known");
}

function paintLinks(frame) {
  const { links, feed } = frame;
  for (const [id, name] of [["link-orders", "orders"], ["link-market", "market"]]) {
    const tone = LINKS[links[name]] ?? "warn";
    put(id, links[name], tone === "good" ? `\u2713 ${name}` : tone === "bad" ? `\u2715 ${name}` : `\u2026 ${name}`);
    mark($(id), "tone", tone);
    $(id).title = fmt.words(links[name]);
  }
  const differ = links.mismatches ? `, ${links.mismatches} mismatches` : "";
  put("reconciled", links.reconciled_at, links.reconciled_at === null ? "not reconciled" : `reconciled ${fmt.time(links.reconciled_at)}${differ}`);
  mark($("reconciled"), "tone", links.reconciled_at === null ? "bad" : links.mismatches ? "warn" : "");
  const beat = heartbeatAge() ?? 0;
  const age = feed.age_s === null ? null : feed.age_s + beat;
  put("feed-age", feed.age_s, fmt.span(age));
  const bad = Boolean(feed.fault) || age === null || age > 10;
  mark($("feed-age"), "tone", bad ? "bad" : age > 3 ? "warn" : "good");
  put("feed-name", feed.fault, feed.fault ? `\u26a0 ${feed.fault}` : feed.name);
  mark($("feed-name"), "tone", feed.fault ? "bad" : "");
  $("feed-name").title = feed.fault;
}

function paintState(frame) {
  const [text, tone] = STATES[frame.state] ?? [fmt.words(frame.state), "warn"];
  const ready = frame.ready;
  const safe = frame.state === "NORMAL" && !ready ? "warn" : tone;
  put("state", frame.state, frame.state === "NORMAL" ? (ready ? "\u2713 Ready" : "Not ready") : `\u26a0 ${text}`);
  mark($("state"), "tone", safe);
  const why = frame.state_reasons.map(fmt.words).join(", ");
  put("state-why", why, why || (frame.dry_run ? "dry run: sends nothing" : ready ? "may trade" : "waits for the session"));
}

function paint() {
  paintBanner();
  const frame = now.frame;
  const mode = $("mode");
  if (!frame) {
    put(mode, null, "NO TRADER");
    mark(mode, "mode", "unknown");
    return;
  }
  put(mode, frame.mode, MODES[frame.mode] ?? frame.mode.toUpperCase());
  mark(mode, "mode", frame.mode);
  put("contract", frame.contract, frame.contract || frame.symbol);
  put("account", frame.account, `${frame.account}${frame.simulated ? " simulated" : ""}`);
  paintState(frame);
  paintPosition(frame);
  paintDay(frame.day);
  paintLinks(frame);
  put("clock", frame.ts, `${fmt.date(frame.ts)} ${fmt.time(frame.ts)} ET`);
  put("run", frame.run_id, `MIA ${frame.version}, run ${frame.run_id}, configuration ${frame.configuration.slice(0, 12)}`);
  $("resume").hidden = frame.mode === "live" || now.life !== "running" || !frame.state_reasons.some((why) => why.startsWith("COMMAND"));
}

function themeButton() {
  const root = document.documentElement;
  const button = $("theme");
  const show = () => {
    const dark = root.dataset.theme === "dark";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`);
  };
  const choose = (theme) => {
    root.dataset.theme = theme;
    show();
    dispatchEvent(new CustomEvent("mia-theme"));
  };
  button.addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("mia-theme", theme);
    choose(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    if (!localStorage.getItem("mia-theme")) choose(event.matches ? "dark" : "light");
  });
  show();
}

themeButton();
paintBanner();
onUpdate(paint);
