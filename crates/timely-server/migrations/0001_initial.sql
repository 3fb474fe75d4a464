-- The first schema. A shipped migration is never edited; add the next number instead.
--
-- Times are integers: microseconds since 1970-01-01 UTC. They compare and index as numbers, where
-- RFC 3339 text of different precision does not even sort. Dates, words and slots are text as on
-- the wire. `*_folded` columns hold text as names are compared: without case and accents.
--
-- Ids are never used again (AUTOINCREMENT): topics are named after them, and the log outlives the
-- things it tells of. For the same reason the log has no foreign keys.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The event of a token is not a foreign key: who wrote must stay known when the event is gone.
CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       TEXT NOT NULL UNIQUE,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    role       TEXT NOT NULL,
    event_id   INTEGER,
    area       TEXT,
    team_id    INTEGER,
    label      TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    -- Whether the log says that it ended.
    ended      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX tokens_of_event ON tokens (event_id);
CREATE INDEX tokens_to_end ON tokens (expires_at) WHERE ended = 0 AND expires_at IS NOT NULL;

CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    starts_on   TEXT NOT NULL,
    ends_on     TEXT NOT NULL,
    timezone    TEXT NOT NULL,
    visibility  TEXT NOT NULL,
    status      TEXT NOT NULL,
    rules       TEXT NOT NULL,
    count       TEXT NOT NULL,
    -- The highest number a fixture ever had: numbers are not used again.
    last_number INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX events_by_name ON events (name_folded);

CREATE TABLE venues (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id    INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    UNIQUE (event_id, name_folded)
) STRICT;

CREATE TABLE venue_areas (
    venue_id    INTEGER NOT NULL REFERENCES venues (id) ON DELETE CASCADE,
    place       INTEGER NOT NULL,
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    PRIMARY KEY (venue_id, place),
    UNIQUE (venue_id, name_folded)
) STRICT, WITHOUT ROWID;

CREATE TABLE teams (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id    INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    code        TEXT,
    code_folded TEXT,
    group_name  TEXT,
    UNIQUE (event_id, name_folded),
    UNIQUE (event_id, code_folded)
) STRICT;
CREATE INDEX teams_by_group ON teams (event_id, group_name);

CREATE TABLE fixtures (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    phase        TEXT NOT NULL,
    group_name   TEXT,
    round        TEXT,
    home_team_id INTEGER REFERENCES teams (id),
    away_team_id INTEGER REFERENCES teams (id),
    home_slot    TEXT,
    away_slot    TEXT,
    start_at     INTEGER NOT NULL,
    venue_id     INTEGER REFERENCES venues (id),
    area         TEXT,
    status       TEXT NOT NULL,
    version      INTEGER NOT NULL,
    UNIQUE (event_id, number)
) STRICT;
CREATE INDEX fixtures_by_home ON fixtures (home_team_id);
CREATE INDEX fixtures_by_away ON fixtures (away_team_id);
CREATE INDEX fixtures_by_venue ON fixtures (venue_id);
CREATE INDEX fixtures_that_wait ON fixtures (event_id) WHERE home_slot IS NOT NULL OR away_slot IS NOT NULL;

CREATE TABLE results (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    fixture_id   INTEGER NOT NULL UNIQUE REFERENCES fixtures (id) ON DELETE CASCADE,
    -- All scores are null once the result is annulled.
    home_score   INTEGER,
    away_score   INTEGER,
    ft_home      INTEGER,
    ft_away      INTEGER,
    pen_home     INTEGER,
    pen_away     INTEGER,
    state        TEXT NOT NULL,
    minute       INTEGER,
    goals        TEXT NOT NULL,
    finalized_at INTEGER,
    verified_at  INTEGER,
    verified_by  INTEGER REFERENCES users (id),
    updated_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL
) STRICT;

-- Every version a result ever had, the current one included.
CREATE TABLE result_versions (
    result_id    INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    version      INTEGER NOT NULL,
    -- The result as it was sent.
    result       TEXT NOT NULL,
    command      TEXT NOT NULL,
    reason       TEXT,
    user_id      INTEGER,
    token_id     INTEGER,
    at           INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    PRIMARY KEY (result_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE announcements (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id       INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    title          TEXT NOT NULL,
    message        TEXT NOT NULL,
    kind           TEXT NOT NULL,
    priority       TEXT NOT NULL,
    is_public      INTEGER NOT NULL,
    author_id      INTEGER NOT NULL REFERENCES users (id),
    author_name    TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER,
    -- Why it left the screens; null while it is active.
    removed_reason TEXT,
    version        INTEGER NOT NULL,
    -- The log row that shows it as it is.
    last_pos       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX announcements_of_event ON announcements (event_id);
CREATE INDEX announcements_to_expire ON announcements (expires_at)
    WHERE removed_reason IS NULL AND expires_at IS NOT NULL;

-- Teams are no foreign keys: an announcement must not become everybody's when its team goes.
CREATE TABLE announcement_teams (
    announcement_id INTEGER NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
    team_id         INTEGER NOT NULL,
    PRIMARY KEY (announcement_id, team_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX announcement_teams_by_team ON announcement_teams (team_id);

-- The audience of active announcements: what is not here is neither shown nor replayed.
CREATE TABLE announcement_topics (
    announcement_id INTEGER NOT NULL REFERENCES announcements (id) ON DELETE CASCADE,
    topic           TEXT NOT NULL,
    PRIMARY KEY (topic, announcement_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX announcement_topics_by_announcement ON announcement_topics (announcement_id);

-- Emergencies and urgent announcements sent in the last minute of real time.
CREATE TABLE alarms (
    event_id INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    sent_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX alarms_of_event ON alarms (event_id, sent_at);

-- One row is one message, or one change without a message.
CREATE TABLE change_log (
    pos             INTEGER PRIMARY KEY AUTOINCREMENT,
    -- A message type, `changed` or `access`.
    type            TEXT NOT NULL,
    -- Final JSON of the message's `data`, or empty.
    data            TEXT NOT NULL,
    event_id        INTEGER,
    group_name      TEXT,
    -- Of announcement messages.
    announcement_id INTEGER,
    -- State lanes that must be read again, as JSON.
    refreshes       TEXT NOT NULL,
    -- The change of rights, as JSON, for type `access`.
    access          TEXT,
    -- Event time.
    at              INTEGER NOT NULL,
    -- Real time.
    committed_at    INTEGER NOT NULL,
    user_id         INTEGER,
    token_id        INTEGER,
    -- The command, and the first row of the same change.
    cause           TEXT NOT NULL,
    change_pos      INTEGER NOT NULL,
    -- What would undo the change, as JSON; null with rows that follow from another, and where
    -- nothing can.
    inverse         TEXT
) STRICT;
CREATE INDEX change_log_of_event ON change_log (event_id, pos);

-- Where a row is announced; `seq` is dense in each lane (topic, type).
CREATE TABLE change_topics (
    topic TEXT NOT NULL,
    pos   INTEGER NOT NULL,
    type  TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (topic, pos)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_topics_by_pos ON change_topics (pos);

CREATE TABLE lane_heads (
    topic TEXT NOT NULL,
    type  TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (topic, type)
) STRICT, WITHOUT ROWID;

-- The last row that touched a table of the standings; the group is empty for the one table of an
-- event without groups.
CREATE TABLE board_heads (
    event_id   INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    group_name TEXT NOT NULL,
    pos        INTEGER NOT NULL,
    PRIMARY KEY (event_id, group_name)
) STRICT, WITHOUT ROWID;

-- Effects of requests that carried a key. Never a body, never a secret.
CREATE TABLE idempotency (
    user_id      INTEGER NOT NULL,
    key          TEXT NOT NULL,
    -- SHA-256 of the canonical request.
    request      TEXT NOT NULL,
    resource     TEXT NOT NULL,
    resource_id  INTEGER NOT NULL,
    pos          INTEGER NOT NULL,
    version      INTEGER,
    status       INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (committed_at);
