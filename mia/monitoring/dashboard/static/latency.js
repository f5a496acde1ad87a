// How long each stage takes, from counts by powers of two of nanoseconds.
import { h, rows } from "./dom.js";
import { onUpdate } from "./feed.js";
import * as fmt from "./format.js";

// Within a power of two, times count as evenly spread.
export function quantile(counts, share) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return null;
  let left = share * all;
  for (let k = 0; k < counts.length; k += 1) {
    if (counts[k] && left <= counts[k]) return 2 ** k * (1 + left / counts[k]);
    left -= counts[k];
  }
  return 2 ** counts.length;
}

const FROM = 10;
const TO = 30;
const place = (ns) => Math.min(100, Math.max(0, (100 * (Math.log2(ns) - FROM)) / (TO - FROM)));

export function latencyCard(body) {
  const table = h("tbody", { id: "stages" });
  body.append(h("table", { class: "latency" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Stage"), h("th", { class: "num", scope: "col" }, "p50"), h("th", { class: "num", scope: "col" }, "p99"), h("th", { scope: "col" }, "1 \u00b5s to 1 s"), h("th", { class: "num", scope: "col" }, "times"))), table));
  onUpdate((state) => {
    if (!state.frame) return;
    const stages = Object.entries(state.frame.stages);
    const found = stages.map(([name, { counts }]) => [name, quantile(counts, 0.5), quantile(counts, 0.99), counts.reduce((a, b) => a + b, 0)]);
    window.__mia.shown.stages = found;
    rows(table, JSON.stringify(found), () => (found.length ? found.map(([name, p50, p99, times]) => {
      const range = h("span", { class: "range", role: "img", "aria-label": `from ${fmt.nanoseconds(p50)} to ${fmt.nanoseconds(p99)}` }, h("i"));
      if (p50 !== null) {
        range.firstElementChild.style.left = `${place(p50)}%`;
        range.firstElementChild.style.width = `${Math.max(2, place(p99) - place(p50))}%`;
      }
      return h("tr", {}, h("th", { scope: "row" }, fmt.words(name)), h("td", { class: "num" }, fmt.nanoseconds(p50)), h("td", { class: "num" }, fmt.nanoseconds(p99)), h("td", { class: "range-cell" }, range), h("td", { class: "num dim" }, fmt.whole(times)));
    }) : [h("tr", {}, h("td", { colspan: "5", class: "empty" }, "nothing timed yet"))]));
  });
}
