// Keeps the page live: messages from the link go into the state, the view draws it. What the page
// says about itself (live or not, how old, what time it is) is said here, and only what was heard.

import { Link, POLL_MS, STALE_MS } from './link.js';
import { State } from './state.js';
import { View, safe, sentence } from './view.js';

/** At most one sentence in so long is spoken. */
const SPEAK_MS = 5_000;
const page = document.getElementById('page');
const { event, timezone, demo } = page.dataset;
const state = new State();
const view = new View(timezone);
/** Event time as the server told it: `{at, heard, rate}`. */
let told = null;
let isDrawn = true;
let spoken = { at: -SPEAK_MS, waiting: null };

const link = new Link({
  event,
  cursor: () => state.cursor,
  tell,
  poll,
  changed: () => draw(),
});

function tell(message) {
  const what = state.apply(message);
  if (message.type === 'connected') told = { at: Date.parse(message.timestamp), heard: performance.now(), rate: told?.rate ?? null };
  if (message.type === 'status') told = { at: Date.parse(message.server_time), heard: performance.now(), rate: message.clock_rate };
  if (what === 'news' || what === 'state' || what === 'live' || what === 'status') link.understood();
  if (what === 'fresh') void readResults();
  if (what === 'news') speak(sentence(message, state));
  if (what !== '') draw(what !== 'status' && what !== 'opened');
}

/** Event time now; it goes on while nothing is heard, for whatever expires by the clock. */
function eventNow() {
  if (told === null) return null;
  const at = told.at + (performance.now() - told.heard) * (told.rate ?? 0);
  return Number.isFinite(at) && Math.abs(at) < 8.64e15 ? new Date(at) : new Date(told.at);
}

async function read(path) {
  const answer = await fetch(`/api/events/${event}/${path}`, { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw Object.assign(new Error(`${answer.status} for ${path}`), { status: answer.status });
  return answer.json();
}

async function readAll(path) {
  const items = [];
  for (let after = 0; after !== null;) {
    const part = await read(`${path}?limit=500&after=${after}`);
    items.push(...part.items);
    after = part.next;
  }
  return items;
}

/** The snapshot of the stream has the newest twenty results; the page shows them all. */
async function readResults() {
  const { epoch } = state;
  try {
    const results = await readAll('results/');
    if (epoch !== state.epoch) return;
    state.learnResults(results);
    draw(true);
  } catch (error) {
    // The next snapshot asks again; until then the newest are there.
    console.warn(`older results are missing: ${error.message}`);
  }
}

/** Reads everything at once; the status that refused it, or null. */
async function poll() {
  try {
    const [boards, schedule, results, announcements] = await Promise.all([
      read('leaderboard/'), read('schedule/'), readAll('results/'), readAll('announcements/'),
    ]);
    state.replace({ boards, schedule, results, announcements });
    draw(true);
    return null;
  } catch (error) {
    return error.status ?? 0;
  }
}

let wantsContent = false;
function draw(content = false) {
  wantsContent ||= content;
  if (!isDrawn) return;
  isDrawn = false;
  const now = () => {
    isDrawn = true;
    drawBadge();
    if (wantsContent) view.draw(state, eventNow());
    wantsContent = false;
    document.documentElement.dataset.pos = state.pos;
  };
  // A hidden page has no frames to wait for.
  if (document.hidden) setTimeout(now, 0);
  else requestAnimationFrame(now);
}

const minutes = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1_000) % 60).padStart(2, '0')}`;

/** What the page is, from what was heard: `[state, words]`. */
function standing(now) {
  if (link.hasEnded) return ['ended', 'ENDED: there is nothing here any more'];
  const age = link.heardAt === null ? null : now - link.heardAt;
  const staleAfter = link.way === 'poll' ? STALE_MS + POLL_MS : STALE_MS;
  if (age !== null && age > staleAfter) {
    const at = told === null ? '' : `, as of ${view.seconds(shownTime(now))}`;
    return ['stale', `STALE ${minutes(age)}${at}`];
  }
  const seconds = Math.floor((age ?? 0) / 1_000);
  switch (link.way) {
    case 'ws': return ['live-ws', `LIVE ${seconds} s`];
    case 'sse': return ['live-sse', `LIVE (events) ${seconds} s`];
    case 'poll': return ['polling', `POLLING every ${POLL_MS / 1_000} s, ${seconds} s old`];
    default: {
      if (age === null) return ['connecting', 'CONNECTING'];
      const wait = Math.ceil(Math.max(0, (link.retryAt ?? now) - now) / 1_000);
      return ['reconnecting', wait > 0 ? `RECONNECTING in ${wait} s` : 'RECONNECTING'];
    }
  }
}

/** The time that may be shown: it stops with the news. */
function shownTime(now) {
  if (told === null) return null;
  const isFresh = link.heardAt !== null && now - link.heardAt <= STALE_MS && link.way !== null && link.way !== 'poll';
  const until = isFresh ? now : Math.max(told.heard, Math.min(now, link.heardAt ?? told.heard));
  return new Date(Math.min(told.at + (until - told.heard) * (told.rate ?? 0), 8.64e15));
}

function drawBadge() {
  const now = performance.now();
  const badge = document.getElementById('badge');
  const [name, words] = standing(now);
  if (badge.dataset.state !== name) badge.dataset.state = name;
  if (badge.textContent !== words) badge.textContent = words;
  page.classList.toggle('old', name === 'stale' || name === 'ended' || name === 'reconnecting');
  const at = shownTime(now);
  if (at !== null && told.rate !== null) {
    const clock = document.getElementById('clock');
    const text = view.seconds(at);
    if (clock.textContent !== text) clock.textContent = text;
  }
  const mark = document.getElementById('demo');
  const rate = told?.rate ?? 1;
  mark.hidden = demo !== 'true' && rate === 1;
  const text = rate !== 1 && rate > 0 ? `DEMO x${rate}` : 'DEMO';
  if (mark.textContent !== text) mark.textContent = text;
}

function speak(words) {
  if (words !== null) spoken.waiting = words;
  const now = performance.now();
  if (spoken.waiting === null || now - spoken.at < SPEAK_MS) return;
  document.getElementById('spoken').textContent = safe(spoken.waiting);
  spoken = { at: now, waiting: null };
}

function tick() {
  link.tick(performance.now());
  drawBadge();
  speak(null);
  view.unmark();
  const now = eventNow();
  if (now !== null && state.epoch !== null) {
    // Expiry goes by the clock of the server, heard or not.
    view.announcements(state, now);
    view.zoneNote(now, document.getElementById('offset').textContent);
  }
}

/** Dark or light, kept for the next visit. */
function offerTheme() {
  const button = document.getElementById('theme');
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const label = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    try {
      localStorage.setItem('theme', root.dataset.theme);
    } catch {
      // A browser that keeps nothing asks again next time.
    }
    label();
  });
  label();
  button.hidden = false;
}

offerTheme();
setInterval(tick, 1_000);
addEventListener('online', () => link.wake());
addEventListener('pageshow', ({ persisted }) => persisted && link.wake());
document.addEventListener('visibilitychange', () => document.hidden || link.wake());
link.start();
drawBadge();
