// Halt, flatten, resume: a word is typed, then the order goes the way of the kill command.
import { now } from "./feed.js";

const ORDERS = {
  halt: {
    title: "Halt entries",
    text: "No new entries; working entries are cancelled. Stops and targets stay at the broker.",
    word: "HALT",
  },
  flatten: {
    title: "Flatten and halt",
    text: "The position of this trader is closed at market, its orders are cancelled, and nothing new is entered.",
    word: "FLATTEN",
  },
  resume: {
    title: "Resume",
    text: "What a person had stopped may trade again. A loss of the day stays until the next session.",
    word: "RESUME",
  },
};

const $ = (id) => document.getElementById(id);
const dialog = $("order");
const word = $("order-word");
const send = $("order-send");
let chosen = null;

function open(name) {
  chosen = name;
  const order = ORDERS[name];
  $("order-title").textContent = order.title;
  $("order-text").textContent = order.text;
  $("order-wanted").textContent = order.word;
  $("order-said").textContent = "";
  send.textContent = order.title;
  send.className = name;
  send.disabled = true;
  word.value = "";
  $("order-force").checked = false;
  $("order-force-line").hidden = name === "resume" || now.life !== "silent";
  dialog.showModal();
  word.focus();
}

async function give(name) {
  send.disabled = true;
  $("order-said").textContent = "Ordered; waiting for the answer";
  try {
    const answer = await fetch(`/api/actions/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ confirm: word.value.trim().toUpperCase(), force: $("order-force").checked }),
    });
    const result = await answer.json();
    window.__mia.order = result;
    const said = result.error ?? result.said.join("\n");
    $("order-said").textContent = `${result.done ? "Done" : "NOT DONE"}: ${said}`;
  } catch (error) {
    $("order-said").textContent = `NOT DONE: the server cannot be reached. Use mia kill ${name === "resume" ? "reset" : name} on the machine (${error.message})`;
  }
  send.disabled = word.value.trim().toUpperCase() !== ORDERS[name].word;
}

for (const name of Object.keys(ORDERS)) $(name).addEventListener("click", () => open(name));
word.addEventListener("input", () => {
  send.disabled = word.value.trim().toUpperCase() !== ORDERS[chosen].word;
});
$("order-cancel").addEventListener("click", () => dialog.close());
$("order-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!send.disabled) give(chosen);
});
