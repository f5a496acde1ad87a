// Bars, fills and marks of the newest session, or of an earlier one that was chosen; read on from
// where the last reading ended.
import { getJson, now, onUpdate } from "./feed.js";

const MOST_BARS = 3000;
const PAUSE_MS = 400;
const listeners = new Set();

// `past`: an earlier session is shown, which the newest frame says nothing of.
export const session = { id: null, past: false, sessions: [], bars: [], fills: [], marks: [], profile: new Map(), version: 0 };
let next = 0;
let run = "";
let busy = false;
let due = 0;
let chosen = null;

export function onSession(act) {
  listeners.add(act);
  if (session.version) act(session);
}

// Shows an earlier session; null goes back to the newest and stays with it.
export function choose(id) {
  chosen = id === null || id === now.session ? null : id;
  due = 0;
  step();
}

function clear(id) {
  Object.assign(session, { id, bars: [], fills: [], marks: [], profile: new Map() });
  next = 0;
}

function addBar(row) {
  // Charts want whole seconds that rise; bars by volume or range can be closer together.
  const before = session.bars.at(-1);
  row.time = Math.floor(row.t / 1e9);
  if (before && row.time <= before.time) row.time = before.time + 1;
  session.bars.push(row);
  for (const [price, bid, ask] of row.rows ?? []) {
    const level = session.profile.get(price);
    if (level) { level[0] += bid; level[1] += ask; } else session.profile.set(price, [bid, ask]);
  }
  if (session.bars.length > MOST_BARS) session.bars.splice(0, session.bars.length - MOST_BARS);
}

function take(row) {
  if (row.fill) session.fills.push(row.fill);
  else if (row.mark) session.marks.push(row.mark);
  else if (Number.isFinite(row.c)) addBar(row);
}

async function read(id) {
  busy = true;
  try {
    if (id !== session.id) clear(id);
    session.past = id === chosen;
    let found;
    do {
      found = await getJson(`/api/screen?session=${id}&from=${next}`);
      if (found.from < next) clear(id);
      found.rows.forEach(take);
      next = found.next;
      session.sessions = found.sessions;
    } while (found.rows.length && found.next < found.size);
    if (session.marks.length > 4 * MOST_BARS) session.marks.splice(0, session.marks.length - 2 * MOST_BARS);
    if (session.fills.length > 2000) session.fills.splice(0, session.fills.length - 1000);
    session.version += 1;
    window.__mia.session = session.id;
    window.__mia.bars = session.bars.length;
    window.__mia.fills = session.fills.length;
    for (const act of listeners) act(session);
  } catch {
    // The next message tries again.
  } finally {
    busy = false;
    due = performance.now() + PAUSE_MS;
  }
}

function step() {
  if (now.frame && now.frame.run_id !== run && !busy) {
    // A new run may have begun its file anew.
    if (run) clear(null);
    run = now.frame.run_id;
  }
  const wanted = chosen ?? now.session;
  if (busy || performance.now() < due || wanted === null || wanted === undefined) return;
  // An earlier session is written no more.
  if (wanted !== session.id || (chosen === null && now.screen !== next)) read(wanted);
}

onUpdate(step);
