// What a visitor sees: the table, the scores, the news; at once, without JavaScript, and live.

import assert from 'node:assert/strict';

import { openBoard, overflow, shown, truth, untilState, untilTrue } from './scoreboard.mjs';
import { axePath, play, PATIENCE_MS, until, watch } from './scenario.mjs';

await play(async (stage, browser) => {
  await stage.start();
  const cup = await stage.cup();
  const address = `${stage.url}/e/${cup.event}`;
  await stage.score(cup.fixtures[1], 2, 1);
  await stage.announce(cup.event, 'Lost and found', 'A red scarf');
  await stage.api('PATCH', `/api/events/${cup.event}/teams/${cup.teams.Kites}/`, { name: 'W'.repeat(200) });

  await withoutScript(stage, browser, cup);
  await loneEvent(stage, browser, cup);
  await live(stage, browser, cup);
  await forEverybody(browser, address);
});

/** Complete without JavaScript, and no wider than a small phone. */
async function withoutScript(stage, browser, cup) {
  const viewport = { width: 320, height: 640 };
  const board = await openBoard(browser, `${stage.url}/e/${cup.event}`, undefined, { javaScriptEnabled: false, viewport });
  assert.deepEqual(await shown(board.page), await truth(stage, cup.event));
  assert.deepEqual(await overflow(board.page), []);
  assert.deepEqual(board.wrong, []);
  await board.page.context().close();
}

async function loneEvent(stage, browser, cup) {
  const page = await browser.newPage();
  const wrong = watch(page);
  await page.goto(stage.url);
  assert.equal(page.url(), `${stage.url}/e/${cup.event}`, 'there is only one event to go to');
  assert.deepEqual(wrong, []);
  await page.close();
}

async function live(stage, browser, cup) {
  const viewport = { width: 320, height: 640 };
  const board = await openBoard(browser, `${stage.url}/e/${cup.event}`, undefined, { viewport });
  await untilState(board, 'live-ws');
  await untilTrue(board, stage, cup.event);
  await stage.score(cup.fixtures[2], 3, 0);
  await untilTrue(board, stage, cup.event);
  const { id } = await stage.announce(cup.event, 'Gate 4 is closed', 'Please use gate 6', { priority: 'HIGH' });
  await untilTrue(board, stage, cup.event);
  await stage.withdraw(id);
  await untilTrue(board, stage, cup.event);
  await stage.api('DELETE', `/api/fixtures/${cup.fixtures[2]}/result/`);
  await untilTrue(board, stage, cup.event);

  // An emergency is all that is seen, until it is withdrawn.
  const emergency = await stage.announce(cup.event, 'LEAVE THE HALL', 'Walk. Do not use the lifts.', {
    type: 'EMERGENCY', confirm: 'EMERGENCY',
  });
  await board.page.getByRole('alert').getByText('LEAVE THE HALL').waitFor({ timeout: PATIENCE_MS });
  const besides = await board.page.evaluate(() => {
    const { innerWidth: width, innerHeight: height } = window;
    // The header with the badge stays: also an emergency may be stale.
    const top = document.querySelector('header').getBoundingClientRect().bottom;
    const points = [12, width / 2, width - 12].flatMap((x) => [top + 12, (top + height) / 2, height - 12].map((y) => [x, y]));
    return points.filter(([x, y]) => !document.elementFromPoint(x, y)?.closest('.emergency'));
  });
  assert.deepEqual(besides, [], 'nothing but the emergency is in the window');
  await stage.withdraw(emergency.id);
  await until(board.page, 'the end of the emergency', () => !document.querySelector('.emergency, [role=alert]'));
  await untilTrue(board, stage, cup.event);
  assert.deepEqual(await overflow(board.page), []);
  assert.deepEqual(board.wrong, []);
  await board.page.context().close();
}

/** No barrier that axe-core finds, in either colour scheme. */
async function forEverybody(browser, address) {
  for (const colorScheme of ['light', 'dark']) {
    const board = await openBoard(browser, address, undefined, { colorScheme, bypassCSP: true });
    await untilState(board, 'live-ws');
    await board.page.addScriptTag({ path: axePath });
    const { violations, passes } = await board.page.evaluate(() => window.axe.run());
    assert(passes.length > 10, 'axe-core has looked');
    const findings = violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`);
    assert.deepEqual(findings, [], colorScheme);
    await board.page.context().close();
  }
}
