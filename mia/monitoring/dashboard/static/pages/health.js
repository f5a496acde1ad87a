// What `mia health` knows, and what the frame tells of the two connections and the feed.
import * as fmt from "../format.js";
import { now, onUpdate, put } from "../feed.js";
import { card, el, empty, table, tile, tiles, watch } from "../views.js";

const TONES = { OK: "good", WARNING: "warn", CRITICAL: "bad" };
const WORDS = { OK: "\u2713 well", WARNING: "! look", CRITICAL: "\u2715 wrong" };
const WHOLE = {
  OK: ["Well", "nothing wants attention"],
  WARNING: ["Wants attention", "nothing is broken, something should be looked at"],
  CRITICAL: ["Wrong now", "see what is marked below"],
};

const heads = [
  { head: "checked", cell: (check) => fmt.words(check.name) },
  { head: "", cell: (check) => el("span", { class: "state-lamp", "data-tone": TONES[check.mark] ?? "warn", text: WORDS[check.mark] ?? check.mark }) },
  { head: "found", cell: (check) => check.text },
];

// Kept current ten times a second from the frame.
const live = tiles(
  ...[["Ready", "ready"], ["Reconnects", "reconnects"], ["Bad ticks", "bad-ticks"], ["Holes", "holes"]].map(([name, id]) => {
    const made = tile(name, fmt.NONE, "");
    made.children[1].id = `health-${id}`;
    made.children[2].id = `health-${id}-note`;
    return made;
  }));
onUpdate(() => {
  const frame = now.frame;
  if (!frame || !document.getElementById("health-ready")) return;
  const share = frame.session_s > 0 ? frame.ready_s / frame.session_s : null;
  put("health-ready", share, fmt.percent(share, 2));
  put("health-ready-note", null, `${fmt.span(frame.ready_s)} of ${fmt.span(frame.session_s)} that the market was open`);
  put("health-reconnects", frame.links.reconnects, fmt.whole(frame.links.reconnects));
  put("health-reconnects-note", null, `${frame.links.mismatches} mismatches with the broker`);
  put("health-bad-ticks", frame.feed.bad_ticks, fmt.whole(frame.feed.bad_ticks));
  put("health-bad-ticks-note", null, `of ${fmt.whole(frame.feed.ticks)} taken`);
  put("health-holes", frame.feed.holes, fmt.whole(frame.feed.holes));
  put("health-holes-note", null, "that no source could fill");
});

watch(() => "/api/health", (body, data) => {
  const [title, what] = WHOLE[data.mark] ?? [data.mark, ""];
  const worst = { CRITICAL: 0, WARNING: 1, OK: 2 };
  const checks = [...data.checks].sort((a, b) => (worst[a.mark] ?? 1) - (worst[b.mark] ?? 1));
  const bad = checks.filter((check) => check.mark !== "OK").length;
  const parts = [
    tiles(tile("In all", title, what, TONES[data.mark] ?? "warn"),
      tile("Checks", fmt.whole(checks.length), bad ? `${bad} to look at` : "all well")),
    card("Checks", "as mia health has them, worst first", table("Checks, worst first", heads, checks, (c) => c.name)),
  ];
  if (now.frame) parts.push(el("h2", { text: "This run" }), live);
  if (now.life === "none") {
    parts.push(empty("No trader has run here yet",
      "The machine is checked all the same. Heartbeat, feed, broker and journal are checked as soon as a trader runs:", "mia trade --config demo"));
  }
  body.replaceChildren(...parts);
}, 2);
