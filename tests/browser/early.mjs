// An early copy of an emergency, as the page's state takes it. Needs no browser: `node early.mjs
// path/to/state.js`.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const source = await readFile(process.argv[2], 'utf8');
const { State } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

const announcement = (pos, id, more = {}) => ({
  type: 'announcement_update',
  topic: 'event_1_announcements',
  seq: pos,
  pos,
  data: {
    event_id: 1,
    timestamp: '2026-07-18T12:00:00Z',
    announcement: { id, title: `said at ${pos}`, type: 'EMERGENCY', priority: 'URGENT', version: 1 },
  },
  ...more,
});
const connected = { type: 'connected', epoch: 'e', cursor: 'e.5', topics: [] };
const live = (pos) => ({ type: 'live', topics: ['event_1_announcements'], cursor: `e.${pos}` });

const state = new State();
let told = [];
const hear = (message) => {
  const happened = state.apply(message, 0);
  if (happened) told.push([happened.kind, message.pos]);
};

state.connectionBegins(false);
for (const message of [connected, { type: 'subscribed', stream: 'announcements', recovered: false }, live(5)]) hear(message);
assert.equal(state.since, 'e.5');

hear(announcement(9, 1, { early: true }));
assert.deepEqual(told, [['announcement', 9]], 'told at once');
assert.equal(state.announcements.get(1).title, 'said at 9');
assert.equal(state.since, 'e.5', 'the cursor stays');

told = [];
hear(announcement(7, 2));
hear(announcement(8, 1));
assert.equal(state.since, 'e.8', 'what it has overtaken counts');
assert.deepEqual(told, [['announcement', 7]]);
assert.equal(state.announcements.get(1).title, 'said at 9', 'an older one does not replace it');

hear(announcement(9, 1));
assert.equal(state.since, 'e.9', 'its turn moves the cursor');
assert.deepEqual(told, [['announcement', 7]], 'and is not told again');
assert.equal(state.announcements.get(1).title, 'said at 9');

hear(announcement(10, 1));
assert.deepEqual(told, [['announcement', 7], ['announcement', 10]], 'said again is told again');

// While a connection catches up everything else is summed up; an emergency is not.
told = [];
state.connectionBegins(true);
hear(connected);
hear({ type: 'subscribed', stream: 'announcements', recovered: true });
hear(announcement(13, 3, { early: true }));
assert.deepEqual(told, [['announcement', 13]]);
assert.equal(state.since, 'e.10');
for (const message of [announcement(12, 4), announcement(13, 3), live(13)]) hear(message);
assert.deepEqual(told.slice(1), [['back', undefined]]);
assert.equal(state.since, 'e.13');

// A connection that fell behind says `live` when it is up to date: a cursor and nothing else.
told = [];
hear(live(20));
assert.equal(state.since, 'e.20');
assert.deepEqual(told, []);
assert.equal(state.announcements.size, 4, 'nothing was taken away');
