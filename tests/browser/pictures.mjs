// Pictures of the page in three sizes, light and dark; and what must hold in each of them.

import assert from 'node:assert/strict';

import { openBoard, overflow, overlaps, untilState } from './scoreboard.mjs';
import { play, shoot, until } from './scenario.mjs';

const SIZES = [
  { width: 320, height: 640 },
  { width: 768, height: 1024 },
  { width: 1920, height: 1080 },
];

await play(async (stage, browser) => {
  await stage.start();
  const worldCup = await stage.import('world-cup-2022.toml');
  const harbourCup = await stage.import('harbour-cup.toml');
  await matchDay(stage, harbourCup);

  for (const [name, event] of [['world-cup', worldCup], ['harbour-cup', harbourCup]]) {
    await sameWords(browser, `${stage.url}/e/${event}`);
    for (const colorScheme of ['light', 'dark']) {
      const board = await openBoard(browser, `${stage.url}/e/${event}`, undefined, { colorScheme });
      await untilState(board, 'live-ws');
      for (const viewport of SIZES) {
        const where = `${name} ${viewport.width} ${colorScheme}`;
        await board.page.setViewportSize(viewport);
        await shoot(board.page, `${name}-${viewport.width}-${colorScheme}`);
        assert.deepEqual(await overflow(board.page), [], `${where}: wider than the window`);
        assert.deepEqual(await overlaps(board.page), [], `${where}: one over another`);
        assert.deepEqual(await hiddenPoints(board.page), [], `${where}: points out of sight`);
      }
      assert.deepEqual(board.wrong, []);
      await board.page.context().close();
    }
  }
});

/**
 * What the server writes and what the script draws is the same, word for word; of what happened the
 * script may know more.
 */
async function sameWords(browser, address) {
  const plain = await openBoard(browser, address, undefined, { javaScriptEnabled: false });
  const live = await openBoard(browser, address);
  await untilState(live, 'live-ws');
  const sent = await plain.page.evaluate(() => ({
    parts: ['#alerts', '#notices', '#scores', '.tables', '.schedule'].map((part) => [part, document.querySelector(part).innerText.trim()]),
    latest: [...document.querySelectorAll('#latest li > span')].map((line) => line.innerText),
  }));
  assert(sent.latest.length > 0);
  for (const [part, words] of sent.parts) {
    await until(live.page, `the words of ${part}: ${words}`, ([part, words]) => document.querySelector(part).innerText.trim() === words, [part, words]);
  }
  await until(live.page, 'the latest', (lines) => lines.every((line) => document.getElementById('latest').innerText.includes(line)), sent.latest);
  await Promise.all([plain, live].map(({ page }) => page.context().close()));
}

/** Some matches over, two running, one moved, and something to say. */
async function matchDay(stage, event) {
  const { schedule } = await stage.api('GET', `/api/events/${event}/schedule/`);
  for (const [index, { fixture_id: fixture }] of schedule.slice(0, 10).entries()) {
    await stage.score(fixture, (index * 7) % 4, (index * 5) % 3);
    await stage.api('POST', `/api/fixtures/${fixture}/result/finalise/`);
  }
  for (const { fixture_id: fixture } of schedule.slice(10, 12)) {
    await stage.api('POST', `/api/fixtures/${fixture}/start/`);
    await stage.score(fixture, 1, 1, { state: 'LIVE', minute: 37 });
  }
  await stage.api('POST', `/api/fixtures/${schedule[13].fixture_id}/postpone/`);
  await stage.announce(event, 'Gate 4 is closed', 'Please use gate 6 on the harbour side.', { priority: 'HIGH' });
  await stage.announce(event, 'Lunch', 'Served in the tent behind pitch 3 until two.');
}

/** Rows whose points are not wholly inside the window. */
async function hiddenPoints(page) {
  return page.evaluate(() => {
    const cells = [...document.querySelectorAll('#boards .pts, #cards .points')];
    if (cells.length === 0) return ['there are no points at all'];
    return cells
      .filter((cell) => {
        const { left, right, width } = cell.getBoundingClientRect();
        return width === 0 || left < 0 || right > document.documentElement.clientWidth + 0.5;
      })
      .map((cell) => cell.parentElement.textContent);
  });
}
