// Where dealers stand: what the trader uses now, and what a chain says.
import * as fmt from "../format.js";
import { now, onUpdate, put } from "../feed.js";
import { columns, priced } from "../charts.js";
import { card, el, empty, plot, table, tile, tiles, watch } from "../views.js";

const bn = (usd) => (usd === null ? fmt.NONE : `${fmt.signedDecimals(usd / 1e9, 2)} bn`);
const level = (x) => (x === null ? fmt.NONE : x.toLocaleString("en-US", { maximumFractionDigits: 1 }));
const utc = (text) => text.replace("T", " ").replace("Z", " UTC");

// The levels of the frame, in ES, kept current while the page is open.
const inUse = el("dl", { class: "tiles", id: "in-use" });
const NAMES = [["gamma_flip", "Gamma flip, ES"], ["call_wall", "Call wall, ES"], ["put_wall", "Put wall, ES"]];
for (const [key, name] of NAMES) {
  const made = tile(name, fmt.NONE, "");
  made.children[1].id = `level-${key}`;
  made.children[2].id = `away-${key}`;
  inUse.append(made);
}
const quality = tile("Quality in use", fmt.NONE, "");
quality.children[1].id = "level-quality";
quality.children[2].id = "quality-why";
inUse.append(quality);

onUpdate(() => {
  const frame = now.frame;
  const levels = frame?.levels ?? {};
  if (!document.getElementById("level-quality")) return;
  for (const [key] of NAMES) {
    const ticks = levels[key] ?? null;
    put(`level-${key}`, ticks, fmt.price(ticks));
    const last = frame?.book.last ?? null;
    const away = ticks === null || last === null ? null : (ticks - last) / 4;
    put(`away-${key}`, away, away === null ? "unknown to the trader" : `${fmt.signedDecimals(away, 2)} points from the price`);
  }
  put("level-quality", levels.options_quality ?? null, fmt.decimals(levels.options_quality ?? null));
  put("quality-why", null, levels.options_quality > 0 ? "levels count from 0.20 on" : "the trader decides without options");
});

const FACTS = [
  ["GEX", (d) => bn(d.gex_usd_per_pct), "USD per 1 % move"],
  ["Gross gamma", (d) => bn(d.gross_gex_usd_per_pct).replace("+", ""), "USD per 1 % move"],
  ["GEX of gross", (d) => fmt.signedDecimals(d.gex_ratio), "\u22121 all short, +1 all long"],
  ["Expected move", (d) => level(d.expected_move), "points a session"],
  ["Volatility 30 d", (d) => fmt.percent(d.sigma_30d, 1), "at the money"],
  ["0DTE share", (d) => fmt.percent(d.zero_dte_share, 1), "of gross gamma"],
];

function chain(data, title) {
  const strikes = plot();
  const profile = plot();
  const expiries = plot();
  const levels = [
    { name: "spot", at: data.spot, kind: "spot" },
    { name: "flip", at: data.flip, kind: "flip" },
    { name: "call wall", at: data.call_wall, kind: "call" },
    { name: "put wall", at: data.put_wall, kind: "put" },
  ].filter((one) => one.at !== null && one.at !== undefined);
  const es = (spx) => (spx === null || data.es_per_spx === null ? null : spx * data.es_per_spx * 4);
  const rows = [["Gamma flip", data.flip], ["Call wall", data.call_wall], ["Second call wall", data.second_call_wall],
    ["Put wall", data.put_wall], ["Second put wall", data.second_put_wall], ["Largest gamma", data.abs_gamma_strike]];
  const heads = [
    { head: "level", cell: (row) => row[0] },
    { head: "SPX", num: true, cell: (row) => level(row[1]) },
    { head: "ES at fair value", num: true, cell: (row) => { const t = es(row[1]); return t === null ? fmt.NONE : fmt.price(Math.round(t)); } },
    { head: "from spot", num: true, cell: (row) => (row[1] === null || data.spot === null ? fmt.NONE : fmt.signedDecimals(row[1] - data.spot, 1)) },
  ];
  const features = Object.entries(data.features).map(([name, value]) => ({ name, value, valid: data.features_valid[name] }));
  const featureHeads = [
    { head: "feature", cell: (f) => fmt.words(f.name) },
    { head: "value", num: true, cell: (f) => (f.valid ? fmt.signedDecimals(f.value, 3) : "not valid") },
  ];
  const factors = Object.entries(data.quality_factors).map(([name, value]) => `${fmt.words(name)} ${fmt.decimals(value)}`).join(", ");
  const half = (made) => (made.classList.add("half"), made);
  const third = (made) => (made.classList.add("third"), made);
  const parts = [
    el("div", { class: "chooser" }, el("h2", { text: title }),
      el("span", { class: "sub", text: `as of ${utc(data.asof)}, ${data.source}, dealer model: ${fmt.words(data.model)}` })),
    data.usable ? null : el("p", { class: "trouble", text: `Quality ${fmt.decimals(data.quality)} at ${utc(data.judged_at)} is below 0.20: the options count as missing, and levels are hidden (${factors}).` }),
    tiles(tile("Quality", fmt.decimals(data.quality), factors, data.usable ? "" : "warn"),
      ...FACTS.map(([name, write, note]) => tile(name, write(data), note))),
    half(card("Gamma exposure by strike", "USD per 1 % move, SPX strikes", strikes)),
    half(card("Gamma exposure if the index stood elsewhere", "USD per 1 % move", profile)),
    third(card("Levels", "", table("Levels of the chain", heads, rows))),
    third(card("By expiry", "USD per 1 % move", expiries)),
    third(card("Features of the chain", "times quality", table("Features F9 to F14", featureHeads, features))),
  ];
  const draw = () => {
    if (data.spot === null || !data.strikes.length) return;
    const reach = Math.max(4 * (data.expected_move ?? 0), 0.025 * data.spot);
    const span = { low: data.spot - reach, high: data.spot + reach, levels, write: bn };
    priced(strikes, { ...span, label: "Gamma exposure by strike", bars: data.strikes.map(([at, value]) => ({ at, value: value ?? 0 })) });
    const path = data.profile.filter((point) => point[1] !== null).map(([at, value]) => ({ at, value }));
    priced(profile, { ...span, label: "Gamma exposure by level of the index", path });
    columns(expiries, { label: "Gamma exposure by expiry", write: bn, height: 190,
      bars: data.by_expiry.slice(0, 12).map(([date, value]) => ({ name: String(date).slice(4, 6) + "/" + String(date).slice(6), value: value ?? 0 })) });
  };
  return [parts, draw];
}

watch(() => "/api/positioning", (body, data) => {
  const parts = [el("h2", { text: "What the trader uses now" }), inUse];
  const draws = [];
  if (data.fault) parts.push(el("p", { class: "trouble", text: data.fault }));
  for (const [found, title] of [[data.live, "The trader\u2019s own chain"], [data.file, `Chain ${data.file?.name ?? ""}`]]) {
    if (!found) continue;
    const [made, draw] = chain(found, title);
    parts.push(...made.filter(Boolean));
    draws.push(draw);
  }
  if (!draws.length) {
    parts.push(empty("No option chain is at hand",
      "The trader follows SPX options when sources.options is on and live.chain names yesterday\u2019s chain; its positioning then appears here. A chain on disk can be shown as well.",
      "mia dashboard --chain quotedata.csv"));
  }
  body.replaceChildren(...parts);
  draws.forEach((draw) => draw());
}, 15);
