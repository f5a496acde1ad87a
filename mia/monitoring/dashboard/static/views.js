// What the pages beside the overview have in common: elements, cards, tables, polling.
import { getJson } from "./feed.js";

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

let numbered = 0;
export function card(title, sub, ...body) {
  const id = `card-${(numbered += 1)}`;
  return el("section", { class: "card", "aria-labelledby": id },
    el("header", {}, el("h2", { id, text: title }), sub ? el("span", { class: "sub", text: sub }) : null),
    el("div", { class: "body" }, ...body));
}

export const tile = (name, value, note = "", tone = "") =>
  el("div", { class: "tile" },
    el("dt", { text: name }),
    el("dd", { class: "num", "data-tone": tone || null, "data-tile": name, text: value }),
    el("dd", { class: "sub", text: note, title: note || null }));
export const tiles = (...all) => el("dl", { class: "tiles" }, ...all);

// Columns are {head, cell(row) -> text or node, num, tone(row)}.
export function table(caption, heads, rows, key = null) {
  const body = rows.map((row) => el("tr", { "data-key": key ? key(row) : null },
    ...heads.map((head, k) => {
      const value = head.cell(row);
      const made = el(k === 0 ? "th" : "td", {
        class: head.num ? "num" : null, scope: k === 0 ? "row" : null,
        "data-tone": head.tone ? head.tone(row) : null,
      });
      made.append(value instanceof Node ? value : String(value));
      return made;
    })));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden-words", text: caption }),
      el("thead", {}, el("tr", {}, ...heads.map((head) =>
        el("th", { class: head.num ? "num" : null, scope: "col", text: head.head })))),
      el("tbody", {}, ...body)));
}

export function empty(title, words, command = "") {
  return el("div", { class: "nothing" }, el("h2", { text: title }), el("p", { text: words }),
    command ? el("p", {}, el("code", { text: command })) : null);
}

export const plot = () => el("div", {});
export const interval = (pair, write) =>
  pair && pair[0] !== null && pair[1] !== null ? `95 %: ${write(pair[0])} to ${write(pair[1])}` : "too few for an interval";

// Asks again and again, paints what changed, and says when it cannot be had.
export function watch(path, paint, seconds = 5) {
  const main = document.getElementById("page");
  // On a phone the links do not fit beside one another.
  const here = document.querySelector('[aria-current="page"]');
  here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 60;
  const said = el("p", { class: "trouble", role: "status", hidden: true });
  const body = el("div", { class: "view" });
  main.replaceChildren(said, body);
  let shown = "";
  let timer = 0;
  const state = (window.__mia.view = { loads: 0, data: null, error: "" });
  async function ask() {
    clearTimeout(timer);
    try {
      const data = await getJson(path());
      const text = JSON.stringify(data);
      if (text !== shown) {
        shown = text;
        paint(body, data);
      }
      Object.assign(state, { loads: state.loads + 1, data, error: "" });
    } catch (error) {
      state.error = String(error);
    }
    said.hidden = !state.error;
    said.textContent = state.error ? `What stands here is not current (${state.error}).` : "";
    timer = setTimeout(ask, document.hidden ? 4000 * seconds : 1000 * seconds);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  ask();
  return () => { shown = ""; ask(); };
}
