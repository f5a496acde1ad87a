// The newest frame from the server, painted at most once per animation frame.
// Listeners get {life, age_s, frame, ...}; `frame` is the newest one seen, or null.
const RETRY_MS = [150, 300, 500, 800];
const GIVE_UP_MS = 4000;
export const SILENT_MS = 1500;

const painters = new Set();
const mia = (window.__mia = {
  frames: 0, messages: 0, connects: 0, dropped: 0, connected: false, life: "unknown",
  frame: null, shown: {}, banner: "", age_s: null, lag_ms: null,
});
export const now = {
  life: "unknown", age_s: null, frame: null, pid: 0, session: null, screen: 0, alerts: 0,
  connected: false, loggedOut: false, heard: 0,
};

let socket = null;
let tries = 0;
let painting = 0;

export function onUpdate(paint) {
  painters.add(paint);
  if (now.heard) paint(now);
  return () => painters.delete(paint);
}

// Writes a text where it changed, and keeps the number that it stands for.
export function put(element, value, text) {
  const node = typeof element === "string" ? document.getElementById(element) : element;
  mia.shown[node.id || node.dataset.key] = value;
  if (node.textContent !== text) node.textContent = text;
  return node;
}

export function mark(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

// Milliseconds since the server was heard.
export const silence = () => performance.now() - now.heard;

export async function getJson(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 401) now.loggedOut = true;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function schedule() {
  if (!painting) painting = requestAnimationFrame(paint);
}

function paint() {
  painting = 0;
  for (const painter of painters) painter(now);
  mia.painted = now.frame ? now.frame.seq : null;
}

function take(text) {
  const message = JSON.parse(text);
  now.heard = performance.now();
  mia.messages += 1;
  Object.assign(now, { life: message.life, age_s: message.age_s, session: message.session,
    screen: message.screen, alerts: message.alerts, pid: message.pid, connected: true });
  mia.life = message.life;
  mia.age_s = message.age_s;
  mia.dropped = message.dropped;
  mia.lag_ms = Date.now() - message.sent / 1e6;
  if (message.frame) {
    now.frame = message.frame;
    mia.frame = message.frame;
    mia.frames += 1;
  } else if (message.life === "none") {
    now.frame = mia.frame = null;
  }
  schedule();
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws`);
  socket.onopen = () => {
    tries = 0;
    mia.connects += 1;
    mia.connected = true;
    now.loggedOut = false;
  };
  socket.onmessage = (event) => take(event.data);
  socket.onclose = () => {
    mia.connected = now.connected = false;
    const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
    tries += 1;
    // A refusal looks like any other failure from here: ask in words.
    if (tries % 4 === 2) getJson("/api/alerts?from=-1").catch(() => {});
    setTimeout(connect, wait);
    schedule();
  };
}

connect();
// Ages run on while nothing is heard; a hung connection is noticed here, not by an event.
let ticked = performance.now();
setInterval(() => {
  // A page that was held up itself reads first what has come meanwhile.
  const late = performance.now() - ticked > 600;
  ticked = performance.now();
  if (late) return;
  if (silence() > SILENT_MS) schedule();
  if (socket.readyState === WebSocket.OPEN && now.heard && silence() > GIVE_UP_MS) socket.close();
}, 200);
