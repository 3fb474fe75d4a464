// Names that try to be more than text: nothing of them runs, nothing becomes an element, and they are
// shown as they were written, in the server's HTML as in what the page's script draws.

import assert from 'node:assert/strict';

import { displaySafe, openBoard, overflow, shown, untilState } from './scoreboard.mjs';
import { play, until } from './scenario.mjs';

const SCRIPT = '<script>window.hacked=1</script>';
const IMAGE = '<img src=x onerror="window.hacked=2">';
const BREAK_OUT = `"'></td></table><svg onload=window.hacked=3>`;
const TEMPLATE = '</template></script><script>window.hacked=4</script>';
const ADDRESS = 'javascript:window.hacked=5';
const ENTITY = '&lt;b&gt; &amp; &#60;i&#62; {{7*7}} ${window.hacked=6}';
const ESCAPES = 'red\u001b[31m bell\u0007 erase\u009b2J end';
const BIDI = 'abc \u202egnp.exe\u202c \u2066def';
const WIDE = '漢'.repeat(200);

const TEAMS = [SCRIPT, IMAGE, BREAK_OUT, TEMPLATE, ENTITY, ESCAPES, BIDI, WIDE];

await play(async (stage, browser) => {
  await stage.start();
  const { id: event } = await stage.api('POST', '/api/events/', {
    name: `Cup ${SCRIPT} ${BREAK_OUT}`, starts_on: '2026-05-02',
  });
  const { id: venue } = await stage.api('POST', `/api/events/${event}/venues/`, {
    name: `Park ${IMAGE}`, areas: [ADDRESS],
  });
  const teams = [];
  for (const name of TEAMS) {
    teams.push((await stage.api('POST', `/api/events/${event}/teams/`, { name, group: '<u>A</u>' })).id);
  }
  const fixtures = [];
  for (let index = 0; index < TEAMS.length; index += 2) {
    const { fixture_id: fixture } = await stage.api('POST', `/api/events/${event}/fixtures/`, {
      home_team_id: teams[index], away_team_id: teams[index + 1],
      start_at: `2026-05-02T1${index}:00:00Z`, venue_id: venue, area: ADDRESS, round: `Round ${IMAGE}`,
    });
    fixtures.push(fixture);
  }
  const address = `${stage.url}/e/${event}`;

  // Opened first: everything below reaches it as live messages.
  const live = await openBoard(browser, address, undefined, { viewport: { width: 320, height: 640 } });
  await untilState(live, 'live-ws');
  const texts = [...TEAMS, SCRIPT];
  for (const [index, fixture] of fixtures.entries()) {
    await stage.score(fixture, index + 1, 0, {
      goals: [{ team_id: teams[index * 2], minute: 5, player: `Kim ${IMAGE}` }],
    });
  }
  for (const text of [SCRIPT, IMAGE, BREAK_OUT, ADDRESS, BIDI, WIDE]) {
    await stage.announce(event, text, `about ${text}`);
    texts.push(text, `about ${text}`);
  }
  await until(live.page, 'the last announcement', (text) => document.body.textContent.includes(text), `about ${WIDE}`);

  const fresh = await openBoard(browser, address);
  await untilState(fresh, 'live-ws');
  const plain = await openBoard(browser, address, undefined, { javaScriptEnabled: false });
  for (const [kind, board] of Object.entries({ live, fresh, plain })) {
    await harmless(kind, board, texts);
  }
  // The server's HTML and the script agree on every character.
  const [drawn, sent] = await Promise.all([live, plain].map(({ page }) => shown(page)));
  assert.deepEqual(drawn, sent);
});

async function harmless(kind, board, texts) {
  const { page } = board;
  assert.deepEqual(board.wrong, [], kind);
  assert.equal(await page.evaluate(() => window.hacked), undefined, `${kind}: a script ran`);
  const found = await page.evaluate(() => {
    const elements = [...document.querySelectorAll('*')];
    const own = (element) => element.matches('script[src]');
    return {
      text: document.body.textContent,
      scripts: elements.filter((element) => element.matches('script:not([type="application/json"])') && !own(element)).length,
      foreign: elements.filter((element) => element.matches('img, iframe, object, embed, u, b[style], svg[onload]')).length,
      handlers: elements.flatMap((element) => element.getAttributeNames()).filter((name) => name.startsWith('on')),
      addresses: elements.filter((element) => /^\s*javascript:/i.test(element.getAttribute('href') ?? '')).length,
    };
  });
  const { text, ...made } = found;
  assert.deepEqual(made, { scripts: 0, foreign: 0, handlers: [], addresses: 0 }, kind);
  for (const wanted of texts.map(displaySafe)) {
    assert(text.includes(wanted), `${kind} does not show ${JSON.stringify(wanted)}`);
  }
  assert(!/[\u202a-\u202e\u2066-\u2069]/.test(text), `${kind}: a name turns round what stands beside it`);
  assert.deepEqual(await overflow(page), [], `${kind}: wider than the window`);
}
