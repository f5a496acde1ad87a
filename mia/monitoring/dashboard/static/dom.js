// Builds elements; text is always text, never markup.
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function card(title, { id, sub = "", area = "" } = {}, ...body) {
  return h("section", { class: "card", id: `${id}-card`, "aria-labelledby": `${id}-title`, "data-area": area },
    h("header", {}, h("h2", { id: `${id}-title` }, title), h("span", { class: "sub", id: `${id}-sub` }, sub)),
    h("div", { class: "body", id: `${id}-body` }, ...body));
}

// Replaces the rows of a table only if something in them changed.
export function rows(body, key, make) {
  if (body.dataset.now === key) return;
  body.dataset.now = key;
  body.replaceChildren(...make());
}

export const canvas2d = (canvas) => {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
};
