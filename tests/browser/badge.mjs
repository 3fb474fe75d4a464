// The badge tells the truth in every state, and never says LIVE over something that is not.

import assert from 'node:assert/strict';

import { openBoard, untilState } from './scoreboard.mjs';
import { play } from './scenario.mjs';

/** Less than the 12 s of silence after which a page is stale anyway. */
const AT_ONCE_MS = 9_000;

await play(async (stage, browser) => {
  await stage.start();
  const cup = await stage.cup();
  const address = `${stage.url}/e/${cup.event}`;

  const socket = await openBoard(browser, address);
  await untilState(socket, 'live-ws');

  await stage.webSockets('refuse');
  const events = await openBoard(browser, address);
  await untilState(events, 'live-sse');

  const polling = await openBoard(browser, address, (page) =>
    page.route('**/api/**/stream/**', (route) => route.abort()));
  await untilState(polling, 'polling');

  // A cable is pulled: nobody is told, and still every screen knows soon.
  const pages = [socket, events, polling];
  await stage.network('silent');
  await Promise.all(pages.map((board) => untilState(board, 'stale')));
  await stage.network('open');
  await untilState(socket, /^live-/);
  await untilState(events, 'live-sse');
  await untilState(polling, 'polling');

  // Connections break: the page says so at once, and not only when it has heard nothing for long.
  await stage.network('down');
  await Promise.all([socket, events].map((board) => untilState(board, 'reconnecting', AT_ONCE_MS)));
  await stage.webSockets('pass');
  await stage.network('open');
  await Promise.all([socket, events].map((board) => untilState(board, /^live-/)));

  // What nobody may see any more has ended, for who only asks now and then a little later.
  await stage.api('PATCH', `/api/events/${cup.event}/`, { visibility: 'PRIVATE' });
  await Promise.all([socket, events].map((board) => untilState(board, 'ended', AT_ONCE_MS)));
  await untilState(polling, 'ended');

  // Gone for good is the same.
  const { id } = await stage.api('POST', '/api/events/', { name: 'Short Cup', starts_on: '2026-05-02' });
  const short = await openBoard(browser, `${stage.url}/e/${id}`);
  await untilState(short, 'live-ws');
  await stage.api('DELETE', `/api/events/${id}/`);
  await untilState(short, 'ended', AT_ONCE_MS);

  for (const board of [...pages, short]) {
    assert.deepEqual(board.wrong, []);
    assert.equal(board.states[0].state, 'connecting', 'what is said before anything is known');
    for (const { state, words } of board.states) {
      const isLive = state === 'live-ws' || state === 'live-sse';
      assert.equal(/\blive\b/i.test(words), isLive, `${state} says "${words}"`);
    }
  }
});
