// Every limit that the trader obeys: which layer set it, and how much of it is used.
import * as fmt from "../format.js";
import { card, el, empty, table, tile, tiles, watch } from "../views.js";

const clock = (minutes) => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

function written(row, value) {
  if (value === null || value === undefined) return row.side === "most" && row.used === value ? fmt.NONE : "none";
  switch (row.unit) {
    case "USD": return fmt.usd0(value);
    case "%": return fmt.percent(value, 2);
    case "clock": return `${clock(value)} ET`;
    case "ES": return `${fmt.decimals(value, value % 1 ? 1 : 0)} ES`;
    case "trades": return fmt.whole(value);
    default: return fmt.decimals(value);
  }
}

function use(row) {
  if (row.used === null) return el("span", { class: "sub", text: row.side === "factor" ? "no use to measure" : "not known" });
  if (row.side === "hours") return el("span", { text: `now ${clock(row.used)}` });
  if (row.side === "least") {
    const met = row.used >= row.value;
    return el("span", { "data-tone": met ? "good" : "warn", text: `${written(row, row.used)} ${met ? "\u2713 reached" : "below"}` });
  }
  const share = row.share ?? 0;
  const tone = share >= 0.8 ? "bad" : share >= 0.5 ? "warn" : "good";
  const bar = el("progress", { max: 1, "data-tone": tone, "aria-label": `${row.label}: used` });
  bar.value = Math.min(1, share);
  return el("div", { class: "use" }, bar,
    el("span", { "data-tone": share >= 0.5 ? tone : null, text: `${written(row, row.used)}${row.share === null ? "" : `, ${fmt.percent(share)}`}` }));
}

const heads = [
  { head: "limit", cell: (row) => el("span", { text: row.label }, el("span", { class: "source", text: row.source })) },
  { head: "used", cell: use },
  { head: "in force", num: true, cell: (row) => (row.value === null ? "none" : row.unit === "ES" ? `${row.value} ES or ${10 * row.value} MES` : written(row, row.value)) },
  { head: "set by", cell: (row) => row.source },
];
const SINCE = {
  frame: "use as the running trader shows it",
  journal: "no trader runs: use as the journal has it",
  "": "no trader runs, and none has traded",
};

watch(() => "/api/limits", (body, data) => {
  if (data.fault) {
    body.replaceChildren(el("p", { class: "trouble", text: data.fault }));
    return;
  }
  if (!data.rows.length) {
    body.replaceChildren(empty("No limits are known yet",
      "A trader leaves the limits that it obeys in its state directory when it starts. To see those of a profile beforehand:",
      "mia config show --config paper"));
    return;
  }
  const by = (...sides) => data.rows.filter((row) => sides.includes(row.side));
  const tightest = by("most").filter((row) => row.share !== null).sort((a, b) => b.share - a.share)[0];
  body.replaceChildren(
    tiles(tile("Mode", fmt.words(data.mode), `risk level ${fmt.words(data.level)}`),
      tile("Nearest limit", tightest ? fmt.percent(tightest.share) : fmt.NONE, tightest ? tightest.label : "",
        tightest && tightest.share >= 0.8 ? "bad" : tightest && tightest.share >= 0.5 ? "warn" : ""),
      tile("In force since", fmt.date(data.started), `${fmt.time(data.started)} ET, when the trader started`),
      tile("Configuration", data.configuration.slice(0, 12), "hash of every setting and limit")),
    card("Must not be passed", SINCE[data.since], table("Upper limits", heads, by("most"), (row) => row.name)),
    card("A proposal must reach", "the newest proposal", table("Required minima", heads, by("least"), (row) => row.name)),
    card("Hours and size", "", table("Hours and factors", heads, by("hours", "factor"), (row) => row.name)),
    el("p", { class: "note", text: "Of all layers (mode, risk level, profile, environment, command line) the strictest sets a limit. Limits cannot be changed from here; change the configuration and start the trader again." }));
}, 1);
