// Where WebSockets do not pass, the page goes on by Server-Sent Events, soon and with the same content.

import assert from 'node:assert/strict';

import { openBoard, untilState, untilTrue } from './scoreboard.mjs';
import { play } from './scenario.mjs';

/** What the page promises, and some time for a machine that is busy with other tests. */
const FALLBACK_MS = 4_000 + 2_000;

await play(async (stage, browser) => {
  await stage.start();
  const cup = await stage.cup();
  await stage.score(cup.fixtures[1], 1, 0);
  await stage.announce(cup.event, 'Lost and found', 'A red scarf');

  let goals = 1;
  for (const way of ['refuse', 'swallow', 'reset']) {
    await stage.webSockets(way);
    const board = await openBoard(browser, `${stage.url}/e/${cup.event}`);
    await untilState(board, 'live-sse');
    const { at } = board.states.find(({ state }) => state === 'live-sse');
    console.log(`WebSockets ${way}: live after ${Math.round(at)} ms`);
    assert(at <= FALLBACK_MS, `${way}: ${at} ms`);
    await untilTrue(board, stage, cup.event);

    goals += 1;
    await stage.score(cup.fixtures[1], goals, 0);
    await stage.score(cup.fixtures[7], 0, goals);
    await stage.announce(cup.event, `Bus ${goals}`, 'Leaves from car park 2');
    await untilTrue(board, stage, cup.event);
    assert.equal(board.states.at(-1).state, 'live-sse');
    assert.deepEqual(board.wrong, []);
    await board.page.context().close();
  }
});
