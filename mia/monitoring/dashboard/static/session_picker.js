// Chooses the session of the charts and fills; the rest of the page is always of now.
import { h } from "./dom.js";
import { now, onUpdate } from "./feed.js";
import { choose, onSession, session } from "./session.js";
import * as fmt from "./format.js";

// A session's number is its trade date: at noon UTC that is the same date in New York.
export const sessionName = (id) =>
  fmt.date(1e6 * Date.UTC(Math.floor(id / 10000), Math.floor(id / 100) % 100 - 1, id % 100, 12));

export function sessionPicker() {
  const select = h("select", { id: "session-choice", "aria-label": "Session that the charts show" });
  const back = h("button", { type: "button", class: "quiet", id: "session-now" }, "Back to now");
  const picker = h("div", { class: "picker", hidden: true }, select, back);
  let shown = "";

  function show() {
    const newest = now.session;
    const others = session.sessions.filter((id) => id !== newest).reverse();
    picker.hidden = !others.length;
    back.hidden = !session.past;
    document.getElementById("page").dataset.past = String(session.past);
    const key = JSON.stringify([newest, others]);
    if (key !== shown) {
      shown = key;
      const name = newest === null ? "newest" : sessionName(newest);
      select.replaceChildren(h("option", { value: "" }, `${name}, now`),
        ...others.map((id) => h("option", { value: id }, `${sessionName(id)} ${Math.floor(id / 10000)}`)));
      select.value = session.past ? String(session.id) : "";
    }
    window.__mia.sessions = session.sessions;
  }

  select.addEventListener("change", () => choose(select.value === "" ? null : Number(select.value)));
  back.addEventListener("click", () => {
    select.value = "";
    select.focus();
    choose(null);
  });
  onSession(show);
  onUpdate(() => { if (session.version) show(); });
  return picker;
}
