// The newest decision: what was proposed, what refused it, and what each feature added.
import { h, rows } from "./dom.js";
import { getJson, mark, onUpdate, put } from "./feed.js";
import { REASONS } from "./reasons.js";
import * as fmt from "./format.js";

const WIDEST = 0.1;

function bar(node, share) {
  const fill = node.firstElementChild;
  const size = Math.min(1, Math.abs(share ?? 0)) * 50;
  fill.style.width = `${size}%`;
  fill.style.left = share >= 0 ? "50%" : `${50 - size}%`;
  mark(node, "tone", share === null ? "unknown" : fmt.tone(share));
}

const scale = (id, label) => h("span", { class: "scale", id, role: "img", "aria-label": label }, h("i"));

export function signalCard(body) {
  const verdict = h("div", { class: "verdict", id: "verdict" }, h("b", { id: "verdict-word" }, "No decision yet"), h("span", { id: "verdict-text" }));
  const proposal = h("dl", { class: "pairs", id: "proposal" });
  const battle = h("div", { class: "battle" },
    h("div", { class: "battle-line" }, h("span", {}, "Battle Navale"), h("b", { id: "bn-score", class: "num" }), h("span", { class: "sub", id: "bn-status" })),
    scale("bn-bar", "Score of Battle Navale"),
    h("div", { class: "sub", id: "bn-sides" }),
    h("div", { class: "sub", id: "regime" }));
  const table = h("tbody", { id: "features" });
  const features = h("table", { class: "features" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Feature"), h("th", { class: "num", scope: "col" }, "Value"), h("th", { scope: "col", colspan: "2" }, "Contribution"))), table,
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: "2" }, "Feature score"), h("td"), h("td", { class: "num", id: "feature-score" }))));
  const gates = h("tbody", { id: "gates" });
  const details = h("details", { class: "gates", id: "all-gates" }, h("summary", { id: "gates-summary" }, "All gates"),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Gate"), h("th", { class: "num", scope: "col" }, "Value"), h("th", { class: "num", scope: "col" }, "Limit"), h("th", { scope: "col" }, "Verdict"))), gates));
  body.append(verdict, proposal, battle, details, features);

  let names = [];
  let lines = [];
  getJson("/api/about").then((about) => {
    names = about.features;
    lines = names.map((name, k) => {
      const cells = { value: h("td", { class: "num" }), bar: scale(null, ""), share: h("td", { class: "num" }) };
      table.append(h("tr", { "data-feature": `F${k + 1}` }, h("th", { scope: "row" }, h("span", { class: "dim" }, `F${k + 1} `), fmt.words(name)), cells.value, h("td", { class: "bar-cell" }, cells.bar), cells.share));
      return cells;
    });
  }).catch(() => {});

  function paintSignal(signal) {
    const taken = signal.reason === "OK";
    put("verdict-word", signal.reason, taken ? `\u2713 ${fmt.words(signal.signal)}` : `\u2715 ${signal.reason}`);
    const failed = signal.gates.find((gate) => !gate.passed);
    const numbers = failed && failed.value !== null && failed.limit !== null ? ` (${fmt.decimals(failed.value)} against ${fmt.decimals(failed.limit)})` : "";
    put("verdict-text", signal.confidence, taken ? `${signal.quantity} at ${fmt.price(signal.entry)}` : `${REASONS[signal.reason] ?? fmt.words(signal.reason)}${numbers}`);
    mark(verdict, "tone", taken ? "good" : "refused");
    put("signal-sub", signal.ts, `${signal.strategy.toLowerCase()}, ${fmt.time(signal.ts)} ET`);
    const risk = Math.abs(signal.entry - signal.stop);
    const pairs = [
      ["Proposed", `${signal.side > 0 ? "\u25b2 long" : "\u25bc short"} ${signal.kind}`],
      ["Entry", fmt.price(signal.entry)], ["Stop", fmt.price(signal.stop)], ["Target", fmt.price(signal.target)],
      ["Reward:risk", risk ? fmt.decimals(Math.abs(signal.target - signal.entry) / risk, 1) : fmt.NONE],
      ["Confidence", `${fmt.percent(signal.confidence)} ${signal.label.toLowerCase()}`],
      ...(signal.probability === null ? [] : [["Model", fmt.percent(signal.probability)]]),
    ];
    rows(proposal, JSON.stringify(pairs), () => pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    signal.features.forEach((value, k) => {
      if (!lines[k]) return;
      const share = signal.contributions[k] ?? null;
      lines[k].value.textContent = value === null ? "unknown" : fmt.signedDecimals(value);
      mark(lines[k].value, "tone", value === null ? "unknown" : "");
      lines[k].share.textContent = share === null ? fmt.NONE : fmt.signedDecimals(share, 3);
      bar(lines[k].bar, share === null ? null : share / WIDEST);
    });
    window.__mia.shown.features = signal.features;
    window.__mia.shown.contributions = signal.contributions;
    put("feature-score", signal.feature_score, fmt.signedDecimals(signal.feature_score, 3));
    const refused = signal.gates.filter((gate) => !gate.passed).length;
    put("gates-summary", refused, `All ${signal.gates.length} gates: ${refused ? `${refused} refused` : "none refused"}`);
    rows(gates, JSON.stringify(signal.gates), () => signal.gates.map((gate) => h("tr", { title: REASONS[gate.code] },
      h("th", { scope: "row" }, gate.code),
      h("td", { class: "num" }, gate.value === null ? "unknown" : fmt.decimals(gate.value)),
      h("td", { class: "num" }, fmt.decimals(gate.limit)),
      h("td", { "data-tone": gate.passed ? (gate.known ? "good" : "unknown") : "bad" }, gate.passed ? (gate.known ? "\u2713 passed" : "? unknown") : "\u2715 refused"))));
  }

  function paintBattle(found) {
    put("bn-score", found.score, fmt.signedDecimals(found.score));
    bar(document.getElementById("bn-bar"), found.score);
    put("bn-status", found.status, fmt.words(found.status));
    put("bn-sides", found.vikings, `vikings ${fmt.decimals(found.vikings)}, defenders ${fmt.decimals(found.defenders)}, golden rule ${fmt.words(found.golden_state)} (${fmt.signedDecimals(found.golden)})`);
    put("regime", found.regime, `${fmt.words(found.regime)} at ${fmt.percent(found.regime_confidence)}, ATR ${fmt.decimals(found.atr === null ? null : found.atr * 0.25)}, VIX ${fmt.decimals(found.vix, 1)}, ${fmt.words(found.phase)}`);
  }

  let shown = "";
  onUpdate((state) => {
    if (!state.frame) return;
    const key = JSON.stringify([state.frame.signal, state.frame.battle, lines.length]);
    if (key === shown) return;
    shown = key;
    if (state.frame.signal) paintSignal(state.frame.signal);
    paintBattle(state.frame.battle);
  });
}
