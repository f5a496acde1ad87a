// Working orders, fills, alerts.
import { h, rows } from "./dom.js";
import { getJson, now, onUpdate, put } from "./feed.js";
import { onSession } from "./session.js";
import { sessionName } from "./session_picker.js";
import * as fmt from "./format.js";

const SIGNS = { INFO: "i", WARNING: "\u26a0", CRITICAL: "\u2716" };
const MOST_ALERTS = 200;

const head = (...names) => h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col", class: name.startsWith("#") ? "num" : null }, name.replace("#", "")))));
const none = (text, columns) => [h("tr", {}, h("td", { colspan: columns, class: "empty" }, text))];
const side = (value) => h("td", { "data-tone": value > 0 ? "up" : "down" }, value > 0 ? "\u25b2 buy" : "\u25bc sell");

export function ordersCard(body) {
  const working = h("tbody", { id: "orders" });
  const fills = h("tbody", { id: "fills" });
  const filled = head("Filled", "Side", "#Size", "#Price", "For");
  body.append(
    h("table", { "aria-label": "Working orders" }, head("Order", "Side", "#Size", "Type", "#Price", "Status"), working),
    h("table", { "aria-label": "Fills" }, filled, fills));

  onUpdate((state) => {
    if (!state.frame) return;
    const { orders } = state.frame;
    put("orders-sub", orders.length, orders.length === 1 ? "1 works" : `${orders.length} work`);
    rows(working, JSON.stringify(orders), () => (orders.length ? orders.map((order) => h("tr", { title: order.client_order_id },
      h("th", { scope: "row" }, fmt.words(order.role)), side(order.side),
      h("td", { class: "num" }, order.filled_quantity ? `${order.filled_quantity}/${order.quantity}` : order.quantity),
      h("td", {}, fmt.words(order.order_type)), h("td", { class: "num" }, order.price === null ? "market" : fmt.price(order.price)),
      h("td", { "data-tone": order.status === "UNKNOWN" ? "bad" : "" }, fmt.words(order.status)))) : none("no order works", 6)));
  });
  onSession(({ id, past, fills: found, version }) => {
    filled.querySelector("th").textContent = past ? sessionName(id) : "Filled";
    rows(fills, String(version), () => (found.length ? found.slice(-100).reverse().map((fill) => h("tr", { title: fill.trade_id },
      h("td", {}, fmt.time(fill.t)), side(fill.side), h("td", { class: "num" }, fill.quantity), h("td", { class: "num" }, fmt.price(fill.price)),
      h("td", {}, fmt.words(fill.role)))) : none("no fill in this session", 5)));
  });
  rows(fills, "none", () => none("no fill in this session", 5));
}

export function alertsCard(body) {
  const list = h("ol", { class: "alerts", id: "alerts", role: "log", "aria-label": "Alerts, newest first" }, h("li", { class: "empty" }, "no alert"));
  body.append(list);
  let next = -200_000;
  let size = -1;
  let busy = false;
  let found = [];
  let today = "";

  // Of another day than the trader's, the day is part of the time.
  const when = (ts) => (fmt.date(ts) === today ? fmt.time(ts) : `${fmt.weekday(ts)} ${fmt.hhmm(ts)}`);

  async function read(wanted) {
    busy = true;
    try {
      const answer = await getJson(`/api/alerts?from=${next}`);
      if (next > 0 && answer.from < next) found = [];
      next = answer.next;
      size = wanted;
      found = [...found, ...answer.rows].slice(-MOST_ALERTS);
      show();
    } catch {
      // The next message tries again.
    } finally {
      setTimeout(() => { busy = false; }, 400);
    }
  }

  function show() {
    window.__mia.alerts = found.length;
    const critical = found.filter((alert) => alert.level === "CRITICAL").length;
    put("alerts-sub", found.length, critical ? `${critical} critical` : `${found.length} in all`);
    list.replaceChildren(...(found.length ? found.slice().reverse().map((alert) => h("li", { "data-level": alert.level },
      h("span", { class: "alert-sign", "aria-label": alert.level.toLowerCase() }, SIGNS[alert.level] ?? "i"),
      h("span", { class: "alert-time num", title: `${fmt.date(alert.ts)} ${fmt.time(alert.ts)} ET` }, when(alert.ts)), h("span", { class: "alert-text" }, alert.text),
      h("span", { class: "dim" }, alert.source))) : [h("li", { class: "empty" }, "no alert")]));
  }

  onUpdate(() => {
    const day = fmt.date(now.frame?.ts ?? 1e6 * Date.now());
    if (day !== today) {
      today = day;
      if (found.length) show();
    }
    if (!busy && now.alerts !== size) read(now.alerts);
  });
}
