//! Everything the dashboard knows, and how each message changes it. No I/O, no clock: time comes in
//! as the duration since the start.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use timely_client::live::{Said, Update};
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::event::Event;
use timely_core::fixture::{FixtureStatus, ScheduleItem};
use timely_core::id::{AnnouncementId, FixtureId};
use timely_core::live::{Control, RemovedAnnouncement};
use timely_core::result::{FixtureResult, ResultState};
use timely_core::standings::Row;
use timely_core::topic::MessageType;

use crate::keys::Intent;

/// Without a word from the server for so long, what is shown is stale. It speaks every 5 s.
pub const STALE_AFTER: Duration = Duration::from_secs(12);
/// Lines kept of what happened last.
const LATEST_LINES_MAX: usize = 64;

/// Everything that can happen.
#[derive(Debug)]
pub enum Message {
    Live(Update),
    Intent(Intent),
    Tick,
}

/// The connection, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Connecting,
    Live,
    Reconnecting { failures: u32, retry_at: Duration },
}

/// Event time, from the server's last word.
#[derive(Clone, Copy, Debug)]
struct ServerClock {
    time: Timestamp,
    rate: f64,
    heard: Duration,
}

/// The state of the dashboard.
#[derive(Debug)]
pub struct App {
    pub event: Event,
    /// Boards by group; the one of an event without groups under the empty name.
    pub boards: BTreeMap<String, Vec<Row>>,
    pub fixtures: BTreeMap<FixtureId, ScheduleItem>,
    pub results: BTreeMap<FixtureId, FixtureResult>,
    announcements: BTreeMap<AnnouncementId, Announcement>,
    /// Newest first.
    pub latest: VecDeque<(Timestamp, String)>,
    pub link: Link,
    /// The group the person chose; `None` follows the one that is played.
    chosen: Option<String>,
    peeks: bool,
    clock: Option<ServerClock>,
    heard: Option<Duration>,
    now: Duration,
    is_over: bool,
}

#[derive(Deserialize)]
struct Envelope<D> {
    data: D,
}

#[derive(Deserialize)]
struct BoardData {
    group: Option<String>,
    leaderboard: Vec<Row>,
}

#[derive(Deserialize)]
struct ScheduleData {
    schedule: Vec<ScheduleItem>,
}

#[derive(Deserialize)]
struct ResultData {
    result: FixtureResult,
}

#[derive(Deserialize)]
struct AnnouncementData<A> {
    announcement: A,
}

#[derive(Deserialize)]
struct EventData {
    event: Event,
}

impl App {
    pub fn new(event: Event) -> Self {
        Self {
            event,
            boards: BTreeMap::new(),
            fixtures: BTreeMap::new(),
            results: BTreeMap::new(),
            announcements: BTreeMap::new(),
            latest: VecDeque::new(),
            link: Link::Connecting,
            chosen: None,
            peeks: false,
            clock: None,
            heard: None,
            now: Duration::ZERO,
            is_over: false,
        }
    }

    /// Takes in what happened at `now`.
    pub fn update(&mut self, message: Message, now: Duration) {
        self.now = now;
        match message {
            Message::Tick => {}
            Message::Intent(intent) => self.obey(intent),
            Message::Live(Update::Lost { failures, retry_in, .. }) => {
                self.link = Link::Reconnecting { failures, retry_at: now + retry_in };
            }
            Message::Live(Update::Message(message)) => {
                self.heard = Some(now);
                match message.said {
                    Said::Control(control) => self.control(&control),
                    Said::Data(header) => {
                        // A message of a newer server that does not read is left out, not fatal.
                        if self.data(header.kind, header.replay, header.timestamp, &message.text).is_err() {
                            self.tell(header.timestamp, format!("a {} could not be read", header.kind));
                        }
                    }
                    Said::Unknown => {}
                }
            }
        }
    }

    /// Whether the person has left.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    fn obey(&mut self, intent: Intent) {
        match intent {
            Intent::Quit => self.is_over = true,
            Intent::Peek => self.peeks = !self.peeks,
            Intent::Retry => {}
            Intent::FollowLive => self.chosen = None,
            Intent::NextGroup | Intent::PreviousGroup => {
                let groups: Vec<&String> = self.boards.keys().collect();
                let at = groups.iter().position(|group| Some(group.as_str()) == self.group()).unwrap_or(0);
                let step = if intent == Intent::NextGroup { 1 } else { groups.len().saturating_sub(1) };
                self.chosen = groups.get((at + step) % groups.len().max(1)).map(|group| (*group).clone());
            }
        }
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::Live { .. } => self.link = Link::Live,
            Control::Status { server_time, clock_rate, .. } => {
                self.link = Link::Live;
                self.clock = Some(ServerClock { time: *server_time, rate: *clock_rate, heard: self.now });
            }
            _ => {}
        }
    }

    fn data(&mut self, kind: MessageType, replay: bool, at: Timestamp, text: &str) -> Result<(), serde_json::Error> {
        match kind {
            MessageType::LeaderboardUpdate => {
                let BoardData { group, leaderboard } = read(text)?;
                self.boards.insert(group.unwrap_or_default(), leaderboard);
            }
            MessageType::ScheduleUpdate => {
                let ScheduleData { schedule } = read(text)?;
                self.fixtures = schedule.into_iter().map(|item| (item.fixture_id, item)).collect();
            }
            MessageType::FixtureUpdate => {
                let item: ScheduleItem = read(text)?;
                if !replay {
                    self.tell_fixture(&item, at);
                }
                self.fixtures.insert(item.fixture_id, item);
            }
            MessageType::ResultUpdate => {
                let ResultData { result } = read(text)?;
                let known = self.results.get(&result.fixture_id);
                if known.is_none_or(|known| known.version < result.version) {
                    self.tell_result(&result, at);
                    self.results.insert(result.fixture_id, result);
                }
            }
            MessageType::AnnouncementUpdate => {
                let AnnouncementData::<Announcement> { announcement } = read(text)?;
                self.tell(at, format!("INFO {}", announcement.title));
                self.announcements.insert(announcement.id, announcement);
            }
            MessageType::AnnouncementRemoved => {
                let AnnouncementData::<RemovedAnnouncement> { announcement } = read(text)?;
                self.announcements.remove(&announcement.id);
            }
            MessageType::EventUpdate => {
                let EventData { event } = read(text)?;
                self.event = event;
            }
            MessageType::TeamUpdate => {}
        }
        Ok(())
    }

    fn tell(&mut self, at: Timestamp, line: String) {
        self.latest.push_front((at, line));
        self.latest.truncate(LATEST_LINES_MAX);
    }

    fn tell_result(&mut self, result: &FixtureResult, at: Timestamp) {
        let Some(fixture) = self.fixtures.get(&result.fixture_id) else { return };
        let Some(score) = result.score() else {
            let line = format!("ANNULLED {} v {}", side(&fixture.home_team), side(&fixture.away_team));
            return self.tell(at, line);
        };
        let what = match (result.state, result.minute) {
            (ResultState::Live, Some(minute)) => format!("{minute}'"),
            (ResultState::Live, None) => "LIVE".to_owned(),
            (ResultState::Official, _) => "OFFICIAL".to_owned(),
            _ => "FT".to_owned(),
        };
        let line = format!("{what} {} {score} {}", side(&fixture.home_team), side(&fixture.away_team));
        self.tell(at, line);
    }

    fn tell_fixture(&mut self, item: &ScheduleItem, at: Timestamp) {
        let moved = self.fixtures.get(&item.fixture_id).is_some_and(|known| known.start_at != item.start_at);
        let sides = format!("{} v {}", side(&item.home_team), side(&item.away_team));
        if moved {
            let start = item.start_at.to_zoned(self.zone()).strftime("%a %H:%M").to_string();
            self.tell(at, format!("MOVED #{} {sides} to {start}", item.number));
        } else if matches!(item.status, FixtureStatus::Cancelled | FixtureStatus::Postponed | FixtureStatus::Abandoned)
        {
            self.tell(at, format!("{} #{} {sides}", item.status, item.number));
        }
    }

    /// The zone in which times are shown: the venue's, as the event has it.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.event.timezone).unwrap_or(TimeZone::UTC)
    }

    /// Event time now; it stands still while the screen is stale.
    pub fn event_time(&self) -> Option<Timestamp> {
        let clock = self.clock?;
        let since = (self.now.saturating_sub(clock.heard)).min(STALE_AFTER).as_secs_f64() * clock.rate;
        clock.time.checked_add(SignedDuration::try_from_secs_f64(since).ok()?).ok()
    }

    /// How much faster than real time the event runs, if it does.
    pub fn demo_rate(&self) -> Option<f64> {
        self.clock.map(|clock| clock.rate).filter(|rate| (rate - 1.0).abs() > f64::EPSILON)
    }

    /// Time since the server's last word; `None` before the first.
    pub fn age(&self) -> Option<Duration> {
        self.heard.map(|heard| self.now.saturating_sub(heard))
    }

    /// Whether the state shown may no longer be true.
    pub fn is_stale(&self) -> bool {
        self.age().is_none_or(|age| age >= STALE_AFTER)
    }

    /// Time left until the next try to connect.
    pub fn retry_in(&self) -> Option<Duration> {
        match self.link {
            Link::Reconnecting { retry_at, .. } => Some(retry_at.saturating_sub(self.now)),
            Link::Connecting | Link::Live => None,
        }
    }

    /// The group shown: the chosen one, else the first that is being played, else the first.
    pub fn group(&self) -> Option<&str> {
        if let Some(chosen) = &self.chosen
            && self.boards.contains_key(chosen)
        {
            return Some(chosen);
        }
        let playing =
            self.playing().filter_map(|item| item.group.as_deref()).find(|group| self.boards.contains_key(*group));
        playing.or_else(|| self.boards.keys().next().map(String::as_str))
    }

    /// Fixtures that are being played, by number.
    pub fn playing(&self) -> impl Iterator<Item = &ScheduleItem> {
        let mut playing: Vec<_> = self
            .fixtures
            .values()
            .filter(|item| matches!(item.status, FixtureStatus::Live | FixtureStatus::Paused))
            .collect();
        playing.sort_by_key(|item| item.number);
        playing.into_iter()
    }

    /// Fixtures to come, in order of time.
    pub fn coming(&self) -> impl Iterator<Item = &ScheduleItem> {
        let mut coming: Vec<_> =
            self.fixtures.values().filter(|item| item.status == FixtureStatus::Scheduled).collect();
        coming.sort_by_key(|item| (item.start_at, item.number));
        coming.into_iter()
    }

    /// Active announcements, loudest and newest first.
    pub fn announcements(&self) -> Vec<&Announcement> {
        let now = self.event_time();
        let mut active: Vec<_> = self
            .announcements
            .values()
            .filter(|announcement| match (announcement.expires_at, now) {
                (Some(expires_at), Some(now)) => expires_at > now,
                _ => true,
            })
            .collect();
        active.sort_by(|a, b| a.priority.cmp(&b.priority).then(b.created_at.cmp(&a.created_at)));
        active
    }

    /// The announcement that must not be missed.
    pub fn banner(&self) -> Option<&Announcement> {
        self.announcements()
            .into_iter()
            .find(|announcement| matches!(announcement.priority, Priority::Urgent | Priority::High))
    }

    /// The emergency that takes over the screen, unless the person looks behind it.
    pub fn emergency(&self) -> Option<&Announcement> {
        if self.peeks {
            return None;
        }
        self.announcements().into_iter().find(|announcement| announcement.kind == AnnouncementType::Emergency)
    }
}

fn read<D: DeserializeOwned>(text: &str) -> Result<D, serde_json::Error> {
    serde_json::from_str::<Envelope<D>>(text).map(|envelope| envelope.data)
}

/// The short name of a side.
pub fn side(team: &timely_core::fixture::TeamLabel) -> &str {
    team.code.as_deref().unwrap_or(&team.name)
}

#[cfg(test)]
pub(crate) mod tests {
    use timely_client::live::Message as Heard;

    use super::*;

    /// Takes in a message as it comes over the wire, one second after the last.
    pub(crate) fn hear(app: &mut App, text: &str) {
        let message = Heard::parse(text.to_owned()).unwrap_or_else(|error| panic!("{error}: {text}"));
        app.update(Message::Live(Update::Message(message)), app.now + Duration::from_secs(1));
    }

    pub(crate) fn announcement(id: i64, kind: &str, priority: &str, title: &str) -> String {
        format!(
            r#"{{"type":"announcement_update","data":{{"event_id":1,"announcement":{{"id":{id},"title":"{title}","message":"","type":"{kind}","priority":"{priority}","is_public":true,"team_ids":[],"created_by":{{"id":1,"name":"Owner"}},"created_at":"2022-12-01T20:00:00Z","expires_at":null,"version":1}},"timestamp":"2022-12-01T20:00:00Z"}},"timestamp":"2022-12-01T20:00:00Z","topic":"event_1_announcements","seq":{id},"pos":{id}}}"#
        )
    }

    fn board(rows: &[(u32, &str, [u32; 6], i64)]) -> String {
        let rows: Vec<_> = rows
            .iter()
            .map(|(position, name, [played, won, drawn, lost, gf, ga], points)| {
                let gd = i64::from(*gf) - i64::from(*ga);
                format!(
                    r#"{{"position":{position},"team_id":{position},"team_name":"{name}","points":{points},"played":{played},"won":{won},"drawn":{drawn},"lost":{lost},"gf":{gf},"ga":{ga},"gd":{gd},"live":1,"provisional":0,"decided_by":null,"shared":false}}"#
                )
            })
            .collect();
        format!(
            r#"{{"type":"leaderboard_update","data":{{"event_id":1,"group":"E","leaderboard":[{}],"timestamp":"2022-12-01T20:00:00Z"}},"timestamp":"2022-12-01T20:00:00Z","topic":"event_1_results","seq":5,"pos":5}}"#,
            rows.join(",")
        )
    }

    fn item(number: u32, home: &str, away: &str, start_at: &str, status: &str, group: &str) -> String {
        let team = |code: &str| match code {
            "" => r#"{"id":null,"name":"TBD"}"#.to_owned(),
            code => format!(r#"{{"id":{number}1,"name":"{code} long name","code":"{code}"}}"#),
        };
        let slot = if home.is_empty() { r#""1st of E""# } else { "null" };
        let (home, away) = (team(home), team(away));
        format!(
            r#"{{"fixture_id":{number},"number":{number},"home_team":{home},"away_team":{away},"home_slot":{slot},"away_slot":{slot},"start_at":"{start_at}","venue":{{"id":1,"name":"Al Bayt Stadium"}},"area":null,"status":"{status}","round":"Matchday 12","phase":"RR","group":"{group}","version":1}}"#
        )
    }

    fn result(fixture: u32, home: u16, away: u16, minute: u16, version: i64) -> String {
        format!(
            r#"{{"type":"result_update","data":{{"event_id":1,"result":{{"result_id":{fixture},"fixture_id":{fixture},"number":{fixture},"home_team_id":1,"away_team_id":2,"home_score":{home},"away_score":{away},"ft_home":null,"ft_away":null,"pen_home":null,"pen_away":null,"winner_id":null,"is_draw":false,"state":"LIVE","minute":{minute},"goals":[],"group":"E","finalized_at":null,"verified_at":null,"created":false,"updated_at":"2022-12-01T20:28:00Z","version":{version}}},"timestamp":"2022-12-01T20:28:00Z"}},"timestamp":"2022-12-01T20:28:00Z","topic":"event_1_results","seq":{version},"pos":{version}}}"#
        )
    }

    const STATUS: &str = r#"{"type":"status","pos":9,"server_time":"2022-12-01T20:28:00Z","clock_rate":60.0}"#;

    /// Between 70' and 73' of the last evening of Group E.
    pub(crate) fn evening() -> App {
        let mut app = empty();
        hear_evening(&mut app);
        app
    }

    /// Before the first message.
    pub(crate) fn empty() -> App {
        let event: Event = serde_json::from_str(
            r#"{"id":1,"name":"World Cup 2022","starts_on":"2022-11-20","ends_on":"2022-12-18","timezone":"Asia/Qatar","visibility":"PUBLIC","status":"UPCOMING","rules":"fifa-world-cup-2022","count":"LIVE"}"#,
        )
        .unwrap();
        App::new(event)
    }

    fn hear_evening(app: &mut App) {
        hear(
            &mut app,
            &board(&[
                (1, "Japan", [3, 2, 0, 1, 4, 3], 6),
                (2, "Costa Rica", [3, 2, 0, 1, 3, 8], 6),
                (3, "Spain", [3, 1, 1, 1, 9, 3], 4),
                (4, "Germany", [3, 0, 1, 2, 3, 5], 1),
            ]),
        );
        let schedule = [
            item(43, "CRC", "GER", "2022-12-01T19:00:00Z", "LIVE", "E"),
            item(44, "JPN", "ESP", "2022-12-01T19:00:00Z", "PAUSED", "E"),
            item(47, "KOR", "POR", "2022-12-02T15:00:00Z", "SCHEDULED", "H"),
            item(53, "", "", "2022-12-05T15:00:00Z", "SCHEDULED", "E"),
        ];
        hear(
            &mut app,
            &format!(
                r#"{{"type":"schedule_update","data":{{"event_id":1,"schedule":[{}],"timestamp":"2022-12-01T20:00:00Z"}},"timestamp":"2022-12-01T20:00:00Z","topic":"event_1_schedule","seq":5,"pos":5}}"#,
                schedule.join(",")
            ),
        );
        hear(app, &result(43, 2, 1, 70, 3));
        hear(app, &result(44, 2, 1, 51, 4));
        hear(app, &announcement(1, "GENERAL", "HIGH", "Gate 4 is closed"));
        hear(app, STATUS);
    }

    #[test]
    fn the_badge_says_live_only_while_the_server_speaks() {
        let mut app = empty();
        assert!(app.is_stale() && app.link == Link::Connecting, "nothing heard yet");
        hear(&mut app, STATUS);
        assert!(!app.is_stale() && app.link == Link::Live);
        let heard = app.now;
        app.update(Message::Tick, heard + Duration::from_secs(11));
        assert!(!app.is_stale());
        app.update(Message::Tick, heard + Duration::from_secs(12));
        assert!(app.is_stale(), "twelve seconds without a word");
        let lost = Update::Lost { cause: "cut".into(), failures: 3, retry_in: Duration::from_secs(5) };
        app.update(Message::Live(lost), heard + Duration::from_secs(13));
        app.update(Message::Tick, heard + Duration::from_secs(15));
        assert_eq!(app.retry_in(), Some(Duration::from_secs(3)));
        hear(&mut app, STATUS);
        assert!(!app.is_stale() && app.link == Link::Live);
    }

    #[test]
    fn a_match_clock_runs_with_the_event_and_stops_when_it_is_stale() {
        let mut app = empty();
        hear(&mut app, STATUS);
        let (heard, start) = (app.now, app.event_time().unwrap());
        app.update(Message::Tick, heard + Duration::from_secs(2));
        assert_eq!(app.event_time().unwrap().duration_since(start).as_secs(), 120, "sixty times as fast");
        app.update(Message::Tick, heard + Duration::from_secs(60));
        assert_eq!(app.event_time().unwrap().duration_since(start).as_secs(), 720, "no further than was heard");
    }

    #[test]
    fn an_older_result_never_replaces_a_newer_one_and_none_is_told_twice() {
        let mut app = evening();
        let told = app.latest.len();
        hear(&mut app, &result(43, 1, 1, 58, 2));
        hear(&mut app, &result(43, 2, 1, 70, 3));
        assert_eq!(app.results[&FixtureId(43)].home_score, Some(2));
        assert_eq!(app.latest.len(), told);
        hear(&mut app, &result(43, 2, 2, 73, 5));
        assert_eq!(app.latest[0].1, "73' CRC 2-2 GER");
    }

    #[test]
    fn arrows_choose_a_group_and_f_follows_the_one_that_is_played() {
        let mut app = evening();
        let other = board(&[(1, "Reds", [0; 6], 0)]).replace(r#""group":"E""#, r#""group":"A""#);
        hear(&mut app, &other);
        assert_eq!(app.group(), Some("E"), "it is being played");
        for (intent, group) in [
            (Intent::NextGroup, "A"),
            (Intent::NextGroup, "E"),
            (Intent::PreviousGroup, "A"),
            (Intent::FollowLive, "E"),
        ] {
            app.update(Message::Intent(intent), app.now);
            assert_eq!(app.group(), Some(group), "{intent:?}");
        }
        app.update(Message::Intent(Intent::Quit), app.now);
        assert!(app.is_over());
    }
}
