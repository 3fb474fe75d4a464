// The page of an event as a test sees it: what it shows, and what the server says it should.

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import { PATIENCE_MS, watch } from './scenario.mjs';

/** What a browser prints when a network it is told to use is not there. */
const NETWORK_TROUBLE = /net::ERR_|WebSocket connection to|Failed to load resource/;

/**
 * Opens a page of an event in a browser of its own. `board.states` has every state of the badge with
 * its words and the ms since the navigation; `board.wrong` what must not happen, network trouble
 * aside.
 */
export async function openBoard(browser, address, prepare = async () => {}, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const board = { page, wrong: watch(page, NETWORK_TROUBLE), states: [] };
  await page.exposeFunction('badgeChanged', (state, words, at) => board.states.push({ state, words, at }));
  await page.addInitScript(noteBadge);
  await prepare(page);
  await page.goto(address);
  return board;
}

/** Runs in the page, before its own scripts. */
function noteBadge() {
  let last;
  const look = () => {
    const badge = document.getElementById('badge');
    if (!badge) return;
    const state = badge.dataset.state;
    const words = badge.innerText;
    if (`${state} ${words}` === last) return;
    last = `${state} ${words}`;
    window.badgeChanged(state, words, performance.now());
  };
  new MutationObserver(look).observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['data-state'],
  });
}

/** Waits for a state of the badge, by its name or a pattern. */
export async function untilState(board, wanted, patience = PATIENCE_MS * 2) {
  const pattern = typeof wanted === 'string' ? new RegExp(`^${wanted}$`) : wanted;
  try {
    await board.page.waitForFunction(
      (source) => new RegExp(source).test(document.getElementById('badge').dataset.state),
      pattern.source,
      { timeout: patience },
    );
  } catch (error) {
    const changes = board.states.filter(({ state }, index, all) => all[index - 1]?.state !== state);
    throw new Error(`never ${pattern}, but ${JSON.stringify(changes)}`, { cause: error });
  }
}

/** What the server tells everybody: tables, fixtures and announcements, in the form of `shown`. */
export async function truth(stage, event) {
  const get = async (path) => {
    const answer = await fetch(`${stage.server}/api/events/${event}/${path}`);
    assert.equal(answer.status, 200, path);
    return answer.json();
  };
  const all = async (path) => {
    const items = [];
    let after = 0;
    while (after !== null) {
      const page = await get(`${path}?limit=100&after=${after}`);
      items.push(...page.items);
      after = page.next;
    }
    return items;
  };
  const { boards } = await get('leaderboard/');
  const { schedule } = await get('schedule/');
  const results = (await all('results/')).filter(({ state }) => state !== 'ANNULLED');
  const scores = new Map(
    results.map((result) => [result.fixture_id, `${result.home_score}-${result.away_score}`]),
  );
  const announcements = await all('announcements/');
  const name = (team, slot) => displaySafe(team.id === null && slot !== null ? slot : team.name);
  return {
    tables: boards
      .map(({ leaderboard }) => leaderboard.map((row) => `${row.position} ${displaySafe(row.team_name)} ${row.points}`))
      .sort(),
    fixtures: schedule
      .map((fixture) => {
        const isLive = fixture.status === 'LIVE' || fixture.status === 'PAUSED';
        const score = scores.get(fixture.fixture_id) ?? (isLive ? '\u2013-\u2013' : 'v');
        return `${name(fixture.home_team, fixture.home_slot)} ${score} ${name(fixture.away_team, fixture.away_slot)}`;
      })
      .sort(),
    announcements: announcements
      .map(({ title, message }) => `${displaySafe(title)}: ${displaySafe(message)}`)
      .sort(),
  };
}

/** The text as a page shows it: what could steer a terminal or reorder a line is replaced. */
export function displaySafe(text) {
  return text
    .replace(/[\t\n\r]/g, ' ')
    .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, '\ufffd');
}

/** Whether the page is wider than its window, and by which elements. */
export async function overflow(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.body.querySelectorAll('*')]
      .filter((element) => element.getBoundingClientRect().right > width + 0.5)
      .map((element) => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 40)}`);
  });
}

/** Blocks that lie over their neighbours. */
export async function overlaps(page) {
  return page.evaluate(() => {
    const found = [];
    for (const parent of document.querySelectorAll('body, body *')) {
      const boxes = [...parent.children]
        .filter((child) => child.checkVisibility() && !['absolute', 'fixed', 'sticky'].includes(getComputedStyle(child).position))
        .map((child) => ({ child, box: child.getBoundingClientRect() }))
        .filter(({ child, box }) => getComputedStyle(child).display !== 'inline' && box.width > 0 && box.height > 0);
      for (const [index, a] of boxes.entries()) {
        for (const b of boxes.slice(index + 1)) {
          const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
          const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
          if (across > 1 && down > 1) {
            found.push([a, b].map(({ child }) => `${child.tagName}#${child.id}.${child.className}`).join(' and '));
          }
        }
      }
    }
    return found;
  });
}

/** What the page shows: tables, fixtures and announcements, each as often as it stands there. */
export function shown(page) {
  return page.evaluate(() => {
    const text = (root, selector) => root.querySelector(selector).textContent.trim();
    const items = (selector, describe) => [...document.querySelectorAll(selector)].map(describe).sort();
    const row = (line) => `${text(line, '.pos').replace('=', '')} ${text(line, '.name bdi')} ${text(line, '.pts')}`;
    const card = (article) => {
      const [home, away] = [...article.querySelectorAll('.side')];
      return `${text(home, 'bdi')} ${text(home, '.points')}-${text(away, '.points')} ${text(away, 'bdi')}`;
    };
    const line = (item) => item.querySelector('.pair').textContent.trim();
    const announcement = (article) => `${text(article, 'h2, h3')}: ${text(article, '.message')}`;
    return {
      tables: items('#boards table', (table) => [...table.tBodies[0].rows].map(row)),
      fixtures: [...items('#cards .card', card), ...items('.schedule .fixtures > li', line)].sort(),
      announcements: items('#alerts > article, #notices > article', announcement),
    };
  });
}

/** The text of the page's clock. */
export function clock({ page }) {
  return page.locator('#clock').innerText();
}

/** Waits until the page shows exactly what the server tells everybody. */
export async function untilTrue(board, stage, event) {
  const wanted = await truth(stage, event);
  const deadline = Date.now() + PATIENCE_MS;
  let last;
  do {
    last = await shown(board.page);
    if (isDeepStrictEqual(last, wanted)) return;
    await board.page.evaluate(nextChange);
  } while (Date.now() < deadline);
  assert.deepEqual(last, wanted);
}

/** Runs in the page: waits for the next change of it, or a second. */
function nextChange() {
  return new Promise((resolve) => {
    const done = () => {
      observer.disconnect();
      clearTimeout(timer);
      resolve();
    };
    const observer = new MutationObserver(done);
    const timer = setTimeout(done, 1_000);
    observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
}
