// The server stops and starts again elsewhere, or is gone at once: the page comes back by itself.

import assert from 'node:assert/strict';

import { openBoard, untilState, untilTrue } from './scoreboard.mjs';
import { play } from './scenario.mjs';

await play(async (stage, browser) => {
  await stage.start();
  const cup = await stage.cup();
  const address = `${stage.url}/e/${cup.event}`;
  const socket = await openBoard(browser, address);
  await untilState(socket, 'live-ws');
  await stage.webSockets('refuse');
  const events = await openBoard(browser, address);
  await untilState(events, 'live-sse');
  const boards = [socket, events];
  await stage.webSockets('pass');

  // A planned restart: the streams are drained, the file stays, the address behind the proxy changes.
  await stage.stop();
  await Promise.all(boards.map((board) => untilState(board, 'reconnecting')));
  await stage.start();
  await stage.score(cup.fixtures[1], 2, 1);
  await stage.announce(cup.event, 'Back again', 'Sorry for the break');
  for (const board of boards) {
    await untilState(board, /^live-/);
    await untilTrue(board, stage, cup.event);
  }

  // An abrupt end: connections break, and what is entered meanwhile is caught up.
  await stage.network('down');
  await Promise.all(boards.map((board) => untilState(board, 'reconnecting')));
  await stage.score(cup.fixtures[1], 2, 2);
  await stage.score(cup.fixtures[4], 5, 0);
  await stage.announce(cup.event, 'Lights', 'Back in five minutes');
  await stage.network('open');
  for (const board of boards) {
    await untilState(board, /^live-/);
    await untilTrue(board, stage, cup.event);
    assert.deepEqual(board.wrong, []);
  }
});
