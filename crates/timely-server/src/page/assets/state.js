// What is known of the event, and the rule by which messages change it (docs/PROTOCOL.md, "Cursor
// and resume"). Knows no network and no screen: messages and times go in, facts come out.

/** Positions of log messages that are remembered; more than a server ever sends twice. */
const POSITIONS_MAX = 4096;
/** Entries of the list of what happened. */
const NEWS_MAX = 200;
/** Versions of results that are remembered, to tell a goal from a correction. */
const VERSIONS_MAX = 4096;

const STATE_TYPES = new Set(['leaderboard_update', 'schedule_update', 'event_update']);
const LOG_TYPES = new Set(['result_update', 'fixture_update', 'announcement_update', 'announcement_removed']);

/** Whether a result has a score that counts. */
export const counts = (result) => result !== undefined && result.state !== 'ANNULLED';

/** How loudly an announcement is shown, in a word. */
export function loudness({ type, priority }) {
  if (type === 'EMERGENCY') return 'EMERGENCY';
  return priority === 'NORMAL' ? 'INFO' : priority;
}

function forgetOldest(collection, most) {
  // Sets and maps go through their keys in the order in which these came.
  for (const key of collection.keys()) {
    if (collection.size <= most) return;
    collection.delete(key);
  }
}

export class State {
  constructor() {
    /** Which log this is. */
    this.epoch = null;
    /** Everything up to here is known: `{epoch, pos}`. */
    this.cursor = null;
    /** The highest position that is shown, also after polling. */
    this.shownPos = 0;
    /** Where the event clock stood, when that was heard, and how fast it runs. */
    this.clock = null;
    /** Since when the server itself hears nothing, if it says so. */
    this.staleSince = null;
    this.event = null;
    this.#forget();
  }

  /** Another log, or the start: what was known may have nothing to do with it. */
  #forget() {
    this.positions = new Set();
    this.lanes = new Map();
    this.boards = new Map();
    this.schedule = null;
    this.results = new Map();
    this.versions = new Map();
    this.announcements = new Map();
    this.news = new Map();
    /** What changed lately: key to `{at, text}`. */
    this.marks = new Map();
    /** Whether everything shown was told, results older than the tail included. */
    this.isComplete = false;
    this.hasAllResults = false;
    /** Whether they were asked for; if that failed, what is known must do. */
    this.mayShowResults = false;
    /** 'no', 'in order' (everything missed comes), or 'snapshot' (the cursor waits for its end). */
    this.catchingUp = 'in order';
    this.missed = 0;
    /** Announcements that a snapshot has told so far. */
    this.told = null;
    this.shownPos = 0;
  }

  /** The cursor as text, or null: `since` of the next connection. */
  get since() {
    return this.cursor && `${this.cursor.epoch}.${this.cursor.pos}`;
  }

  /** Whether the connection has told everything up to now. */
  get isCaughtUp() {
    return this.catchingUp === 'no';
  }

  /**
   * Event time, in milliseconds.
   * @param {number} now when it is asked, in milliseconds of the caller's clock
   */
  eventTime(now) {
    return this.clock ? this.clock.time + (now - this.clock.heard) * this.clock.rate : null;
  }

  /** Whether something is marked as changed; what was marked for `ms` is forgotten. */
  hasMarks(now, ms) {
    const had = this.marks.size > 0;
    for (const [key, { at }] of this.marks) if (now - at >= ms) this.marks.delete(key);
    return had;
  }

  setClock(time, rate, now) {
    if (Number.isFinite(time)) this.clock = { time, rate, heard: now };
  }

  /**
   * A connection begins: until its `live` it may be behind.
   * @param {boolean} wasCut whether nothing could be known before
   */
  connectionBegins(wasCut) {
    this.catchingUp = 'in order';
    this.wasCut = wasCut;
    this.missed = 0;
    this.told = null;
  }

  /**
   * Applies a message in the order of its connection.
   * @returns {null | {kind: string, [key: string]: unknown}} what is worth telling, if anything
   */
  apply(message, now) {
    if (STATE_TYPES.has(message.type)) return this.#applyState(message, now);
    if (LOG_TYPES.has(message.type)) return this.#applyLog(message, now);
    return this.#applyControl(message, now);
  }

  #applyControl(message, now) {
    switch (message.type) {
      case 'connected':
        if (this.epoch !== message.epoch) {
          // The old cursor stays until the new state is complete: the server answers it as often as
          // needed.
          this.#forget();
          this.epoch = message.epoch;
        }
        return null;
      case 'subscribed':
        if (!message.recovered) {
          this.catchingUp = 'snapshot';
          this.hasAllResults &&= message.stream !== 'results';
          if (message.stream === 'announcements') this.told = new Set();
        }
        return null;
      case 'resync':
        this.catchingUp = 'snapshot';
        for (const topic of message.topics) {
          if (topic.endsWith('_results')) this.hasAllResults = false;
          if (topic.endsWith('_announcements') || topic.endsWith('_participants')) this.told ??= new Set();
        }
        return null;
      case 'live':
        return this.#caughtUp(message.cursor);
      case 'status':
        this.setClock(Date.parse(message.server_time), message.clock_rate, now);
        this.staleSince = message.stale_since ? Date.parse(message.stale_since) : null;
        return null;
      default:
        // Pongs, errors, and whatever a newer server says.
        return null;
    }
  }

  #caughtUp(text) {
    const dot = text.lastIndexOf('.');
    const cursor = { epoch: text.slice(0, dot), pos: Number(text.slice(dot + 1)) };
    if (this.cursor?.epoch !== cursor.epoch || this.cursor.pos < cursor.pos) this.cursor = cursor;
    if (this.told) {
      // What a whole snapshot does not tell has left the screens meanwhile.
      for (const id of this.announcements.keys()) if (!this.told.has(id)) this.announcements.delete(id);
    }
    const isReturn = this.isComplete && this.wasCut && this.missed > 0;
    const caughtUp = isReturn ? { kind: 'back', changes: this.missed } : null;
    this.catchingUp = 'no';
    this.told = null;
    this.missed = 0;
    this.isComplete = true;
    this.shownPos = Math.max(this.shownPos, this.cursor.pos);
    return caughtUp;
  }

  #applyState({ type, data, topic, seq }, now) {
    const lane = JSON.stringify([topic, type, data.group ?? null]);
    if (seq <= (this.lanes.get(lane) ?? -1)) return null;
    this.lanes.set(lane, seq);
    if (type === 'event_update') this.event = data.event;
    else if (type === 'schedule_update') this.schedule = data.schedule;
    else this.#setBoard(data.group, data.leaderboard, now);
    return null;
  }

  #setBoard(group, rows, now) {
    const before = new Map(this.boards.get(group)?.map((row) => [row.team_id, row]));
    for (const row of rows) {
      const old = before.get(row.team_id);
      if (!old || (old.position === row.position && old.points === row.points && old.gd === row.gd)) continue;
      const up = old.position - row.position;
      const text = up === 0 ? '' : up > 0 ? `up ${up}` : `down ${-up}`;
      this.marks.set(`row ${row.team_id}`, { at: now, text });
    }
    this.boards.set(group, rows);
  }

  #applyLog(message, now) {
    const { type, data, pos, replay, early } = message;
    // A copy that overtook the others has no place in the order: its turn is still to come.
    if (!early) {
      if (!replay && this.catchingUp !== 'snapshot' && this.cursor?.epoch === this.epoch) {
        this.cursor.pos = Math.max(this.cursor.pos, pos);
        this.shownPos = Math.max(this.shownPos, pos);
      }
      if (this.positions.has(pos)) {
        // Known, and told again as still true.
        if (type === 'announcement_update') this.told?.add(data.announcement.id);
        return null;
      }
      this.positions.add(pos);
      forgetOldest(this.positions, POSITIONS_MAX);
    }
    if (!replay && !early && !this.isCaughtUp) this.missed += 1;
    const happened = this.#happen(type, data, pos, now);
    if (!happened) return null;
    if (happened.word) {
      this.news.set(pos, { pos, at: Date.parse(data.timestamp), ...happened });
      if (this.news.size > NEWS_MAX) this.news.delete(Math.min(...this.news.keys()));
    }
    return early || (!replay && this.isCaughtUp) ? happened : null;
  }

  #happen(type, data, pos, now) {
    switch (type) {
      case 'result_update':
        return this.#takeResult(data.result, now);
      case 'fixture_update':
        return this.#takeFixture(data);
      case 'announcement_update': {
        // Said again is shown again: the place in the log tells them apart.
        const announcement = { ...data.announcement, pos };
        this.told?.add(announcement.id);
        const known = this.announcements.get(announcement.id);
        // The list read over HTTP may be newer than a message that was missed.
        if (known && known.version > announcement.version) return null;
        // Its early copy, or that of a later one, is shown already: told once.
        if (known?.pos >= pos) return null;
        this.announcements.set(announcement.id, announcement);
        return { kind: 'announcement', id: announcement.id, word: loudness(announcement), announcement };
      }
      case 'announcement_removed':
        this.announcements.delete(data.announcement.id);
        for (const [pos, entry] of this.news) {
          if (entry.kind === 'announcement' && entry.id === data.announcement.id) this.news.delete(pos);
        }
        return null;
    }
  }

  #takeResult(result, now) {
    const before = this.versions.get(`${result.fixture_id}.${result.version - 1}`);
    const word = wordOf(before, result);
    this.mergeResult(result);
    if (before && word) {
      if (before.home_score !== result.home_score) this.marks.set(`home ${result.fixture_id}`, { at: now });
      if (before.away_score !== result.away_score) this.marks.set(`away ${result.fixture_id}`, { at: now });
    }
    return { kind: 'result', word, result };
  }

  /** Keeps a result unless a later version of it is known. */
  mergeResult(result) {
    this.versions.set(`${result.fixture_id}.${result.version}`, result);
    forgetOldest(this.versions, VERSIONS_MAX);
    const known = this.results.get(result.fixture_id);
    if (!known || known.version <= result.version) this.results.set(result.fixture_id, result);
  }

  #takeFixture(fixture) {
    const before = this.schedule?.find((known) => known.fixture_id === fixture.fixture_id);
    const isTold = before && before.version >= fixture.version;
    if (before && !isTold) {
      // The whole schedule follows, at the latest in a second; this is what it will say.
      this.schedule = this.schedule.map((known) => (known === before ? fixture : known));
    }
    const words = {
      LIVE: 'STARTED', PAUSED: 'PAUSED', POSTPONED: 'POSTPONED', CANCELLED: 'CANCELLED', ABANDONED: 'ABANDONED',
    };
    const isMoved = before && fixture.status === 'SCHEDULED' && before.start_at !== fixture.start_at;
    return { kind: 'fixture', word: isMoved ? 'MOVED' : (words[fixture.status] ?? null), fixture };
  }

  /** Takes what was read over HTTP because no stream gets through: all of it, as it is. */
  takeWhole({ event, leaderboard, schedule, results, announcements }, now) {
    const topic = `event_${event.id}`;
    this.event = event;
    this.lanes.set(JSON.stringify([`${topic}_schedule`, 'schedule_update', null]), schedule.pos);
    this.schedule = schedule.schedule;
    const groups = new Set(leaderboard.boards.map((board) => board.group));
    for (const group of this.boards.keys()) if (!groups.has(group)) this.boards.delete(group);
    for (const { group, leaderboard: rows } of leaderboard.boards) {
      this.lanes.set(JSON.stringify([`${topic}_results`, 'leaderboard_update', group ?? null]), leaderboard.pos);
      this.#setBoard(group, rows, now);
    }
    for (const result of results) this.mergeResult(result);
    this.announcements = new Map(announcements.map((announcement) => [announcement.id, announcement]));
    this.isComplete = true;
    this.hasAllResults = true;
    this.mayShowResults = true;
    this.shownPos = Math.max(this.shownPos, leaderboard.pos);
  }
}

/** What became of a result, in a word; null when nobody needs to be told. */
function wordOf(before, after) {
  if (after.state === 'ANNULLED') return 'REMOVED';
  const known = counts(before) ? before : undefined;
  const isSame = known && known.home_score === after.home_score && known.away_score === after.away_score;
  if (after.state !== 'LIVE') {
    if (after.state === 'OFFICIAL') return 'OFFICIAL';
    if (!known || known.state === 'LIVE') return 'FT';
    if (known.state === 'OFFICIAL') return 'REOPENED';
    return isSame ? null : 'CORRECTED';
  }
  if (isSame) return null;
  if (!known) {
    const points = after.home_score + after.away_score;
    const last = after.goals.at(-1);
    if (points === 0) return null;
    return (after.created && points === 1) || (last && last.minute === after.minute) ? 'GOAL' : 'SCORE';
  }
  const home = after.home_score - known.home_score;
  const away = after.away_score - known.away_score;
  if (home < 0 || away < 0) return 'CORRECTED';
  return home + away === 1 ? 'GOAL' : 'SCORE';
}
