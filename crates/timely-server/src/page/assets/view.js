// Draws the event. It reads the state and changes nothing but elements; the same shapes stand in
// the server's templates. Every word from outside becomes text, never markup.

/** Results under "Latest results". */
const LATEST_MAX = 8;
/** How long a row that moved is marked. */
const MARK_MS = 8_000;
const LIVE = new Set(['LIVE', 'PAUSED']);
const RANK = { URGENT: 0, HIGH: 1, NORMAL: 2, LOW: 3 };

/** What could reorder or steer a line is shown as what it is: a stranger. */
const STEERING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
export function safe(text) {
  return String(text ?? '').replace(/[\n\r\t]/g, ' ').replace(STEERING, '\ufffd');
}

/** An element. Strings become text; `null` and `false` nothing. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const bdi = (text, className) => h('bdi', className ? { class: className } : null, safe(text));
/** Parts of a line, with a dot between those that say something. */
const line = (...parts) => parts.filter(Boolean).flatMap((part, at) => (at === 0 ? [part] : [' · ', part]));

export class View {
  #zone;
  #clock;
  #clockSeconds;
  #day;
  #own;
  /** Days that the reader has opened or closed. */
  #toggled = new Map();
  /** Team → `{key, until}`: what its row said, and until when it is marked. */
  #rows = new Map();
  #seen = new Set();

  constructor(zone) {
    const format = (options) => {
      try {
        return new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options });
      } catch {
        return new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', ...options });
      }
    };
    this.#zone = zone;
    this.#clock = format({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    this.#clockSeconds = format({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
    this.#day = format({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
    this.#own = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    document.getElementById('fixtures').addEventListener('toggle', ({ target }) => {
      if (target.dataset.byHand !== undefined) this.#toggled.set(target.dataset.day, target.open);
    }, true);
    document.getElementById('fixtures').addEventListener('click', ({ target }) => {
      const day = target.closest('summary')?.parentElement;
      if (day) day.dataset.byHand = '';
    });
  }

  seconds(at) {
    return this.#clockSeconds.format(at);
  }

  #dayName(at) {
    const parts = Object.fromEntries(this.#day.formatToParts(at).map(({ type, value }) => [type, value]));
    return `${parts.weekday} ${parts.day} ${parts.month} ${parts.year}`;
  }

  draw(state, eventNow) {
    if (state.event) {
      document.getElementById('name').textContent = safe(state.event.name);
      document.title = safe(state.event.name);
    }
    const fixtures = [...state.fixtures.values()].map(({ item }) => item);
    fixtures.sort((a, b) => (a.start_at < b.start_at ? -1 : a.start_at > b.start_at ? 1 : a.number - b.number));
    const resultOf = (item) => {
      const result = state.results.get(item.fixture_id);
      return result && result.state !== 'ANNULLED' ? result : null;
    };
    this.#cards('live', fixtures.filter((item) => LIVE.has(item.status)), resultOf, 'Nothing is being played.');
    const latest = fixtures
      .filter((item) => resultOf(item) && !LIVE.has(item.status))
      .sort((a, b) => (resultOf(a).updated_at < resultOf(b).updated_at ? 1 : -1))
      .slice(0, LATEST_MAX);
    this.#cards('latest', latest, resultOf, 'No result yet.');
    this.#tables(state.boards);
    this.#fixtures(fixtures, resultOf, eventNow);
    this.announcements(state, eventNow);
  }

  /** Those that stand, the loudest first; answers the emergencies. */
  announcements(state, eventNow) {
    const now = eventNow?.toISOString();
    const standing = [...state.announcements.values()]
      .filter(({ announcement }) => announcement && !(now && announcement.expires_at && announcement.expires_at <= now))
      .sort((a, b) => this.#rank(a.announcement) - this.#rank(b.announcement) || b.pos - a.pos);
    const shown = standing.map(({ announcement, pos }) => `${announcement.id} ${pos}`).join();
    const root = document.getElementById('announcements');
    if (root.dataset.shown !== shown) {
      root.dataset.shown = shown;
      const drawn = standing.map(({ announcement }) => this.#announcement(announcement));
      root.replaceChildren(...(drawn.length ? drawn : [h('div', { class: 'none' }, 'Nothing has been announced.')]));
    }
    this.#emergency(standing.filter(({ announcement }) => announcement.type === 'EMERGENCY'));
  }

  #rank({ type, priority }) {
    return type === 'EMERGENCY' ? -1 : RANK[priority] ?? 2;
  }

  #announcement({ id, title, message, type, priority, created_at: at, expires_at: until }) {
    const words = { WEATHER: 'WEATHER', SCHEDULE: 'SCHEDULE', RESULT: 'RESULTS', GENERAL: 'INFO' };
    const word = type === 'EMERGENCY' || priority === 'URGENT' || priority === 'HIGH'
      ? (type === 'EMERGENCY' ? type : priority)
      : words[type] ?? 'INFO';
    const isLoud = type === 'EMERGENCY' || priority === 'URGENT';
    const time = this.#clock.format(new Date(at)) + (until ? `, until ${this.#clock.format(new Date(until))}` : '');
    return h('article', { 'data-announcement': id, class: isLoud ? 'loud' : null },
      h('span', { class: 'word' }, word), h('h3', null, bdi(title)), h('p', null, bdi(message)), h('span', { class: 'meta' }, time));
  }

  /** Covers the window until it is withdrawn, or somebody looks behind it. */
  #emergency(standing) {
    const root = document.getElementById('emergency');
    const open = standing.filter(({ announcement, pos }) => !this.#seen.has(`${announcement.id} ${pos}`));
    const shown = open.map(({ announcement, pos }) => `${announcement.id} ${pos}`).join();
    if (root.dataset.shown === shown) return;
    root.dataset.shown = shown;
    document.getElementById('page').inert = open.length > 0;
    root.classList.toggle('covers', open.length > 0);
    if (open.length === 0) return root.replaceChildren();
    const behind = h('button', { type: 'button' }, 'Show the scores');
    behind.addEventListener('click', () => {
      for (const { announcement, pos } of open) this.#seen.add(`${announcement.id} ${pos}`);
      this.#emergency(standing);
    });
    root.replaceChildren(h('section', { role: 'alert' },
      open.map(({ announcement }) => [
        h('p', { class: 'word' }, '!! EMERGENCY'),
        h('h2', null, bdi(announcement.title)),
        h('p', null, bdi(announcement.message)),
        h('p', { class: 'meta' }, `posted ${this.#clock.format(new Date(announcement.created_at))}`),
      ]), behind));
  }

  #cards(id, items, resultOf, none) {
    const cards = items.map((item) => {
      const result = resultOf(item);
      const side = (team, slot, points) => h('div', { class: 'side' }, bdi(name(team, slot)), ' ', h('b', { class: 'points' }, points ?? '-'));
      const goals = (team) => h('p', { class: 'goals' }, bdi(scored(result, team.id)));
      return h('article', { class: 'card', 'data-status': item.status },
        side(item.home_team, item.home_slot, result?.home_score), goals(item.home_team),
        side(item.away_team, item.away_slot, result?.away_score), goals(item.away_team),
        h('p', { class: 'meta' }, line(word(item, result), beyond(result), `#${item.number}`, stage(item), place(item))));
    });
    document.getElementById(id).replaceChildren(...(cards.length ? cards : [h('p', { class: 'none' }, none)]));
  }

  #tables(boards) {
    const now = performance.now();
    const groups = [...boards.keys()].sort((a, b) => (a ?? '').localeCompare(b ?? '', 'en', { numeric: true }));
    const tables = groups.map((group) => {
      const rows = boards.get(group);
      const open = rows.reduce((sum, row) => sum + row.live + row.provisional, 0);
      const played = rows.reduce((sum, row) => sum + row.played, 0);
      const standing = played === 0 ? null : h('span', { class: 'standing' }, open === 0 ? 'OFFICIAL' : 'UNOFFICIAL');
      return h('table', null,
        h('caption', null, group === null ? 'Standings' : `Group ${safe(group)}`, ' ', standing),
        heading(), h('tbody', null, rows.map((row) => this.#row(row, now))));
    });
    document.getElementById('tables').replaceChildren(...(tables.length ? tables : [h('p', { class: 'none' }, 'There is no table yet.')]));
  }

  #row(row, now) {
    const key = `${row.position} ${row.points}`;
    const known = this.#rows.get(row.team_id);
    if (!known || known.key !== key) this.#rows.set(row.team_id, { key, until: known ? now + MARK_MS : 0 });
    const isChanged = this.#rows.get(row.team_id).until > now;
    const cell = (value, className) => h('td', className ? { class: className } : null, String(value));
    const classes = [row.live > 0 && 'live', isChanged && 'changed'].filter(Boolean).join(' ');
    return h('tr', { 'data-team': row.team_id, class: classes || null },
      h('td', null, h('span', { class: 'position' }, String(row.position)), row.shared && h('abbr', { title: 'shared' }, '=')),
      h('th', { scope: 'row' }, bdi(row.team_name, 'team_name'), row.live > 0 && h('abbr', { class: 'mark', title: 'playing now' }, '*')),
      cell(row.played), cell(row.won, 'wide'), cell(row.drawn, 'wide'), cell(row.lost, 'wide'),
      cell(row.gf, 'wider'), cell(row.ga, 'wider'), cell(row.gd > 0 ? `+${row.gd}` : row.gd), cell(row.points, 'points'));
  }

  /** Takes the marks off rows that moved a while ago. */
  unmark() {
    const now = performance.now();
    for (const row of document.querySelectorAll('tr.changed')) {
      if ((this.#rows.get(Number(row.dataset.team))?.until ?? 0) <= now) row.classList.remove('changed');
    }
  }

  #fixtures(fixtures, resultOf, eventNow) {
    const days = new Map();
    for (const item of fixtures) {
      const name = this.#dayName(new Date(item.start_at));
      if (!days.has(name)) days.set(name, []);
      days.get(name).push(item);
    }
    const names = [...days.keys()];
    const now = eventNow?.toISOString() ?? '';
    const today = eventNow ? this.#dayName(eventNow) : null;
    const next = names.includes(today) ? today : names.find((name) => days.get(name).some(({ start_at: at }) => at >= now)) ?? names.at(-1);
    const drawn = names.map((name) => {
      const items = days.get(name);
      const isOpen = this.#toggled.get(name) ?? name === next;
      return h('details', { 'data-day': name, open: isOpen },
        h('summary', null, h('h3', null, name), ' ', h('span', { class: 'meta' }, String(items.length))),
        h('ul', null, items.map((item) => this.#fixture(item, resultOf(item)))));
    });
    // What is over stands behind one line, so that today is seen first.
    const earlier = drawn.splice(0, Math.max(0, names.indexOf(next)));
    if (earlier.length > 0) {
      drawn.unshift(h('details', { class: 'earlier', 'data-day': 'earlier', open: this.#toggled.get('earlier') ?? false },
        h('summary', null, h('h3', null, 'Earlier'), ' ', h('span', { class: 'meta' }, `${earlier.length} days`)), earlier));
    }
    document.getElementById('fixtures').replaceChildren(...(drawn.length ? drawn : [h('p', { class: 'none' }, 'No fixture yet.')]));
  }

  #fixture(item, result) {
    const at = new Date(item.start_at);
    const score = result ? `${result.home_score}-${result.away_score}` : 'v';
    return h('li', { 'data-fixture': item.fixture_id, 'data-status': item.status },
      h('time', { datetime: item.start_at }, this.#clock.format(at)),
      h('span', { class: 'pair' }, bdi(name(item.home_team, item.home_slot), 'home'), ' ', h('span', { class: 'score' }, score), ' ', bdi(name(item.away_team, item.away_slot), 'away')),
      h('span', { class: 'meta' }, line(`#${item.number}`, beyond(result), word(item, result), stage(item), place(item))));
  }

  /** The reader's own time, where it is another. */
  zoneNote(eventNow, offset) {
    const note = document.getElementById('zone');
    const theirs = this.#clock.format(eventNow);
    const own = this.#own.format(eventNow);
    note.textContent = `Times in ${this.#zone} (${offset})` + (theirs === own ? '' : `. It is ${theirs} there and ${own} here.`);
  }
}

const name = (team, slot) => (team.id === null && slot ? slot : team.name);
const place = (item) => [item.venue.name, item.area].some(Boolean) && bdi([item.venue.name, item.area].filter(Boolean).join(', '));
const stage = (item) => [item.group, item.round].some(Boolean) && bdi([item.group && `Group ${item.group}`, item.round].filter(Boolean).join(', '));

function beyond(result) {
  if (!result) return null;
  if (result.pen_home !== null && result.pen_away !== null) return `${result.pen_home}-${result.pen_away} pens`;
  return result.ft_home === null ? null : 'a.e.t.';
}

function word(item, result) {
  if (item.status === 'LIVE' && result?.minute) return `LIVE, as of ${result.minute}'`;
  if (item.status === 'SCHEDULED' && !result) return null;
  if (item.status === 'FINISHED' && result) return result.state === 'OFFICIAL' ? 'OFFICIAL' : 'UNOFFICIAL';
  return item.status;
}

function scored(result, team) {
  return (result?.goals ?? []).filter((goal) => goal.team_id === team).map((goal) => {
    const added = goal.added ? `+${goal.added}` : '';
    const how = goal.own_goal ? ' (og)' : goal.penalty ? ' (pen)' : '';
    return `${goal.minute}${added}'${goal.player ? ` ${goal.player}` : ''}${how}`;
  }).join(', ');
}

function heading() {
  const columns = [['#', 'Position'], ['Team'], ['P', 'Played'], ['W', 'Won', 'wide'], ['D', 'Drawn', 'wide'], ['L', 'Lost', 'wide'],
    ['GF', 'Goals for', 'wider'], ['GA', 'Goals against', 'wider'], ['GD', 'Goal difference'], ['Pts', 'Points']];
  return h('thead', null, h('tr', null, columns.map(([short, long, className]) =>
    h('th', { scope: 'col', class: className }, long ? h('abbr', { title: long }, short) : short))));
}

/** One sentence about a message, for those who listen to the page. */
export function sentence(message, state) {
  if (message.type === 'announcement_update') {
    const { title, message: text } = message.data.announcement;
    return safe(`Announcement: ${title}. ${text}`);
  }
  if (message.type !== 'result_update') return null;
  const { result } = message.data;
  const item = state.fixtures.get(result.fixture_id)?.item;
  if (!item || result.home_score === null) return null;
  const what = result.state === 'LIVE' ? 'Score' : 'Result';
  return safe(`${what}: ${item.home_team.name} ${result.home_score}, ${item.away_team.name} ${result.away_score}`);
}
