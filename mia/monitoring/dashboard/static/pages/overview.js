// The first screen: am I safe, connected, what do I hold, and why.
import { priceChart } from "../chart.js";
import { card } from "../dom.js";
import { equityCard } from "../equity.js";
import { ladder } from "../ladder.js";
import { latencyCard } from "../latency.js";
import { alertsCard, ordersCard } from "../lists.js";
import { signalCard } from "../signal.js";

const PARTS = [
  ["chart", "Price and order flow", priceChart],
  ["depth", "Depth", ladder],
  ["signal", "Last decision", signalCard],
  ["equity", "Equity", equityCard],
  ["orders", "Orders and fills", ordersCard],
  ["alerts", "Alerts", alertsCard],
  ["latency", "Latency by stage", latencyCard],
];

const page = document.getElementById("page");
page.className = "overview";
const made = PARTS.map(([id, title, fill]) => [card(title, { id, area: id }), fill, id]);
page.append(...made.map(([element]) => element));
for (const [, fill, id] of made) fill(document.getElementById(`${id}-body`));
