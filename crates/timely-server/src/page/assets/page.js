// Joins the three parts of the page: what is heard (link.js) changes what is known (state.js), and
// what is known is drawn (view.js).

import { Link, getAll, noticeSleep, now } from './link.js';
import { State } from './state.js';
import { View } from './view.js';

const { event, timezone, serverTime, clockRate, demo } = document.body.dataset;
const state = new State();
const view = new View({ timezone, isDemo: demo === 'true' });
/** How long to wait before old results are asked for again. */
const RESULTS_RETRY_MS = 5_000;

const link = new Link(event, {
  since: () => state.since,
  onBegin: (wasCut) => state.connectionBegins(wasCut),
  onMessage: (message) => {
    const happened = state.apply(message, now());
    if (happened) view.tell(happened, state, now());
    if (message.type === 'live' && !state.hasAllResults) readResults();
    drawSoon();
  },
  onWhole: (whole) => {
    state.takeWhole(whole, now());
    drawSoon();
  },
  onPhase: () => drawSoon(),
});

/** A snapshot tells the latest results only: the older ones are read once, beside the stream. */
async function readResults() {
  const epoch = state.epoch;
  try {
    const results = await getAll(`/api/events/${event}/results/`);
    if (state.epoch !== epoch) return;
    for (const result of results) state.mergeResult(result);
    state.hasAllResults = true;
  } catch {
    // The stream goes on; what it told is shown, and older scores follow.
    setTimeout(() => state.epoch === epoch && !state.hasAllResults && readResults(), RESULTS_RETRY_MS);
  }
  state.mayShowResults = true;
  drawSoon();
}

let isDrawingSoon = false;

/** Messages that come together are drawn together. */
function drawSoon() {
  if (isDrawingSoon) return;
  isDrawingSoon = true;
  // Not an animation frame: those stop in a hidden tab, and its title and badge are read by somebody.
  setTimeout(() => {
    isDrawingSoon = false;
    view.draw(state, link, now());
  });
}

state.setClock(Date.parse(serverTime), Number(clockRate), now());
setInterval(() => {
  if (noticeSleep()) link.check();
  link.tick();
  view.tick(state, link, now());
}, 1_000);
addEventListener('online', () => link.check(true));
addEventListener('pageshow', ({ persisted }) => persisted && link.check());
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  noticeSleep();
  link.check();
});
link.start();
drawSoon();
