// What is known of the event, and the client's rule: which messages are news, and how far we are.
//
// Delivery is at least once on the wire and once after this rule. Log messages are told apart by
// `pos` (a set, not a maximum), states by `seq` in their lane. Only live log messages and `live`
// itself move the cursor. Nothing here knows sockets, clocks or elements.

const STATES = new Set(['leaderboard_update', 'schedule_update', 'event_update']);
const LOGS = new Set(['result_update', 'fixture_update', 'announcement_update', 'announcement_removed']);
/** Positions that are remembered: more than a server sends twice. */
const POSITIONS_MAX = 4096;

export class State {
  epoch = null;
  /** Where to go on after a cut: `<epoch>.<pos>`. */
  cursor = null;
  event = null;
  /** Group (or null) → rows. */
  boards = new Map();
  /** Fixture id → `{pos, item}`. */
  fixtures = new Map();
  /** Fixture id → result, also removed ones. */
  results = new Map();
  /** Id → `{pos, announcement, isConfirmed}`; `announcement` is null once it has left the screens. */
  announcements = new Map();
  /** From the first message of a snapshot until all of it is there. */
  #catchingUp = 'no';
  #positions = new Set();
  #seqs = new Map();
  #schedulePos = 0;

  /**
   * Takes in a message; answers what it was: `'news'` (something new happened), `'state'`, `'opened'`,
   * `'live'` (everything up to now is there), `'fresh'` (a snapshot follows: what it leaves out must be
   * read), `'status'`, or `''` when nothing changed.
   */
  apply(message) {
    if (STATES.has(message.type)) return this.#isNewState(message) ? this.#state(message) : '';
    if (LOGS.has(message.type)) return this.#isNewRow(message) ? this.#row(message) : '';
    switch (message.type) {
      case 'connected':
        if (message.epoch !== this.epoch) this.#startOver(message.epoch);
        this.#catchingUp = 'in order';
        return 'opened';
      case 'subscribed':
        if (message.recovered !== false) return '';
        return this.#snapshot(message.stream);
      case 'resync':
        return this.#snapshot(message.topics.some((topic) => topic.endsWith('_announcements')) ? 'announcements' : '');
      case 'live':
        this.#complete(message);
        return 'live';
      case 'status':
        return 'status';
      default:
        return '';
    }
  }

  /** Every result, as read beside the stream: a snapshot has the newest twenty. */
  learnResults(results) {
    for (const result of results) this.#learn(result);
  }

  #learn(result) {
    const known = this.results.get(result.fixture_id);
    if (!known || result.version > known.version) this.results.set(result.fixture_id, result);
  }

  /** Takes the place of everything that is known, as a poll tells it. */
  replace({ boards, schedule, results, announcements }) {
    this.boards = new Map(boards.boards.map(({ group, leaderboard }) => [group, leaderboard]));
    this.fixtures = new Map(schedule.schedule.map((item) => [item.fixture_id, { pos: schedule.pos, item }]));
    this.results = new Map(results.map((result) => [result.fixture_id, result]));
    this.announcements = new Map(
      announcements.map((announcement) => [announcement.id, { pos: 0, announcement, isConfirmed: true }]),
    );
    // What a stream tells later is told from the start.
    this.#seqs.clear();
    this.#schedulePos = 0;
    this.#positions.clear();
    this.cursor = null;
  }

  /** The position of the cursor. */
  get pos() {
    return this.cursor === null ? 0 : Number(this.cursor.split('.').at(-1));
  }

  #startOver(epoch) {
    this.epoch = epoch;
    this.boards.clear();
    this.fixtures.clear();
    this.results.clear();
    this.announcements.clear();
    this.#positions.clear();
    this.#seqs.clear();
    this.#schedulePos = 0;
  }

  #snapshot(stream) {
    this.#catchingUp = 'snapshot';
    if (stream === 'announcements') {
      for (const known of this.announcements.values()) known.isConfirmed = false;
    }
    return 'fresh';
  }

  #complete({ cursor, topics }) {
    this.#catchingUp = 'no';
    const [epoch, pos] = split(cursor);
    const [knownEpoch, knownPos] = this.cursor === null ? [null, 0] : split(this.cursor);
    if (epoch !== knownEpoch || pos > knownPos) this.cursor = cursor;
    if (topics.some((topic) => topic.endsWith('_announcements'))) {
      // What a snapshot does not tell any more has left the screens.
      for (const known of this.announcements.values()) {
        if (!known.isConfirmed) known.announcement = null;
      }
    }
  }

  #isNewState({ type, topic, seq, data }) {
    const lane = `${topic} ${type} ${data.group ?? ''}`;
    if (seq <= (this.#seqs.get(lane) ?? 0)) return false;
    this.#seqs.set(lane, seq);
    return true;
  }

  #isNewRow({ pos, replay }) {
    const isNew = !this.#positions.has(pos);
    if (isNew) {
      this.#positions.add(pos);
      if (this.#positions.size > POSITIONS_MAX) this.#positions.delete(Math.min(...this.#positions));
    }
    if (!replay && this.#catchingUp !== 'snapshot' && this.cursor !== null) {
      const [epoch, known] = split(this.cursor);
      if (epoch === this.epoch && pos > known) this.cursor = `${epoch}.${pos}`;
    }
    return isNew;
  }

  #state({ type, pos, data }) {
    if (type === 'leaderboard_update') this.boards.set(data.group, data.leaderboard);
    if (type === 'event_update') this.event = data.event;
    if (type === 'schedule_update') {
      // The whole schedule, true as of `pos`: what a fixture has told since stays.
      this.#schedulePos = pos;
      const later = new Map([...this.fixtures].filter(([, known]) => known.pos > pos));
      this.fixtures = new Map(data.schedule.map((item) => [item.fixture_id, later.get(item.fixture_id) ?? { pos, item }]));
      for (const [id, known] of later) if (!this.fixtures.has(id)) this.fixtures.set(id, known);
    }
    return 'state';
  }

  #row({ type, pos, data, replay }) {
    if (type === 'result_update') this.#learn(data.result);
    if (type === 'fixture_update') {
      const known = this.fixtures.get(data.fixture_id);
      if (pos > this.#schedulePos && (!known || pos > known.pos)) this.fixtures.set(data.fixture_id, { pos, item: data });
    }
    if (type === 'announcement_update' || type === 'announcement_removed') {
      const { id } = data.announcement;
      const known = this.announcements.get(id);
      const announcement = type === 'announcement_update' ? data.announcement : null;
      if (!known || pos > known.pos) this.announcements.set(id, { pos, announcement, isConfirmed: true });
      else if (pos === known.pos) known.isConfirmed = true;
    } else if (replay) {
      return 'state';
    }
    return replay ? 'state' : 'news';
  }
}

function split(cursor) {
  const at = cursor.lastIndexOf('.');
  return [cursor.slice(0, at), Number(cursor.slice(at + 1))];
}
