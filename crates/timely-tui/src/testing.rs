//! The last evening of Group E as frames, and a dashboard that has heard them.

use std::time::{Duration, Instant};

use jiff::civil::date;
use serde_json::{Value, json};
use timely_client::live::{Message as LiveMessage, Transport};
use timely_core::event::{Count, Event, EventStatus, Visibility};
use timely_core::id::EventId;

use crate::Signs;
use crate::app::{App, Live, Message, Request};

/// Event time of the frames: between 70' and 73', when Costa Rica was through and Spain out.
pub(crate) const NOW: &str = "2022-12-01T20:28:13Z";

pub(crate) fn event() -> Event {
    Event {
        id: EventId(1),
        name: "World Cup 2022".into(),
        starts_on: date(2022, 11, 20),
        ends_on: date(2022, 12, 18),
        timezone: "Asia/Qatar".into(),
        visibility: Visibility::Public,
        status: EventStatus::Ongoing,
        rules: "fifa-world-cup-2022".into(),
        count: Count::Live,
    }
}

/// A dashboard and the time of its last message.
pub(crate) struct Desk {
    pub(crate) app: App,
    pub(crate) now: Instant,
}

impl Desk {
    /// One that has heard nothing yet.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { app: App::new(event(), true, Signs::Unicode, now), now }
    }

    /// One that has heard the whole evening.
    pub(crate) fn of_the_evening() -> Self {
        let mut desk = Self::new();
        desk.open(Transport::WebSocket);
        for frame in evening() {
            desk.hear(&frame);
        }
        desk
    }

    /// A connection stands.
    pub(crate) fn open(&mut self, transport: Transport) {
        self.update(Message::Live(Live::Open(transport)));
    }

    /// The connection is lost, or was not made again.
    pub(crate) fn lose(&mut self, cause: &str, failures: u32, retry_in: u64) {
        let retry_in = Duration::from_secs(retry_in);
        self.update(Message::Live(Live::Lost { cause: cause.into(), failures, retry_in }));
    }

    pub(crate) fn hear(&mut self, frame: &Value) -> Vec<Request> {
        let message = LiveMessage::parse(frame.to_string()).unwrap();
        self.update(Message::Live(Live::Said(Box::new(message))))
    }

    pub(crate) fn update(&mut self, message: Message) -> Vec<Request> {
        self.app.update(message, self.now)
    }

    /// Seconds pass without a word.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.update(Message::Tick);
    }

    pub(crate) fn press(&mut self, code: crossterm::event::KeyCode) -> Vec<Request> {
        self.update(Message::Key(code.into()))
    }
}

pub(crate) fn evening() -> Vec<Value> {
    vec![
        connected("e1"),
        subscribed("results", false),
        subscribed("schedule", false),
        subscribed("announcements", false),
        schedule(90),
        board(
            95,
            "E",
            &[
                row(1, 5, "Japan", [3, 2, 0, 1, 4, 3], 1),
                row(2, 3, "Costa Rica", [3, 2, 0, 1, 3, 8], 1),
                row(3, 6, "Spain", [3, 1, 1, 1, 9, 3], 1),
                row(4, 4, "Germany", [3, 0, 1, 2, 3, 5], 1),
            ],
        ),
        board(
            80,
            "F",
            &[
                row(1, 7, "Morocco", [3, 2, 1, 0, 4, 1], 0),
                row(2, 8, "Croatia", [3, 1, 2, 0, 4, 1], 0),
                row(3, 1, "Belgium", [3, 1, 1, 1, 1, 2], 0),
                row(4, 2, "Canada", [3, 0, 0, 3, 2, 7], 0),
            ],
        ),
        result(70, 42, (0, 0), "OFFICIAL", &[], "2022-12-01T17:01:00Z"),
        result(86, 44, (0, 1), "LIVE", &[(4, 10, "Serge Gnabry")], "2022-12-01T19:11:00Z"),
        result(87, 43, (0, 1), "LIVE", &[(6, 11, "Álvaro Morata")], "2022-12-01T19:12:00Z"),
        announcement(88, 1, "GENERAL", "NORMAL", "Tram 3 runs every 6 minutes", None),
        result(
            91,
            43,
            (2, 1),
            "LIVE",
            &[(6, 11, "Álvaro Morata"), (5, 48, "Ritsu Dōan"), (5, 51, "Ao Tanaka")],
            "2022-12-01T20:09:00Z",
        ),
        moved(92),
        announcement(93, 2, "GENERAL", "HIGH", "Gate 4 is closed", Some("2022-12-01T20:45:00Z")),
        result(94, 44, (1, 1), "LIVE", &[(4, 10, "Serge Gnabry"), (3, 58, "Yeltsin Tejeda")], "2022-12-01T20:16:00Z"),
        result(
            95,
            44,
            (2, 1),
            "LIVE",
            &[(4, 10, "Serge Gnabry"), (3, 58, "Yeltsin Tejeda"), (3, 70, "Juan Pablo Vargas")],
            "2022-12-01T20:28:00Z",
        ),
        live(95),
        status(NOW, 60.0),
    ]
}

pub(crate) fn connected(epoch: &str) -> Value {
    json!({"type": "connected", "event_id": 1, "message": "Connected to event updates",
        "topics": ["results", "schedule", "announcements"], "epoch": epoch, "cursor": format!("{epoch}.95"),
        "timestamp": NOW})
}

pub(crate) fn subscribed(stream: &str, recovered: bool) -> Value {
    let reason = if recovered { Value::Null } else { json!("fresh") };
    json!({"type": "subscribed", "stream": stream, "epoch": "e1", "cursor": "e1.95", "recovered": recovered,
        "reason": reason})
}

pub(crate) fn live(pos: u64) -> Value {
    json!({"type": "live", "topics": ["event_1_results", "event_1_schedule", "event_1_announcements"],
        "cursor": format!("e1.{pos}")})
}

pub(crate) fn status(server_time: &str, clock_rate: f64) -> Value {
    json!({"type": "status", "pos": 95, "server_time": server_time, "clock_rate": clock_rate})
}

pub(crate) fn frame(kind: &str, topic: &str, pos: u64, at: &str, data: &Value) -> Value {
    json!({"type": kind, "data": data, "timestamp": at, "topic": topic, "seq": pos, "pos": pos})
}

pub(crate) fn board(pos: u64, group: &str, rows: &[Value]) -> Value {
    let data = json!({"event_id": 1, "group": group, "leaderboard": rows, "timestamp": NOW});
    frame("leaderboard_update", "event_1_results", pos, NOW, &data)
}

/// Played, won, drawn, lost, for, against; how many of them are being played.
pub(crate) fn row(position: u32, team: i64, name: &str, [p, w, d, l, gf, ga]: [i64; 6], live: u32) -> Value {
    let decided_by = if position == 1 { Value::Null } else { json!("goal difference") };
    json!({"position": position, "team_id": team, "team_name": name, "points": 3 * w + d, "played": p, "won": w,
        "drawn": d, "lost": l, "gf": gf, "ga": ga, "gd": gf - ga, "live": live, "provisional": 0,
        "decided_by": decided_by, "shared": false})
}

/// Number, home side, away side, kick-off, place, state of play, group.
type Item = (
    u32,
    (i64, &'static str, &'static str),
    (i64, &'static str, &'static str),
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const ITEMS: &[Item] = &[
    (
        42,
        (8, "Croatia", "CRO"),
        (1, "Belgium", "BEL"),
        "2022-12-01T15:00:00Z",
        "Ahmad bin Ali Stadium",
        "FINISHED",
        "F",
    ),
    (
        43,
        (5, "Japan", "JPN"),
        (6, "Spain", "ESP"),
        "2022-12-01T19:00:00Z",
        "Khalifa International Stadium",
        "LIVE",
        "E",
    ),
    (44, (3, "Costa Rica", "CRC"), (4, "Germany", "GER"), "2022-12-01T19:00:00Z", "Al Bayt Stadium", "LIVE", "E"),
    (45, (9, "Ghana", "GHA"), (10, "Uruguay", "URU"), "2022-12-02T15:00:00Z", "Al Janoub Stadium", "SCHEDULED", "H"),
    (
        46,
        (11, "South Korea", "KOR"),
        (12, "Portugal", "POR"),
        "2022-12-02T15:00:00Z",
        "Education City Stadium",
        "SCHEDULED",
        "H",
    ),
    (
        47,
        (13, "Cameroon", "CMR"),
        (14, "Brazil", "BRA"),
        "2022-12-02T18:45:00Z",
        "Lusail Iconic Stadium",
        "SCHEDULED",
        "G",
    ),
];

fn item(pos: i64, (number, home, away, start_at, venue, status, group): Item) -> Value {
    let team = |(id, name, code): (i64, &str, &str)| json!({"id": id, "name": name, "code": code});
    json!({"fixture_id": number, "number": number, "home_team": team(home), "away_team": team(away),
        "home_slot": null, "away_slot": null, "start_at": start_at, "venue": {"id": 1, "name": venue}, "area": null,
        "status": status, "round": "Matchday 3", "phase": "RR", "group": group, "version": pos})
}

/// The whole schedule, with a knockout fixture whose sides are open.
pub(crate) fn schedule(pos: u64) -> Value {
    let mut items: Vec<Value> = ITEMS.iter().map(|of| item(1, *of)).collect();
    items.push(json!({"fixture_id": 54, "number": 54, "home_team": {"id": null, "name": "TBD"},
        "away_team": {"id": null, "name": "TBD"}, "home_slot": "1st of E", "away_slot": "2nd of F",
        "start_at": "2022-12-05T15:00:00Z", "venue": {"id": 1, "name": "Al Janoub Stadium"}, "area": null,
        "status": "SCHEDULED", "round": "Round of 16", "phase": "KO", "group": null, "version": 1}));
    let data = json!({"event_id": 1, "schedule": items, "timestamp": NOW});
    frame("schedule_update", "event_1_schedule", pos, NOW, &data)
}

/// Fixture 47 as it is after this update.
pub(crate) fn fixture_47(pos: u64, start_at: &'static str, status: &'static str) -> Value {
    let (number, home, away, _, venue, _, group) = ITEMS[5];
    let mut data = item(2, (number, home, away, start_at, venue, status, group));
    data["event_id"] = json!(1);
    data["timestamp"] = json!(NOW);
    frame("fixture_update", "event_1_schedule", pos, "2022-12-01T20:12:00Z", &data)
}

fn moved(pos: u64) -> Value {
    fixture_47(pos, "2022-12-02T19:00:00Z", "SCHEDULED")
}

pub(crate) fn result(
    pos: u64,
    fixture: i64,
    (home, away): (u16, u16),
    state: &str,
    goals: &[(i64, u16, &str)],
    at: &str,
) -> Value {
    let minute = goals.iter().map(|(_, minute, _)| *minute).max();
    let goals: Vec<Value> = goals
        .iter()
        .map(|(team, minute, player)| json!({"team_id": team, "minute": minute, "player": player}))
        .collect();
    let (_, (home_id, ..), (away_id, ..), ..) = ITEMS.iter().find(|item| i64::from(item.0) == fixture).unwrap();
    let data = json!({"event_id": 1, "timestamp": at, "result": {"result_id": fixture, "fixture_id": fixture,
        "number": fixture, "home_team_id": home_id, "away_team_id": away_id, "home_score": home, "away_score": away,
        "ft_home": null, "ft_away": null, "pen_home": null, "pen_away": null, "winner_id": null,
        "is_draw": home == away, "state": state, "minute": minute, "goals": goals,
        "group": if fixture == 42 { "F" } else { "E" }, "finalized_at": null, "verified_at": null, "created": false,
        "updated_at": at, "version": pos}});
    frame("result_update", "event_1_results", pos, at, &data)
}

pub(crate) fn announcement(
    pos: u64,
    id: i64,
    kind: &str,
    priority: &str,
    title: &str,
    expires_at: Option<&str>,
) -> Value {
    let at = "2022-12-01T19:30:00Z";
    let data = json!({"event_id": 1, "timestamp": at, "announcement": {"id": id, "title": title,
        "message": "Please use Gate 6", "type": kind, "priority": priority, "is_public": true, "team_ids": [],
        "created_by": {"id": 1, "name": "Safety desk"}, "created_at": at, "expires_at": expires_at, "version": 1}});
    frame("announcement_update", "event_1_announcements", pos, at, &data)
}

pub(crate) fn removed(pos: u64, id: i64, reason: &str) -> Value {
    let data = json!({"event_id": 1, "timestamp": NOW, "announcement": {"id": id, "reason": reason}});
    frame("announcement_removed", "event_1_announcements", pos, NOW, &data)
}
