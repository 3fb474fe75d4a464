// The guide's two samples, as they are but for host and port, in pages that know nothing more: on the
// server's own origin, on an origin that was allowed, and on one that was not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { play, until, watch } from './scenario.mjs';

const read = (file) => readFileSync(new URL(`guide/${file}`, import.meta.url), 'utf8');
const PAGE = read('page.html');
const WEBSOCKET = read('websocket.js');
const SSE = read('sse.js');

const pageWith = (sample) => PAGE.replace('/* SAMPLE */', () => sample);

await play(async (stage, browser) => {
  const pages = new Map();
  const [allowed, stranger] = await Promise.all([site(pages), site(pages)]);
  await stage.start(allowed.origin);
  const cup = await stage.cup();
  assert.equal(cup.event, 1, 'the samples name event 1');
  const host = new URL(stage.server).host;
  const websocket = WEBSOCKET.replace('localhost:8000', host);
  assert(websocket.includes(`ws://${host}/ws/events/1/stream/`));
  const sse = SSE.replace("'/api", `'${stage.server}/api`);
  assert(sse.includes(`'${stage.server}/api/events/1/stream/results/'`));
  pages.set('/websocket', pageWith(websocket));
  pages.set('/sse', pageWith(sse));

  // A page of the server's own origin asks for the stream by its path alone, as in the guide.
  // The browser cannot know that such a page, put in its place here, came from this machine.
  const context = await browser.newContext({ permissions: ['local-network-access'] });
  await context.route(`${stage.server}/websocket`, (route) => route.fulfill(html(pages.get('/websocket'))));
  await context.route(`${stage.server}/sse`, (route) => route.fulfill(html(pageWith(SSE))));

  let goals = 0;
  for (const origin of [stage.server, allowed.origin]) {
    goals += 1;
    await websocketSample(await context.newPage(), `${origin}/websocket`, stage, cup, goals);
    goals += 1;
    await sseSample(await context.newPage(), `${origin}/sse`, stage, cup, goals);
  }

  await refusedSample(await context.newPage(), `${stranger.origin}/sse`, stage, cup);
});

async function websocketSample(page, address, stage, cup, goals) {
  const wrong = watch(page);
  await page.goto(address);
  await until(page, 'a table', () => document.querySelectorAll('#leaderboard li').length > 0);
  await until(page, 'the schedule', () => document.querySelectorAll('#schedule li').length === 8);
  const last = await page.locator('#schedule li').last().textContent();
  assert.equal(last, 'TBD v TBD 2026-05-02T18:00:00Z Park SCHEDULED');

  const title = `Gate ${goals} is closed`;
  await stage.score(cup.fixtures[1], goals, 0);
  await stage.announce(cup.event, title, 'Please use gate 6');
  const line = `fixture ${cup.fixtures[1]}: ${goals}-0`;
  await until(page, 'the result', (text) => document.getElementById('results').lastChild?.textContent === text, line);
  await until(page, 'the table', () => document.getElementById('leaderboard').innerText.includes('1. Reds 3'));
  await until(page, 'the announcement', (text) => document.body.innerText.includes(text), title);

  // A page of the guide knows no withdrawal; it must not be shown the announcement again by it.
  const [{ id }] = (await stage.api('GET', `/api/events/${cup.event}/announcements/`)).items.filter(
    (announcement) => announcement.title === title,
  );
  await stage.withdraw(id);
  await stage.score(cup.fixtures[1], goals, 1);
  await until(page, 'the correction', (text) => document.getElementById('results').lastChild.textContent === text,
    `fixture ${cup.fixtures[1]}: ${goals}-1`);
  const shown = await page.locator('#announcements p', { hasText: title }).count();
  assert.equal(shown, 1, 'the announcement is shown once');
  assert.deepEqual(wrong, []);
  await page.close();
}

async function sseSample(page, address, stage, cup, goals) {
  const wrong = watch(page);
  await page.goto(address);
  await until(page, 'a table', () => document.querySelectorAll('#leaderboard li').length > 0);
  await stage.score(cup.fixtures[1], 0, goals);
  await until(page, 'the table', () => document.getElementById('leaderboard').innerText.includes('1. Blues 3'));
  const before = await page.evaluate(() => boards);
  // Each message shows a table: the one of a result and the one of the recomputed board.
  await stage.score(cup.fixtures[1], goals + 1, goals);
  await until(page, 'both messages', (count) => boards >= count + 2, before);
  await until(page, 'the table', () => document.getElementById('leaderboard').innerText.includes('1. Reds 3'));
  assert.equal(await page.evaluate(() => eventSource.readyState), 1, 'open');
  assert.deepEqual(wrong, []);
  await page.close();
}

/** A page nobody allowed reads nothing, however long it stays. */
async function refusedSample(page, address, stage, cup) {
  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(address);
  await until(page, 'the refusal', () => eventSource.readyState === EventSource.CLOSED);
  await stage.score(cup.fixtures[1], 9, 9);
  assert.equal(await page.evaluate(() => boards), 0, 'nothing was read');
  assert(errors.some((error) => error.includes('CORS')), errors.join('\n'));
  const fetched = await page.evaluate(
    (url) => fetch(url).then(() => 'read', (error) => error.name),
    `${stage.server}/api/events/${cup.event}/leaderboard/`,
  );
  assert.equal(fetched, 'TypeError', 'the API is closed to it as well');
}

function html(body) {
  return { contentType: 'text/html; charset=utf-8', body };
}

/** Another web server of this machine: its port makes it another origin. */
async function site(pages) {
  const server = createServer((request, response) => {
    const body = pages.get(request.url);
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${server.address().port}` };
}
