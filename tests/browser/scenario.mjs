// What every scenario uses: one Chromium, the stage it plays on, and ways to look at a page.
//
// The stage (server, network, data) is kept by `tests/it/browser/stage.rs`. A scenario asks for it by
// lines `> command` on stdout; each is answered by one line on stdin. All other output is for people.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';

const { TIMELY_BROWSER_TOOLS: TOOLS, TIMELY_CHROMIUM: CHROMIUM, TIMELY_SCREENSHOTS: SCREENSHOTS } = process.env;
const tools = createRequire(path.join(TOOLS, 'package.json'));

export const { chromium } = tools('playwright-core');
/** Where axe-core's script for pages is. */
export const axePath = tools.resolve('axe-core/axe.min.js');

/** How long anything that must happen may take: machines are shared, so this says nothing of speed. */
export const PATIENCE_MS = 15_000;

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Plays a scenario, ends Chromium, and tells by the exit code whether all held. */
export async function play(scenario) {
  const stage = new Stage();
  let browser;
  let exitCode = 0;
  try {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    await scenario(stage, browser);
  } catch (error) {
    console.log(error.stack);
    for (const page of (browser?.contexts() ?? []).flatMap((context) => context.pages())) {
      await shoot(page, `failed-${path.basename(process.argv[1], '.mjs')}`).catch((problem) =>
        console.log(`no screenshot: ${problem.message}`),
      );
    }
    exitCode = 1;
  }
  await browser?.close();
  // Whatever a scenario left open, a web server for example, ends with it.
  process.exit(exitCode);
}

let shots = 0;
/** Writes a picture of the whole page and says where. */
export async function shoot(page, name, options = { fullPage: true }) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  const file = path.join(SCREENSHOTS, name.startsWith('failed-') ? `${name}-${(shots += 1)}.png` : `${name}.png`);
  await page.screenshot({ path: file, ...options });
  console.log(`picture: ${file}`);
}

/** The server, the network in front of it, and the owner's hand. */
class Stage {
  #answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

  async #ask(command) {
    console.log(`> ${command}`);
    const { value, done } = await this.#answers.next();
    assert(!done, 'the stage is gone');
    return JSON.parse(value);
  }

  /** Starts the server, on the data it had before if any; pages of `origins` may read it. */
  async start(...origins) {
    const { server, proxy, token } = await this.#ask(['start', ...origins].join(' '));
    /** Past the network: where the owner's own requests go. */
    this.server = `http://${server}`;
    /** Through the network: where browsers go. */
    this.url = `http://${proxy}`;
    this.token = token;
  }

  /** Stops the server and waits for its end; the network in front of it stays. */
  stop() {
    return this.#ask('stop');
  }

  /** `open`, `silent` or `down`. */
  network(state) {
    return this.#ask(`network ${state}`);
  }

  /** `pass`, `refuse`, `swallow` or `reset`. */
  webSockets(state) {
    return this.#ask(`websockets ${state}`);
  }

  /** How long a network cut lasts, in ms. */
  async cutLength() {
    return (await this.#ask('cut')).ms;
  }

  /** A small cup: `{event, venue, teams: {name: id}, fixtures: {number: id}}`. */
  cup() {
    return this.#ask('cup');
  }

  /** Imports a file of `data/`; answers the event's id. */
  async import(file) {
    return (await this.#ask(`import ${file}`)).event;
  }

  /** A request of the owner; fails unless it succeeds. */
  async api(method, address, body) {
    const headers = { authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    // Creating has no version to insist on; everything else here insists.
    if (method !== 'GET' && !(method === 'POST' && body !== undefined)) headers['if-match'] = '*';
    const answer = await fetch(this.server + address, { method, headers, body: JSON.stringify(body) });
    const text = await answer.text();
    assert(answer.ok, `${method} ${address}: ${answer.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  /** Enters or replaces the score of a fixture. */
  score(fixture, home, away, more = {}) {
    return this.api('PUT', `/api/fixtures/${fixture}/result/`, { home_score: home, away_score: away, ...more });
  }

  announce(event, title, message, more = {}) {
    return this.api('POST', `/api/events/${event}/announcements/`, { title, message, ...more });
  }

  withdraw(announcement) {
    return this.api('POST', `/api/announcements/${announcement}/withdraw/`);
  }
}

/**
 * Notes what goes wrong in a page from now on: exceptions, dialogs, and console errors except those
 * that `expected` fits.
 */
export function watch(page, expected = /^$/) {
  const wrong = [];
  const note = (what) => {
    console.log(what);
    wrong.push(what);
  };
  page.on('pageerror', (error) => note(`exception: ${error.message}`));
  page.on('dialog', async (dialog) => {
    note(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected.test(message.text())) note(`console: ${message.text()}`);
  });
  return wrong;
}

/** Waits until `look` answers something true in the page; says what was there instead if it never does. */
export async function until(page, why, look, argument) {
  try {
    await page.waitForFunction(look, argument, { timeout: PATIENCE_MS });
  } catch (error) {
    const text = await page.evaluate(() => document.body.innerText).catch((problem) => problem.message);
    throw new Error(`never: ${why}\n${error.message}\nthe page says:\n${text}`, { cause: error });
  }
}
