// The ML filter: its stage, what it has learned from, how well it is calibrated, how far things drifted.
import * as fmt from "../format.js";
import { card, el, empty, table, tile, tiles, watch } from "../views.js";

const STAGES = {
  COLLECT: ["Collecting", "no model yet; trades are not filtered"],
  SHADOW: ["Shadow", "probabilities are logged and decide nothing"],
  GATE: ["Gate", "the model can refuse a trade"],
  RETIRED: ["Retired", "two demotions: a person must enable it again"],
};
const NEEDED = 100;

// A manifest as rows of dotted names; long lists are told by their length.
function flat(value, prefix = "") {
  if (Array.isArray(value)) {
    const short = value.length <= 8 && value.every((x) => typeof x !== "object");
    return [[prefix, short ? value.join(", ") : `${value.length} values`]];
  }
  if (value !== null && typeof value === "object") {
    return Object.entries(value).flatMap(([key, inner]) => flat(inner, prefix ? `${prefix}.${key}` : key));
  }
  const text = typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(5) : String(value);
  return [[prefix, text]];
}

watch(() => "/api/model", (body, data) => {
  const frame = data.frame;
  const parts = [];
  if (frame) {
    const [name, what] = STAGES[frame.stage] ?? [fmt.words(frame.stage), ""];
    parts.push(tiles(tile("Stage", name, what),
      tile("Labelled trades", fmt.whole(frame.labelled), frame.labelled < NEEDED ? `of the ${NEEDED} that a first model needs` : "closed trades to learn from"),
      tile("Version", frame.version ? frame.version.slice(0, 12) : "none", frame.version ? "in use by the trader" : ""),
      tile("Drift", fmt.decimals(frame.drift), frame.drift === null ? "nothing to compare yet" : "of features and log-loss")));
  }
  if (!data.models.length) {
    const count = frame ? frame.labelled : data.closed;
    parts.push(empty(`Collecting, ${count} of ${NEEDED} trades`,
      frame ? "A first model is trained once enough trades are closed. Until then each decision counts the model as unknown, and nothing is filtered."
        : "No trader runs, and no model lies in its state directory. A trader learns from the trades that it closes:",
      frame ? "" : "mia trade --config demo"));
  }
  for (const model of data.models) {
    const used = model.name === data.current;
    const rows = flat(model.manifest);
    const made = card(`Model ${model.name.slice(0, 12)}`, used ? "in use" : "kept",
      model.fault ? el("p", { class: "trouble", text: model.fault })
        : table(`Manifest of model ${model.name}`, [{ head: "what", cell: (row) => row[0] }, { head: "value", cell: (row) => row[1] }], rows));
    made.classList.add("half");
    parts.push(made);
  }
  body.replaceChildren(...parts);
}, 5);
