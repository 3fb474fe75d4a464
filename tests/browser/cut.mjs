// A network that goes silent: the page says that it is stale and stops its clock; when the network is
// back it shows what the server has, each thing once.

import assert from 'node:assert/strict';

import { clock, openBoard, untilState, untilTrue } from './scoreboard.mjs';
import { play } from './scenario.mjs';

/** How soon a screen must say that it is not live any more. */
const NOTICED_MS = 15_000;
/** How long a stopped clock is looked at. */
const CLOCK_MS = 3_000;

await play(async (stage, browser) => {
  await stage.start();
  const cup = await stage.cup();
  const early = await stage.announce(cup.event, 'Welcome', 'Doors are open');
  await stage.score(cup.fixtures[1], 1, 0);

  const socket = await openBoard(browser, `${stage.url}/e/${cup.event}`);
  await untilState(socket, 'live-ws');
  await stage.webSockets('refuse');
  const events = await openBoard(browser, `${stage.url}/e/${cup.event}`);
  await untilState(events, 'live-sse');
  const boards = [socket, events];
  await Promise.all(boards.map((board) => untilTrue(board, stage, cup.event)));

  const cutAt = await Promise.all(boards.map(({ page }) => page.evaluate(() => performance.now())));
  const over = after(await stage.cutLength());
  await stage.network('silent');

  await stage.score(cup.fixtures[1], 1, 1);
  await stage.score(cup.fixtures[2], 0, 3);
  await stage.score(cup.fixtures[7], 2, 2);
  await stage.api('DELETE', `/api/fixtures/${cup.fixtures[7]}/result/`);
  await stage.announce(cup.event, 'Rain', 'Pitch 2 is closed');
  await stage.withdraw(early.id);

  for (const [index, board] of boards.entries()) {
    await untilState(board, 'stale');
    const { at } = board.states.find(({ state, at }) => state === 'stale' && at >= cutAt[index]);
    console.log(`stale ${Math.round(at - cutAt[index])} ms after the cut`);
    assert(at - cutAt[index] <= NOTICED_MS, `${at - cutAt[index]} ms`);
  }
  // Nothing may change here, so that there is nothing to wait for but time.
  const stopped = await Promise.all(boards.map(clock));
  await after(CLOCK_MS);
  assert.deepEqual(await Promise.all(boards.map(clock)), stopped, 'the clock of a stale page stands');

  await over;
  await stage.network('open');
  for (const board of boards) {
    await untilState(board, /^live-/);
    await untilTrue(board, stage, cup.event);
    const told = (words) => board.page.locator('#latest li', { hasText: words }).count();
    assert.deepEqual(
      [await told('Rain'), await told('Reds 1-1 Blues'), await told('Greens 0-3 Golds'), await told('Welcome')],
      [1, 1, 1, 0],
      'what happened is told once, and not what was withdrawn',
    );
    assert.deepEqual(board.wrong, []);
  }

  // And it goes on.
  await stage.score(cup.fixtures[3], 4, 4);
  await Promise.all(boards.map((board) => untilTrue(board, stage, cup.event)));
});

/** Measures time, for what is about time: the length of a cut, and a clock that must not move. */
function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
