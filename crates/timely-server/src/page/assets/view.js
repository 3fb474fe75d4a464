// Draws what is known. The server has drawn the same when it sent the page (scoreboard.rs); what
// stands in one stands in the other. Text from outside passes one function and is never markup.

import { POLL_MS } from './link.js';
import { counts, loudness } from './state.js';

/** Without a word for so long, what is shown is stale. */
const STALE_MS = 12_000;
/** How long a change is marked. */
const MARK_MS = 8_000;
/** A screen reader hears at most one sentence in this time. */
const SENTENCE_MS = 5_000;
/** Sentences that wait for their turn; older ones are not news any more. */
const SENTENCES_MAX = 2;
/** How long a word about the connection stays. */
const NOTE_MS = 5_000;
const LATEST_MAX = 20;
const SHOWN_FIXTURES_MIN = 6;
/** Oldest first, so that a day groups with itself. */
const byStart = (one, other) => Date.parse(one.start_at) - Date.parse(other.start_at) || one.number - other.number;

/** Text without anything that could reorder a line or hide in it: `display_safe` of the server. */
function safe(text) {
  return String(text)
    .replace(/[\t\n\r]/g, ' ')
    .replace(
      /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
      '\ufffd',
    );
}

/** An element. `classes` may be empty; strings among the children become safe text. */
function el(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  for (const child of children) {
    if (child !== null && child !== '') element.append(child instanceof Node ? child : safe(child));
  }
  return element;
}

const bdi = (text, classes = '') => el('bdi', classes, text);

/** Text of several lines; line breaks stay. */
function message(text) {
  const lines = text.split(/\r\n|[\r\n]/).map(safe);
  return el('p', 'message', bdi(document.createTextNode(lines.join('\n'))));
}

const drawn = new WeakMap();

/**
 * Makes the children of `parent` show `items`. What did not change is left alone: nothing flickers,
 * and a screen reader hears an alert once.
 * @param {{key: string, data: unknown, make: () => Element}[]} items
 */
function sync(parent, items) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstChild;
  for (const { key, data, make } of items) {
    const sign = JSON.stringify(data);
    let child = old.get(key);
    if (!child || drawn.get(child) !== sign) {
      child = make();
      child.dataset.key = key;
      drawn.set(child, sign);
    }
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

const empty = (words, tag = 'p') => ({ key: 'empty', data: words, make: () => el(tag, 'empty', words) });

/** Times in the zone of the event. */
class Zone {
  constructor(name) {
    this.name = name;
    const format = (options) => {
      try {
        return new Intl.DateTimeFormat('en-GB', { ...options, timeZone: name });
      } catch {
        // A zone that this browser does not know.
        return new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' });
      }
    };
    this.minutes = format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    this.seconds = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
    this.date = format({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
    this.short = format({ weekday: 'short', day: 'numeric' });
    this.names = format({ hour: 'numeric', timeZoneName: 'longOffset' });
  }

  /** `22:00` */
  time(at) {
    return this.minutes.format(at);
  }

  /** `23:27:13` */
  timeWithSeconds(at) {
    return this.seconds.format(at);
  }

  /** `Thursday 1 December 2022` */
  day(at) {
    const parts = this.date.formatToParts(at).filter(({ type }) => type !== 'literal');
    return parts.map(({ value }) => value).join(' ');
  }

  /** `22:00`, or `Wed 30` on another day than `today`. */
  recent(at, today) {
    if (this.day(at) === this.day(today)) return this.time(at);
    const parts = Object.fromEntries(this.short.formatToParts(at).map(({ type, value }) => [type, value]));
    return `${parts.weekday} ${parts.day}`;
  }

  /** `+03` */
  offset(at) {
    const name = this.names.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
    return (name.replace('GMT', '') || '+00').replace(/:00$/, '').replace('\u2212', '-');
  }

  element(at, text = this.time(at)) {
    const time = el('time', '', text);
    time.dateTime = new Date(at).toISOString();
    return time;
  }
}

/** `0:47`, `1:02:03` */
function minutes(ms) {
  const s = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(s / 3600);
  return hours > 0
    ? `${hours}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
    : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

const sideName = (team, slot) => (team.id === null && slot ? slot : team.name);
const homeName = (fixture) => sideName(fixture.home_team, fixture.home_slot);
const awayName = (fixture) => sideName(fixture.away_team, fixture.away_slot);
const score = (result) => `${result.home_score}-${result.away_score}`;

/** `a.e.t., 4-2 on penalties`; empty after regular time. */
function beyond(result) {
  const parts = [];
  if (result.ft_home !== null) parts.push('a.e.t.');
  if (result.pen_home !== null && result.pen_away !== null) {
    parts.push(`${result.pen_home}-${result.pen_away} on penalties`);
  }
  return parts.join(', ');
}

/** `Vargas 70' (own goal)` */
function goal({ player, minute, added, own_goal: isOwn, penalty }) {
  const how = isOwn ? ' (own goal)' : penalty ? ' (pen.)' : '';
  return `${player ? `${player} ` : ''}${minute}${added ? `+${added}` : ''}'${how}`;
}

const goals = (result, team) =>
  result.goals
    .filter(({ team_id: of }) => of === team)
    .map(goal)
    .join(', ');

function place(fixture) {
  const venue = [fixture.area, fixture.venue.name].filter(Boolean).join(', ');
  return [fixture.round, fixture.group && `Group ${fixture.group}`, venue].filter(Boolean).join(' \u00b7 ');
}

const isActive = ({ expires_at: end }, time) => end === null || Date.parse(end) > time;
const isLive = ({ status }) => status === 'LIVE' || status === 'PAUSED';

export class View {
  constructor({ timezone, isDemo }) {
    this.zone = new Zone(timezone);
    this.isDemo = isDemo;
    this.sentences = [];
    this.spokeAt = -Infinity;
    this.note = null;
    this.emergencies = new Set();
    this.hasDrawn = false;
    this.part = new Proxy({}, { get: (_, id) => document.getElementById(id) });
  }

  /** Draws everything that changed. */
  draw(state, link, now) {
    this.#drawAlways(state, link, now);
    // While a first or another log is told, the page shows what it was sent or told before.
    if (!state.isComplete || link.phase === 'ended') return;
    const time = state.eventTime(now);
    this.minute = Math.floor(time / 60_000);
    state.hasMarks(now, MARK_MS);
    this.#drawName(state.event);
    const schedule = [...(state.schedule ?? [])].sort(byStart);
    this.#drawCards(schedule, state);
    this.#drawBoards(state);
    if (state.mayShowResults) {
      this.#drawSchedule(schedule, state, time);
      this.#drawLatest(state, time);
    }
    this.hasDrawn = true;
  }

  /** Draws what time alone changes: to be called every second. */
  tick(state, link, now) {
    const isMinuteNew = this.minute !== Math.floor(state.eventTime(now) / 60_000);
    if (isMinuteNew || state.hasMarks(now, MARK_MS)) this.draw(state, link, now);
    else this.#drawAlways(state, link, now);
  }

  #drawAlways(state, link, now) {
    if (state.event && state.event.timezone !== this.zone.name) this.zone = new Zone(state.event.timezone);
    this.#drawConnection(state, link, now);
    this.#speakNext(now);
    if (link.phase === 'ended') this.#drawEnd();
    else if (state.isComplete) this.#drawAnnouncements(state, state.eventTime(now));
  }

  /** How the page is connected, how old it is, and what time it is there. */
  #drawConnection(state, link, now) {
    const root = document.documentElement;
    const staleAfter = link.phase === 'polling' ? POLL_MS + STALE_MS : STALE_MS;
    const isSilent = link.phase !== 'ended' && link.age >= staleAfter;
    const isServerStale = link.phase === 'open' && state.staleSince !== null;
    const isStale = isSilent || isServerStale;
    // The event clock stands still when nobody can know it.
    const seen = isSilent || link.phase === 'ended' ? link.heard : now;
    const time = isServerStale ? state.staleSince : state.eventTime(seen);
    const rate = state.clock.rate;
    const [word, words] = this.#badge(state, link, now, isStale, time);
    const { badge, clock, demo, note, printed } = this.part;
    if (badge.dataset.state !== word) badge.dataset.state = word;
    setText(badge, words);
    root.classList.toggle('stale', isStale || link.phase === 'ended');
    root.dataset.pos = String(state.shownPos);
    const clockWords = `${this.zone.timeWithSeconds(time)} ${this.zone.offset(time)}`;
    setText(clock, clockWords);
    setText(printed, clockWords);
    const isUnusual = rate !== 1;
    demo.hidden = !this.isDemo && !isUnusual;
    setText(demo, isUnusual && rate > 0 ? `DEMO x${rate}` : 'DEMO');
    if (this.note && now - this.note.at > NOTE_MS) this.note = null;
    setText(note, isStale && link.phase === 'reconnecting' ? retry(link, now) : (this.note?.text ?? ''));
  }

  #badge(state, link, now, isStale, time) {
    if (link.phase === 'ended') return ['ended', 'ENDED'];
    if (isStale) {
      const age = state.staleSince === null ? link.age : state.eventTime(now) - state.staleSince;
      return ['stale', `STALE ${minutes(age)}, as of ${this.zone.timeWithSeconds(time)}`];
    }
    const age = Math.floor(link.age / 1000);
    if (link.phase === 'polling') return ['polling', `POLLING every ${POLL_MS / 1000} s, data ${age} s old`];
    if (link.phase === 'open' && state.isCaughtUp) {
      return link.transport === 'ws' ? ['live-ws', `LIVE ${age} s`] : ['live-sse', `LIVE (events) ${age} s`];
    }
    if (link.phase === 'connecting' || !state.isComplete) return ['connecting', 'CONNECTING'];
    return ['reconnecting', retry(link, now)];
  }

  #drawEnd() {
    const { ended, main, alerts } = this.part;
    if (!ended.hidden) return;
    // What was shown may be for others only by now.
    main.replaceChildren();
    alerts.replaceChildren();
    ended.textContent = 'This event is not shown here any more. Load the page again to see whether it is back.';
    ended.hidden = false;
  }

  #drawName(event) {
    const name = event ? safe(event.name) : null;
    if (name === null || name === this.shownName) return;
    this.shownName = name;
    this.part.name.replaceChildren(bdi(name));
    document.title = this.isDemo ? `${name} (DEMO)` : name;
    const zone = document.querySelector('.zone');
    zone?.replaceChildren('Times in ', bdi(event.timezone));
  }

  #drawAnnouncements(state, time) {
    const rank = ['EMERGENCY', 'URGENT', 'HIGH', 'INFO', 'LOW'];
    const active = [...state.announcements.values()]
      .filter((announcement) => isActive(announcement, time))
      .sort((one, other) => rank.indexOf(loudness(one)) - rank.indexOf(loudness(other)) || other.id - one.id);
    const alerts = active.filter((one) => ['EMERGENCY', 'URGENT'].includes(loudness(one)));
    const notices = active.filter((one) => ['HIGH', 'INFO'].includes(loudness(one)));
    sync(this.part.alerts, alerts.map((one) => ({ key: `${one.id}`, data: one, make: () => this.#alert(one) })));
    const calledOff = { key: 'off', data: 'off', make: cancelled };
    sync(this.part.notices, [
      ...(state.event?.status === 'CANCELLED' ? [calledOff] : []),
      ...notices.map((one) => ({ key: `${one.id}`, data: one, make: () => this.#notice(one) })),
    ]);
    const emergencies = new Set(alerts.filter((one) => one.type === 'EMERGENCY').map(({ id, pos }) => `${id} ${pos}`));
    // A new one must be seen by whoever has scrolled away.
    if (this.hasDrawn && [...emergencies].some((one) => !this.emergencies.has(one))) scrollTo(0, 0);
    this.emergencies = emergencies;
  }

  #alert(announcement) {
    const isEmergency = announcement.type === 'EMERGENCY';
    const until = announcement.expires_at
      ? `until ${this.zone.time(Date.parse(announcement.expires_at))}`
      : 'until it is taken back';
    const said = this.zone.element(Date.parse(announcement.created_at));
    const alert = el('article', isEmergency ? 'alert emergency' : 'alert',
      el('p', 'word', loudness(announcement)),
      el('h2', '', bdi(announcement.title)),
      message(announcement.message),
      el('p', 'when', 'said ', said, `, ${until}`),
    );
    alert.setAttribute('role', 'alert');
    if (isEmergency) {
      const link = el('a', 'button', 'Show the scores');
      link.href = '#scores';
      alert.append(link);
    }
    return alert;
  }

  #notice(announcement) {
    const end = announcement.expires_at;
    return el('article', `notice ${loudness(announcement).toLowerCase()}`,
      el('p', 'word', loudness(announcement)),
      el('h2', '', bdi(announcement.title)),
      message(announcement.message),
      el('p', 'when', this.zone.element(Date.parse(announcement.created_at)),
        end ? `, until ${this.zone.time(Date.parse(end))}` : ''),
    );
  }

  #drawCards(schedule, state) {
    const cards = schedule.filter(isLive).map((fixture) => {
      const result = state.results.get(fixture.fixture_id);
      const counted = counts(result) ? result : null;
      const marks = ['home', 'away'].map((side) => state.marks.has(`${side} ${fixture.fixture_id}`));
      const data = [fixture, counted, marks];
      return { key: `${fixture.fixture_id}`, data, make: () => card(fixture, counted, marks) };
    });
    sync(this.part.cards, cards.length > 0 ? cards : [empty('Nothing is being played now.')]);
  }

  #drawBoards(state) {
    const live = (rows) => rows.reduce((sum, row) => sum + row.live, 0) / 2;
    const boards = [...state.boards]
      .filter(([, rows]) => rows.length > 0)
      .sort(([one, a], [other, b]) =>
        // What is being played comes first.
        (live(a) === 0) - (live(b) === 0) || String(one).localeCompare(String(other), 'en', { numeric: true }));
    const items = boards.map(([group, rows]) => {
      const marks = rows.map((row) => state.marks.get(`row ${row.team_id}`) ?? null);
      return { key: `${group}`, data: [rows, marks], make: () => board(group, rows, live(rows), marks) };
    });
    sync(this.part.boards, items.length > 0 ? items : [empty('No table yet.')]);
  }

  #drawSchedule(schedule, state, time) {
    const isOver = ({ status, start_at: start }) =>
      status === 'FINISHED' || status === 'ABANDONED' || (status === 'CANCELLED' && Date.parse(start) <= time);
    const upcoming = schedule.filter((fixture) => !isOver(fixture) && !isLive(fixture));
    const finished = schedule.filter(isOver).reverse();
    this.#drawDays('upcoming', upcoming, state, 'Nothing more to come.');
    this.#drawDays('finished', finished, state, 'Nothing was played yet.');
  }

  #drawDays(id, fixtures, state, nothing) {
    const days = new Map();
    for (const fixture of fixtures) {
      const title = this.zone.day(Date.parse(fixture.start_at));
      if (!days.has(title)) days.set(title, []);
      days.get(title).push(fixture);
    }
    const [shown, more] = [[], []];
    let count = 0;
    for (const [title, ofDay] of days) {
      const lines = ofDay.map((fixture) => [fixture, state.results.get(fixture.fixture_id) ?? null]);
      const item = { key: title, data: [lines, this.zone.name], make: () => this.#day(title, lines) };
      (count < SHOWN_FIXTURES_MIN ? shown : more).push(item);
      if (shown.at(-1) === item) count += ofDay.length;
    }
    sync(this.part[id], shown.length > 0 ? shown : [empty(nothing)]);
    const details = this.part[`${id}-more`];
    details.hidden = more.length === 0;
    setText(details.querySelector('summary span'), String(fixtures.length - count));
    sync(details.querySelector('div'), more);
  }

  #day(title, lines) {
    const list = el('ul', 'fixtures');
    for (const [fixture, result] of lines) list.append(this.#line(fixture, counts(result ?? undefined) ? result : null));
    const offset = this.zone.offset(Date.parse(lines[0][0].start_at));
    return el('section', 'day', el('h4', '', title, ' ', el('span', '', offset)), list);
  }

  #line(fixture, result) {
    const word = fixture.status === 'FINISHED' ? 'FT' : fixture.status === 'SCHEDULED' ? '' : fixture.status;
    const details = [result && beyond(result), place(fixture)].filter(Boolean).join(' \u00b7 ');
    const pair = el('span', 'pair',
      bdi(homeName(fixture)), ' ', el('b', '', result ? score(result) : 'v'), ' ', bdi(awayName(fixture)));
    return el('li', '', this.zone.element(Date.parse(fixture.start_at)), ' ', pair,
      word && ' ', word && el('strong', 'word', word), ' ', el('small', '', bdi(details)));
  }

  #drawLatest(state, time) {
    const fixtures = new Map(state.schedule?.map((fixture) => [fixture.fixture_id, fixture]));
    const entries = [...state.news.values(), ...untold(state)].sort(
      (one, other) => other.at - one.at || other.pos - one.pos,
    );
    const shown = [];
    const confirmed = new Set();
    for (const entry of entries) {
      if (shown.length === LATEST_MAX) break;
      if (entry.kind === 'result') {
        // A result and its confirmation are one piece of news.
        const key = `${entry.result.fixture_id} ${score(entry.result)}`;
        if (entry.word === 'FT' && confirmed.has(key)) continue;
        if (entry.word === 'OFFICIAL') confirmed.add(key);
      }
      const fixture = fixtures.get(entry.result?.fixture_id ?? entry.fixture?.fixture_id) ?? entry.fixture ?? null;
      if (entry.kind === 'announcement' ? !isActive(entry.announcement, time) : !fixture) continue;
      const at = this.zone.recent(entry.at, time);
      const data = [entry, fixture && [homeName(fixture), awayName(fixture)], at];
      shown.push({ key: entry.key ?? `${entry.pos}`, data, make: () => this.#entry(entry, fixture, at) });
    }
    sync(this.part.latest, shown.length > 0 ? shown : [empty('Nothing yet.', 'li')]);
  }

  #entry(entry, fixture, at) {
    const words = el('span', '');
    if (entry.kind === 'announcement') words.append(bdi(entry.announcement.title));
    else words.append(bdi(homeName(fixture)), safe(` ${middle(entry)} `), bdi(awayName(fixture)));
    const scored = entry.word === 'GOAL' ? entry.result.goals.at(-1) : null;
    const more = scored ? goal(scored) : entry.kind === 'result' ? beyond(entry.result) : '';
    if (more) words.append(' ', bdi(`(${more})`, 'how'));
    return el('li', '', this.zone.element(entry.at, at), ' ', el('strong', 'word', entry.word), ' ', words);
  }

  /** Says what happened to those who listen instead of looking. */
  tell(happened, state, now) {
    const sentence = this.#sentence(happened, state, now);
    if (!sentence) return;
    this.sentences.push(safe(sentence));
    if (this.sentences.length > SENTENCES_MAX) this.sentences.shift();
  }

  #sentence(happened, state, now) {
    if (happened.kind === 'back') {
      const changes = happened.changes === 1 ? '1 change' : `${happened.changes} changes`;
      this.note = { text: `Back online: ${changes} caught up`, at: now };
      return this.note.text;
    }
    if (!happened.word) return null;
    if (happened.kind === 'announcement') {
      // Louder ones speak for themselves, as alerts.
      return ['HIGH', 'INFO'].includes(happened.word) ? `Announcement: ${happened.announcement.title}` : null;
    }
    const id = happened.result?.fixture_id ?? happened.fixture.fixture_id;
    const fixture = state.schedule?.find(({ fixture_id: known }) => known === id) ?? happened.fixture;
    const words = {
      GOAL: 'Goal', SCORE: 'Score', FT: 'Full time', CORRECTED: 'Corrected', REMOVED: 'Result removed',
      STARTED: 'Started', PAUSED: 'Paused', POSTPONED: 'Postponed', CANCELLED: 'Cancelled', ABANDONED: 'Abandoned',
      MOVED: 'Moved',
    };
    const word = words[happened.word];
    return word && fixture ? `${word}: ${homeName(fixture)} ${middle(happened)} ${awayName(fixture)}` : null;
  }

  #speakNext(now) {
    if (this.sentences.length === 0 || now - this.spokeAt < SENTENCE_MS) return;
    this.spokeAt = now;
    this.part.spoken.textContent = this.sentences.shift();
  }
}

/** Leaves a text alone that is there already: selections and screen readers keep their place. */
function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function retry(link, now) {
  const seconds = link.retryAt === null ? 0 : Math.ceil((link.retryAt - now) / 1000);
  return seconds > 0 ? `RECONNECTING in ${seconds} s` : 'RECONNECTING';
}

/**
 * What stands, but was told by no message: it is older than those the server repeats, was imported, or
 * was read while no stream got through. As the server writes it, from the last fixture to the first.
 */
function untold(state) {
  const told = new Set([...state.news.values()].map(({ kind, id, result }) => `${kind} ${id ?? result?.fixture_id}`));
  const results = (state.schedule ?? [])
    .map(({ fixture_id: fixture }) => state.results.get(fixture))
    .filter(counts)
    .map((result) => ({
      kind: 'result', key: `result ${result.fixture_id}`, pos: 0, at: Date.parse(result.updated_at), word: wordFor(result), result,
    }))
    .reverse();
  const announcements = [...state.announcements.values()].map((announcement) => {
    const { id, created_at: at } = announcement;
    return { kind: 'announcement', key: `announcement ${id}`, pos: 0, at: Date.parse(at), word: loudness(announcement), id, announcement };
  });
  return [...results, ...announcements].filter(({ key }) => !told.has(key));
}

/** A result in a word, when it is not known what it was before. */
function wordFor({ state, minute }) {
  if (state === 'LIVE') return minute === null ? 'LIVE' : `${minute}'`;
  return state === 'OFFICIAL' ? 'OFFICIAL' : 'FT';
}

/** What stands between the names. */
const middle = ({ kind, result }) => (kind === 'result' && counts(result) ? score(result) : 'v');

function cancelled() {
  return el('article', 'notice high', el('p', 'word', 'CANCELLED'), el('h2', '', 'This event was called off'));
}

function card(fixture, result, [isHomeMarked, isAwayMarked]) {
  const side = (name, points, isMarked) =>
    el('p', 'side', bdi(name, 'team'), ' ', el('b', isMarked ? 'points changed' : 'points', points ?? '\u2013'));
  const state = el('p', 'state', el('strong', 'live', fixture.status));
  if (result && result.minute !== null) state.append(' ', el('span', '', `as of ${result.minute}'`));
  if (result && beyond(result)) state.append(' ', el('span', '', beyond(result)));
  return el('article', 'card',
    state,
    side(homeName(fixture), result && String(result.home_score), isHomeMarked),
    el('p', 'goals', bdi(result ? goals(result, fixture.home_team.id) : '')),
    side(awayName(fixture), result && String(result.away_score), isAwayMarked),
    el('p', 'goals', bdi(result ? goals(result, fixture.away_team.id) : '')),
    el('p', 'place', bdi(place(fixture))),
  );
}

/** Heading, title, and class of the columns of a table. */
const COLUMNS = [
  ['#', 'place', 'pos'], ['Team', '', 'name'], ['P', 'played', ''], ['W', 'won', 'more'], ['D', 'drawn', 'more'],
  ['L', 'lost', 'more'], ['GF', 'goals for', 'more'], ['GA', 'goals against', 'more'], ['GD', 'goal difference', ''],
  ['Pts', 'points', 'pts'],
];

function board(group, rows, live, marks) {
  const heads = COLUMNS.map(([text, title, classes]) => {
    const short = title ? el('abbr', '', text) : text;
    if (title) short.title = title;
    const head = el('th', classes, short);
    head.scope = 'col';
    return head;
  });
  const name = group === null ? 'Standings' : `Group ${group}`;
  const table = el('table', '',
    el('caption', '', bdi(name), ' ', el('span', 'standing', standing(rows, live))),
    el('thead', '', el('tr', '', ...heads)),
    el('tbody', '', ...rows.map((row, index) => tableRow(row, marks[index]))),
  );
  return el('div', 'panel board', table);
}

/** `UNOFFICIAL, 2 live`; empty before the first result. */
function standing(rows, live) {
  if (rows.every(({ played }) => played === 0)) return '';
  if (live > 0) return `UNOFFICIAL, ${live} live`;
  return rows.some(({ provisional }) => provisional > 0) ? 'UNOFFICIAL' : 'OFFICIAL';
}

function tableRow(row, mark) {
  const name = el('th', 'name', bdi(row.team_name));
  name.scope = 'row';
  if (row.live > 0) name.append(' ', el('span', 'live', 'LIVE'));
  if (mark && mark.text) name.append(' ', el('span', 'move', mark.text));
  const difference = row.gd > 0 ? `+${row.gd}` : String(row.gd).replace('-', '\u2212');
  const classes = [row.live > 0 && 'playing', mark && 'changed'].filter(Boolean).join(' ');
  return el('tr', classes,
    el('td', 'pos', row.shared ? `${row.position}=` : String(row.position)),
    name,
    ...[row.played].map((number) => el('td', '', String(number))),
    ...[row.won, row.drawn, row.lost, row.gf, row.ga].map((number) => el('td', 'more', String(number))),
    el('td', '', difference),
    el('td', 'pts', String(row.points)),
  );
}
