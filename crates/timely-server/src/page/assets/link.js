// The connection to the server: WebSocket, else Server-Sent Events, else asking every 15 s, and from
// each of these back to the better one. Says what it hears and how; what it means is left to state.js.

/** Without a first word for so long, a way does not get through. */
const FIRST_WORD_MS = 2_000;
/** The server says something every 5 s; without a word for so long the connection is dead. */
const SILENCE_MS = 15_000;
/** A word is overdue: worth a question when somebody looks. */
const OVERDUE_MS = 6_000;
/** How long a plain request may take. */
const REQUEST_MS = 5_000;
/** How often the state is read while no stream gets through. */
export const POLL_MS = 15_000;
/** How soon streams are looked for beside the first reading. */
const SOON_MS = 2_000;
/** How often the WebSocket is tried again beside Server-Sent Events. */
const BETTER_MS = 60_000;
/** First and longest wait before the next try. */
const BACK_OFF_MS = 500;
const BACK_OFF_MAX_MS = 20_000;
/** A connection that lasted so long was a good one. */
const GOOD_MS = 5_000;
/** Between the two tries of a WebSocket that was refused. */
const REFUSED_PAUSE_MS = 250;
/** Most pages of a list that are read. */
const PAGES_MAX = 20;

let slept = 0;
let wall = Date.now();
let ticked = performance.now();

/** Milliseconds on a clock that never goes back and also counts the sleep of the computer. */
export const now = () => performance.now() + slept;

/** To be called every second: notices that the computer was asleep. */
export function noticeSleep() {
  const [newWall, newTicked] = [Date.now(), performance.now()];
  const lost = newWall - wall - (newTicked - ticked);
  // Less is a correction of the wall clock.
  if (lost > 3_000) slept += lost;
  [wall, ticked] = [newWall, newTicked];
  return lost > 3_000;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** The server refuses for good. */
class Refused extends Error {}

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(REQUEST_MS), cache: 'no-cache' });
  if (response.status === 401 || response.status === 403 || response.status === 404) throw new Refused(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** A whole list, page by page. */
export async function getAll(path) {
  const items = [];
  let after = 0;
  for (let page = 0; page < PAGES_MAX && after !== null; page += 1) {
    const part = await get(`${path}?limit=500&after=${after}`);
    items.push(...part.items);
    after = part.next;
  }
  return items;
}

/** One attempt by one transport. Resolves `spoke` with the first message, or with why there is none. */
class Connection {
  constructor(transport, address) {
    this.transport = transport;
    this.opened = now();
    /** Messages that came before anybody listened. */
    this.waiting = [];
    this.onMessage = (text) => this.waiting.push(text);
    this.onEnd = () => {};
    /** 'spoke', 'silent', or 'refused'; with `code` of a close. */
    this.first = new Promise((resolve) => (this.resolve = resolve));
    this.timer = setTimeout(() => this.#settle('silent'), FIRST_WORD_MS);
    try {
      this.source = transport === 'ws' ? new WebSocket(address) : new EventSource(address);
    } catch {
      // A policy of the browser forbids it.
      this.#settle('refused');
      return;
    }
    this.source.onmessage = ({ data }) => {
      this.#settle('spoke');
      this.onMessage(data);
    };
    // An EventSource would come back by itself, with an old address: we come back with a new one.
    this.source.onerror = () => transport === 'sse' && this.#end(0);
    this.source.onclose = ({ code }) => this.#end(code);
  }

  #settle(how, code = 0) {
    clearTimeout(this.timer);
    this.resolve({ how, code });
  }

  #end(code) {
    this.#settle('refused', code);
    // Closing takes the listeners off.
    const { onEnd } = this;
    this.close();
    onEnd(code);
  }

  /** Gives what came and what comes to `onMessage`. */
  deliver(onMessage, onEnd) {
    [this.onMessage, this.onEnd] = [onMessage, onEnd];
    for (const text of this.waiting.splice(0)) onMessage(text);
  }

  /** Asks for a word, where that is possible. */
  ping() {
    if (this.transport === 'ws' && this.source.readyState === WebSocket.OPEN) {
      this.source.send('{"type":"ping"}');
    }
  }

  close() {
    clearTimeout(this.timer);
    this.onMessage = this.onEnd = () => {};
    if (!this.source) return;
    this.source.onmessage = this.source.onerror = this.source.onclose = null;
    this.source.close();
  }
}

/**
 * Keeps a connection as good as it gets.
 *
 * `phase` is 'connecting', 'reconnecting' (waiting until `retryAt`, or trying), 'open', 'polling' or
 * 'ended'. `heard` is when the last word came.
 */
export class Link {
  /**
   * @param {string} event id of the event
   * @param {{since: () => string | null, onBegin: (wasCut: boolean) => void, onMessage: (message: object) => void,
   *          onWhole: (state: object) => void, onPhase: () => void}} owner
   */
  constructor(event, owner) {
    this.event = event;
    this.owner = owner;
    this.phase = 'connecting';
    this.heard = now();
    this.retryAt = null;
    this.connection = null;
    this.failures = 0;
    /** Until when a WebSocket need not be tried. */
    this.blockedUntil = 0;
    /** Counts the courses taken: an older one that wakes up finds that it is over. */
    this.course = 0;
  }

  get transport() {
    return this.connection?.transport ?? null;
  }

  /** Milliseconds since the last word. */
  get age() {
    return now() - this.heard;
  }

  start() {
    this.#search();
  }

  /** To be called every second. */
  tick() {
    if (this.phase === 'open' && this.age > SILENCE_MS) this.#search();
  }

  /** Somebody looks again, or the network is back: no waiting for timers. */
  check(isNetworkNew = false) {
    // What blocked a WebSocket there need not do so here.
    if (isNetworkNew) this.blockedUntil = 0;
    if (this.phase === 'reconnecting' && this.retryAt !== null) this.#search();
    else if (this.phase === 'polling') this.#poll(this.#newCourse(), 0);
    else if (this.phase === 'open' && (isNetworkNew || this.age > OVERDUE_MS)) this.#question();
  }

  /** Finds out whether an open connection still is one. */
  async #question() {
    const { connection, heard, course } = this;
    connection.ping();
    if (connection.transport === 'ws' || this.age <= OVERDUE_MS) await pause(FIRST_WORD_MS);
    const isOverdue = this.heard === heard && (connection.transport === 'ws' || this.age > OVERDUE_MS);
    if (course === this.course && this.phase === 'open' && isOverdue) this.#search();
  }

  #newCourse() {
    clearTimeout(this.timer);
    return (this.course += 1);
  }

  #set(phase, retryAt = null) {
    this.phase = phase;
    this.retryAt = retryAt;
    this.owner.onPhase();
  }

  #drop() {
    this.connection?.close();
    this.connection = null;
  }

  #open(transport) {
    const since = this.owner.since();
    const query = since === null ? '' : `&since=${encodeURIComponent(since)}`;
    if (transport === 'sse') return new Connection('sse', `/api/events/${this.event}/stream/?v=2${query}`);
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const path = `/ws/events/${this.event}/stream/?v=2&topics=results,schedule,announcements${query}`;
    return new Connection('ws', `${scheme}//${location.host}${path}`);
  }

  /** Goes through the ways, best first. */
  async #search() {
    const course = this.#newCourse();
    const isOver = () => course !== this.course;
    this.#drop();
    this.#set(this.phase === 'connecting' ? 'connecting' : 'reconnecting');

    for (let refusals = 0; refusals < 2 && now() >= this.blockedUntil; refusals += 1) {
      const { taken, how, code } = await this.#attempt('ws', isOver);
      if (taken || isOver()) return;
      if (isFinal(code)) return this.#end();
      if (how === 'silent') break;
      // Browsers hide why a handshake was refused: a plain request tells.
      if (!(await this.#mayGoOn(isOver))) return;
      await pause(REFUSED_PAUSE_MS);
      if (isOver()) return;
    }
    const { taken } = await this.#attempt('sse', isOver);
    if (taken || isOver() || !(await this.#mayGoOn(isOver))) return;
    this.#poll(course);
  }

  /** Tries one transport; takes the connection if it speaks. */
  async #attempt(transport, isOver) {
    const connection = this.#open(transport);
    const first = await connection.first;
    if (isOver() || first.how !== 'spoke') {
      connection.close();
      return { taken: false, ...first };
    }
    this.#take(connection);
    return { taken: true, ...first };
  }

  #take(connection) {
    const course = this.#newCourse();
    this.#drop();
    this.connection = connection;
    this.heard = now();
    this.owner.onBegin(this.phase === 'reconnecting');
    if (connection.transport === 'ws') {
      this.blockedUntil = 0;
    } else {
      this.blockedUntil = now() + BETTER_MS;
      this.timer = setTimeout(() => this.#better(course, ['ws'], BETTER_MS), BETTER_MS);
    }
    this.#set('open');
    connection.deliver(
      (text) => this.#hear(text),
      (code) => this.#lost(connection, code),
    );
  }

  #hear(text) {
    this.heard = now();
    if (this.failures > 0 && now() - this.connection.opened > GOOD_MS) this.failures = 0;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      // Whatever spoke there, it was not our server.
      return;
    }
    this.owner.onMessage(message);
  }

  #lost(connection, code) {
    const lasted = now() - connection.opened;
    if (isFinal(code)) this.#end();
    else if (code >= 4200 && code < 4300 && lasted > GOOD_MS) this.#search();
    else this.#wait();
  }

  /** Waits and searches again. */
  #wait() {
    const course = this.#newCourse();
    this.#drop();
    const most = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 16);
    // Full jitter: a hall full of phones must not come back at once.
    const wait = Math.random() * most;
    this.timer = setTimeout(() => course === this.course && this.#search(), wait);
    this.#set('reconnecting', now() + wait);
  }

  /** Whether the server answers and lets us look; if not, what follows from that is done. */
  async #mayGoOn(isOver) {
    try {
      await get(`/api/events/${this.event}/`);
      return !isOver();
    } catch (error) {
      if (isOver()) return false;
      if (error instanceof Refused) this.#end();
      else this.#wait();
      return false;
    }
  }

  /**
   * Reads everything now and every 15 s, and looks for a stream beside it: first after `betterMs`, a
   * random time of 15 to 30 s if nothing is given.
   */
  async #poll(course, betterMs = undefined) {
    if (this.phase === 'polling') this.#scheduleBetter(course, betterMs);
    const api = `/api/events/${this.event}`;
    while (course === this.course) {
      try {
        const [event, leaderboard, schedule, results, announcements] = await Promise.all([
          get(`${api}/`),
          get(`${api}/leaderboard/`),
          get(`${api}/schedule/`),
          getAll(`${api}/results/`),
          getAll(`${api}/announcements/`),
        ]);
        if (course !== this.course) return;
        this.heard = now();
        this.failures = 0;
        this.owner.onWhole({ event, leaderboard, schedule, results, announcements });
      } catch (error) {
        if (course !== this.course) return;
        if (error instanceof Refused) this.#end();
        else this.#wait();
        return;
      }
      if (this.phase !== 'polling') {
        this.#set('polling');
        // The first time soon: when an outage has just ended, all ways are open again.
        this.#scheduleBetter(course, SOON_MS * (1 + Math.random()));
      }
      await pause(POLL_MS);
    }
  }

  #scheduleBetter(course, firstMs) {
    const wait = POLL_MS * (1 + Math.random());
    this.timer = setTimeout(() => this.#better(course, ['ws', 'sse'], wait), firstMs ?? wait);
  }

  /** Tries better ways beside the present one, which ends only when another speaks. */
  async #better(course, transports, wait) {
    const isOver = () => course !== this.course;
    for (const transport of transports) {
      if (isOver()) return;
      const { taken } = await this.#attempt(transport, isOver);
      if (taken || isOver()) return;
    }
    if (this.transport === 'sse') this.blockedUntil = now() + BETTER_MS;
    this.timer = setTimeout(() => this.#better(course, transports, wait), wait);
  }

  #end() {
    this.#newCourse();
    this.#drop();
    this.#set('ended');
  }
}

/** Close codes after which there is no coming back. */
const isFinal = (code) => code >= 4000 && code < 4100;
