// The way to the server: WebSocket first, Server-Sent Events where that is blocked, reading every
// fifteen seconds where both are; and back to the better way as soon as it is there.
//
// It never gives up by itself. Only the server's final word ends it: a close code of 4000 to 4099, or
// a read that says the event is not there for us. What a message means is left to others.

/** The server says `status` every 5 s. Without a word for so long, what is shown is stale. */
export const STALE_MS = 12_000;
/** Without a word for so long the connection is dead, whatever the browser thinks. */
const SILENCE_MS = 15_000;
/** How long the first message of a WebSocket may take before another way is tried. */
const WS_FIRST_MS = 2_000;
/** The same for an event stream, after which we read. */
const SSE_FIRST_MS = 4_000;
export const POLL_MS = 15_000;
/** How often a better way is tried while a worse one works. */
const PROBE_MS = 60_000;
const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 20_000;

/** Full jitter: anything up to a bound that doubles, so that a hall of phones does not come as one. */
function wait(failures) {
  return Math.random() * Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** Math.min(failures - 1, 10));
}

export class Link {
  /** `ws`, `sse`, `poll`, or null while there is none. */
  way = null;
  hasEnded = false;
  /** When the server was last heard, by `performance.now()`; null before the first word. */
  heardAt = null;
  /** When the next try is made. */
  retryAt = null;
  #event;
  #cursor;
  #tell;
  #poll;
  #changed;
  #close = () => {};
  #failures = 0;
  #timer = null;
  #pollTimer = null;
  #probeAt = 0;
  /** Tells the tries of before from those of now. */
  #turn = 0;

  /**
   * `cursor()` says where to go on, `tell(message)` takes each message, `poll()` reads everything and
   * resolves to the status that refused it, or null; `changed()` is called when anything here has.
   */
  constructor({ event, cursor, tell, poll, changed }) {
    this.#event = event;
    this.#cursor = cursor;
    this.#tell = tell;
    this.#poll = poll;
    this.#changed = changed;
  }

  start() {
    this.#tryWebSocket();
  }

  /** Called every second: notices silence, and that a better way may be open again. */
  tick(now) {
    if (this.hasEnded) return;
    const isStream = this.way === 'ws' || this.way === 'sse';
    if (isStream && now - this.heardAt > SILENCE_MS) {
      this.#drop();
      this.#again(0);
    } else if (this.way === 'sse' && now >= this.#probeAt) {
      this.#probe();
    }
  }

  /** The phone woke up, or the network is said to be back. */
  wake() {
    if (this.hasEnded) return;
    const isSilent = this.heardAt !== null && performance.now() - this.heardAt > STALE_MS;
    if (this.way === null || this.way === 'poll' || isSilent) {
      this.#drop();
      this.#failures = 0;
      this.#again(0);
    }
  }

  /** The server said that there will be no more. */
  end() {
    this.#drop();
    this.hasEnded = true;
    clearTimeout(this.#timer);
    this.#changed();
  }

  #address(path) {
    const query = new URLSearchParams({ v: '2' });
    const cursor = this.#cursor();
    if (cursor !== null) query.set('since', cursor);
    return `${path}?${query}`;
  }

  #heard() {
    this.heardAt = performance.now();
  }

  /** Ends whatever there is; nothing of it is heard any more. */
  #drop() {
    this.#turn += 1;
    this.#close();
    this.#close = () => {};
    clearTimeout(this.#timer);
    clearTimeout(this.#pollTimer);
    this.way = null;
  }

  #again(after, next = () => this.#tryWebSocket()) {
    clearTimeout(this.#timer);
    this.retryAt = performance.now() + after;
    this.#timer = setTimeout(next, after);
    this.#changed();
  }

  /** Opens a WebSocket; `done(code)` is called once, with null if nothing was ever heard over it. */
  #openWebSocket(firstMs, opened, done) {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const path = this.#address(`/ws/events/${this.#event}/stream/`);
    const socket = new WebSocket(`${scheme}//${location.host}${path}&topics=results,schedule,announcements`);
    let hasSpoken = false;
    let isOver = false;
    const over = (code) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(deadline);
      socket.onclose = socket.onmessage = socket.onerror = null;
      socket.close();
      done(hasSpoken ? code : null, code);
    };
    const deadline = setTimeout(() => over(0), firstMs);
    socket.onmessage = ({ data }) => {
      if (!hasSpoken) {
        hasSpoken = true;
        clearTimeout(deadline);
        if (opened() === false) return over(0);
      }
      this.#heard();
      this.#tell(JSON.parse(data));
    };
    socket.onclose = ({ code }) => over(code);
    return () => {
      isOver = true;
      clearTimeout(deadline);
      socket.onclose = socket.onmessage = socket.onerror = null;
      socket.close();
    };
  }

  #tryWebSocket() {
    this.#drop();
    const turn = this.#turn;
    this.#close = this.#openWebSocket(
      WS_FIRST_MS,
      () => this.#opened('ws'),
      async (spoken, code) => {
        if (turn !== this.#turn) return;
        this.way = null;
        if (code >= 4000 && code < 4100) return this.end();
        if (spoken !== null) {
          // 4200 to 4299 ask to come back at once; but not in a tight loop.
          const isAsked = code >= 4200 && code < 4300 && this.#failures === 0;
          this.#failures += 1;
          return this.#again(isAsked ? 0 : wait(this.#failures));
        }
        // A browser does not say why a handshake was refused: a read does.
        this.#changed();
        if (await this.#isRefused()) return turn === this.#turn && this.end();
        if (turn === this.#turn) this.#trySse();
      },
    );
  }

  #trySse() {
    this.#drop();
    const turn = this.#turn;
    const source = new EventSource(this.#address(`/api/events/${this.#event}/stream/`));
    let hasSpoken = false;
    const over = async () => {
      clearTimeout(deadline);
      source.close();
      if (turn !== this.#turn) return;
      this.way = null;
      this.#changed();
      if (await this.#isRefused()) return turn === this.#turn && this.end();
      if (turn !== this.#turn) return;
      if (hasSpoken) {
        this.#failures += 1;
        return this.#again(wait(this.#failures));
      }
      this.#tryPolling();
    };
    const deadline = setTimeout(over, SSE_FIRST_MS);
    // The browser's own reconnecting gives up on any answer but 200: ours does not.
    source.onerror = over;
    source.onmessage = ({ data }) => {
      if (turn !== this.#turn) return;
      if (!hasSpoken) {
        hasSpoken = true;
        clearTimeout(deadline);
        this.#probeAt = performance.now() + PROBE_MS;
        this.#opened('sse');
      }
      this.#heard();
      this.#tell(JSON.parse(data));
    };
    this.#close = () => {
      clearTimeout(deadline);
      source.close();
    };
  }

  /** While events come, a WebSocket is tried beside them; they end when it speaks. */
  #probe() {
    this.#probeAt = performance.now() + PROBE_MS;
    const turn = this.#turn;
    let close = () => {};
    close = this.#openWebSocket(
      WS_FIRST_MS,
      () => {
        if (turn !== this.#turn) return false;
        this.#drop();
        this.#close = close;
        this.#opened('ws');
        return true;
      },
      (spoken, code) => {
        if (spoken === null || this.way !== 'ws') return;
        this.#drop();
        if (code >= 4000 && code < 4100) return this.end();
        this.#failures += 1;
        this.#again(wait(this.#failures));
      },
    );
  }

  async #tryPolling() {
    this.#drop();
    const turn = this.#turn;
    const refused = await this.#poll();
    if (turn !== this.#turn) return;
    if (refused === 401 || refused === 404) return this.end();
    this.#failures += 1;
    if (refused !== null) return this.#again(wait(this.#failures));
    this.way = 'poll';
    this.#heard();
    this.#changed();
    // Meanwhile the better ways are tried again.
    this.#pollTimer = setTimeout(() => this.#tryBetter(turn), POLL_MS);
  }

  /** Tries the streams once more and goes on reading if they are still blocked. */
  #tryBetter(turn) {
    if (turn !== this.#turn) return;
    const probeTurn = this.#turn;
    const close = this.#openWebSocket(
      WS_FIRST_MS,
      () => {
        if (probeTurn !== this.#turn) return false;
        this.#drop();
        this.#close = close;
        this.#opened('ws');
        return true;
      },
      (spoken, code) => {
        if (spoken === null) {
          if (probeTurn === this.#turn) this.#pollAgain(probeTurn);
          return;
        }
        if (this.way !== 'ws') return;
        this.#drop();
        if (code >= 4000 && code < 4100) return this.end();
        this.#failures += 1;
        this.#again(wait(this.#failures));
      },
    );
  }

  async #pollAgain(turn) {
    const refused = await this.#poll();
    if (turn !== this.#turn) return;
    if (refused === 401 || refused === 404) return this.end();
    if (refused !== null) {
      // Not even this: start from the best way again.
      this.#drop();
      this.#failures += 1;
      return this.#again(wait(this.#failures));
    }
    this.#heard();
    this.#changed();
    this.#pollTimer = setTimeout(() => this.#tryBetter(turn), POLL_MS);
  }

  #opened(way) {
    this.way = way;
    this.#heard();
    this.#changed();
    return true;
  }

  /** Heard and understood: the next failure is a first one again. */
  understood() {
    this.#failures = 0;
  }

  /** Whether the server says that this event is not there for us. */
  async #isRefused() {
    try {
      const answer = await fetch(`/api/events/${this.#event}/`, { cache: 'no-store', signal: AbortSignal.timeout(4_000) });
      return answer.status === 401 || answer.status === 404;
    } catch {
      // No answer says nothing about the event.
      return false;
    }
  }
}
