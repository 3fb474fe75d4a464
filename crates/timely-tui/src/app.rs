//! What the dashboard knows, and how each message changes it.
//!
//! [`App::update`] is the only place that changes anything, and it is pure: time comes in, requests
//! go out. Every frame can come again, in a replay or a snapshot, so everything is kept by the
//! position that last told it: boards by `seq`, fixtures and announcements by `pos`, results by
//! version. Reading keys, sockets and drawing are left to others.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use timely_client::live::{Header, Message as LiveMessage, Said, Transport};
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::cursor::Epoch;
use timely_core::event::Event;
use timely_core::fixture::{FixtureStatus, ScheduleItem};
use timely_core::id::{AnnouncementId, FixtureId, TeamId};
use timely_core::live::{Control, Data, DataMessage};
use timely_core::result::{FixtureResult, ResultState, Score};
use timely_core::standings::Row;
use timely_core::topic::{Stream, Topic};

use crate::Signs;
use crate::keys::{self, Action};
use crate::link::Link;
use crate::news::{Entry, News, Turn, What};

/// Announcements that are remembered, those that have left the screens included: a copy that comes
/// late must not bring one back.
const ANNOUNCEMENTS_MAX: usize = 1_000;
/// How long one of several announcements stands in the banner.
const BANNER_TURN: Duration = Duration::from_secs(8);
/// How long an urgent announcement takes half the screen after it was heard.
const URGENT_TURN: Duration = Duration::from_secs(20);
/// How long a row of a table stands out after it changed.
const CHANGED_TURN: Duration = Duration::from_secs(30);
/// How long it is said that the screen is back online.
const BACK_ONLINE_TURN: Duration = Duration::from_secs(5);
/// What comes so soon after a silence was held up by it.
const HELD_UP: Duration = Duration::from_secs(1);

/// Everything that can happen to the dashboard.
#[derive(Debug)]
pub(crate) enum Message {
    Key(KeyEvent),
    Live(Live),
    Loaded(Loaded),
    /// A second has passed.
    Tick,
    /// The terminal has another size; drawing finds out which.
    Resize,
}

/// News of the stream.
#[derive(Debug)]
pub(crate) enum Live {
    /// A connection stands; nothing was heard over it yet.
    Open(Transport),
    Said(Box<LiveMessage>),
    RoundTrip(Duration),
    Lost {
        cause: String,
        failures: u32,
        retry_in: Duration,
    },
    /// The server does not want this viewer, for good.
    Ended {
        reason: String,
    },
}

/// An answer to [`Request::Load`].
#[derive(Debug)]
pub(crate) enum Loaded {
    Opening { epoch: Epoch, is_demo: bool, results: Vec<FixtureResult> },
    Failed { epoch: Epoch, cause: String },
}

/// What the dashboard wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Read what the opening of the stream leaves out: every result (it has the newest 20), and
    /// whether the server is a demo.
    Load {
        epoch: Epoch,
    },
    /// Try the connection now.
    Reconnect,
    /// Make people look up.
    Bell,
    /// Draw everything again: something else wrote on the terminal.
    Redraw,
    Quit,
}

/// The group of a board; `None` for the one table of an event without groups.
pub(crate) type Group = Option<String>;

/// A table, and the `seq` of the frame that brought it.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    seq: u64,
    pub(crate) rows: Vec<Row>,
    /// When the points or the position of a team changed last.
    changed: HashMap<TeamId, Instant>,
}

impl Board {
    /// Rows that were there before and read otherwise now have changed at `now`.
    fn after(before: Option<&Self>, seq: u64, rows: Vec<Row>, now: Instant) -> Self {
        let mut changed = HashMap::new();
        if let Some(before) = before {
            changed.clone_from(&before.changed);
            for row in &rows {
                let was = before.rows.iter().find(|was| was.team_id == row.team_id);
                if was.is_some_and(|was| (was.position, was.points) != (row.position, row.points)) {
                    changed.insert(row.team_id, now);
                }
            }
        }
        Self { seq, rows, changed }
    }

    /// Whether the row of a team should stand out.
    pub(crate) fn has_just_changed(&self, team: TeamId, now: Instant) -> bool {
        self.changed.get(&team).is_some_and(|at| now.saturating_duration_since(*at) < CHANGED_TURN)
    }
}

/// What has come since the screen heard from the server again.
#[derive(Clone, Debug)]
struct CatchUp {
    /// Without a new connection there is no `live` that ends it: what was held up comes at once.
    until: Option<Instant>,
    /// False once the server said that something may be missing.
    is_recovered: bool,
    changes: u32,
}

/// Said for a while after the screen was offline.
#[derive(Clone, Debug)]
struct BackOnline {
    words: String,
    until: Instant,
}

/// A part of the screen, by the number in its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pane {
    Standings,
    Live,
    Next,
    Latest,
}

impl Pane {
    pub(crate) const ALL: [Self; 4] = [Self::Standings, Self::Live, Self::Next, Self::Latest];
}

#[derive(Clone, Debug)]
struct KnownFixture {
    pos: u64,
    item: ScheduleItem,
}

#[derive(Clone, Debug)]
struct KnownAnnouncement {
    pos: u64,
    /// When this screen heard of it.
    heard: Instant,
    /// `None` once it has left the screens.
    announcement: Option<Announcement>,
    /// False from the start of a snapshot until it is told again: what a snapshot does not tell has
    /// left the screens meanwhile.
    is_confirmed: bool,
}

/// Which table is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// The one that is being played.
    Automatic,
    Chosen(Group),
}

/// How far the first read of what the stream leaves out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Wanted,
    Asked,
    Done,
}

/// The state of the dashboard.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) event: Event,
    pub(crate) zone: TimeZone,
    pub(crate) link: Link,
    pub(crate) is_demo: bool,
    pub(crate) colour: bool,
    pub(crate) signs: Signs,
    /// The pane that is in front where not all of them fit.
    pub(crate) front: Pane,
    /// When the last message came; drawing knows no other time.
    pub(crate) now: Instant,
    pub(crate) news: News,
    /// Something that went wrong and has not been put right.
    pub(crate) notice: Option<String>,
    catch_up: Option<CatchUp>,
    back_online: Option<BackOnline>,
    started: Instant,
    event_seq: u64,
    epoch: Option<Epoch>,
    boards: BTreeMap<Group, Board>,
    schedule_seq: u64,
    fixtures: BTreeMap<FixtureId, KnownFixture>,
    results: BTreeMap<FixtureId, FixtureResult>,
    announcements: BTreeMap<AnnouncementId, KnownAnnouncement>,
    load: Load,
    choice: Choice,
    /// Emergencies up to this `pos` have been looked behind.
    behind: u64,
}

impl App {
    /// A dashboard that has heard nothing yet.
    pub(crate) fn new(event: Event, colour: bool, signs: Signs, now: Instant) -> Self {
        Self {
            zone: zone(&event),
            event,
            link: Link::new(),
            is_demo: false,
            colour,
            signs,
            front: Pane::Live,
            now,
            news: News::default(),
            notice: None,
            catch_up: None,
            back_online: None,
            started: now,
            event_seq: 0,
            epoch: None,
            boards: BTreeMap::new(),
            schedule_seq: 0,
            fixtures: BTreeMap::new(),
            results: BTreeMap::new(),
            announcements: BTreeMap::new(),
            load: Load::Wanted,
            choice: Choice::Automatic,
            behind: 0,
        }
    }

    /// Takes in a message that came at `now`; answers what is to be done about it.
    pub(crate) fn update(&mut self, message: Message, now: Instant) -> Vec<Request> {
        self.now = now;
        match message {
            Message::Key(key) => self.key(&key).into_iter().collect(),
            Message::Live(Live::Open(transport)) => {
                if self.link.was_heard() {
                    self.catch_up = Some(CatchUp { until: None, is_recovered: true, changes: 0 });
                    self.back_online = None;
                }
                self.link.open(transport);
                Vec::new()
            }
            Message::Live(Live::Said(message)) => self.said(&message),
            Message::Live(Live::RoundTrip(took)) => {
                self.link.measured(took);
                Vec::new()
            }
            Message::Live(Live::Lost { cause, failures, retry_in }) => {
                self.catch_up = None;
                self.back_online = None;
                self.link.lose(cause, failures, now + retry_in);
                Vec::new()
            }
            Message::Live(Live::Ended { reason }) => {
                self.link.end(reason);
                Vec::new()
            }
            Message::Loaded(loaded) => {
                self.loaded(loaded);
                Vec::new()
            }
            Message::Tick | Message::Resize => Vec::new(),
        }
    }

    fn key(&mut self, key: &KeyEvent) -> Option<Request> {
        match keys::action(key)? {
            Action::NextGroup => self.step_group(1),
            Action::PreviousGroup => self.step_group(self.boards.len().saturating_sub(1)),
            Action::AutomaticGroup => self.choice = Choice::Automatic,
            Action::Front(pane) => self.front = pane,
            Action::Behind => self.behind = if self.emergency().is_some() { self.last_emergency() } else { 0 },
            Action::Reconnect => {
                self.link.retry(self.now);
                return Some(Request::Reconnect);
            }
            Action::Redraw => return Some(Request::Redraw),
            Action::Quit => return Some(Request::Quit),
        }
        None
    }

    fn step_group(&mut self, by: usize) {
        if let Some((shown, _)) = self.board() {
            let at = self.boards.keys().position(|group| group == shown).unwrap_or_default();
            let next = self.boards.keys().nth((at + by) % self.boards.len()).cloned();
            self.choice = next.map_or(Choice::Automatic, Choice::Chosen);
        }
    }

    fn said(&mut self, message: &LiveMessage) -> Vec<Request> {
        if self.link.stale(self.now).is_some() && self.catch_up.is_none() {
            // Silent for too long, yet never cut.
            let until = Some(self.now + HELD_UP);
            self.catch_up = Some(CatchUp { until, is_recovered: true, changes: 0 });
            self.say_back_online();
        }
        self.link.hear(self.now);
        match &message.said {
            Said::Data(header) => match data(&message.text) {
                Ok(data) => self.data(header, data),
                Err(error) => {
                    self.notice =
                        Some(format!("a {} is not understood ({error}); is the server newer than this?", header.kind));
                    Vec::new()
                }
            },
            Said::Control(control) => self.control(control),
            // A newer server may say things that are of no use here.
            Said::Unknown => Vec::new(),
        }
    }

    fn control(&mut self, control: &Control) -> Vec<Request> {
        match control {
            Control::Connected { epoch, timestamp, .. } => {
                self.link.greeted(*timestamp, self.now);
                self.notice = None;
                if self.epoch.as_ref() != Some(epoch) {
                    self.doubt_catch_up();
                    self.forget();
                    self.epoch = Some(epoch.clone());
                }
            }
            Control::Subscribed { stream: Stream::Announcements, recovered: false, .. } => {
                self.doubt_catch_up();
                self.doubt_announcements();
            }
            Control::Resync { topics, .. } => {
                self.doubt_catch_up();
                if topics.iter().copied().any(|topic| topic.stream() == Some(Stream::Announcements)) {
                    self.doubt_announcements();
                }
                if topics.iter().copied().any(|topic| topic.stream() == Some(Stream::Results)) {
                    self.load = Load::Wanted;
                }
            }
            Control::Subscribed { stream: Stream::Results, recovered: false, .. } => {
                self.doubt_catch_up();
                self.load = Load::Wanted;
            }
            Control::Subscribed { recovered: false, .. } => self.doubt_catch_up(),
            Control::Live { topics, .. } => {
                if topics.iter().copied().any(|topic| matches!(topic, Topic::EventAnnouncements(_))) {
                    self.drop_doubted_announcements();
                }
                if self.catch_up.as_ref().is_some_and(|catch_up| catch_up.until.is_none()) {
                    self.say_back_online();
                    self.catch_up = None;
                }
                return self.ask();
            }
            Control::Status { server_time, clock_rate, stale_since, .. } => {
                self.link.status(*server_time, *clock_rate, *stale_since, self.now);
                // A read that failed is tried again at this pace.
                return self.ask();
            }
            Control::Error { message, .. } => self.notice = Some(format!("the server says: {message}")),
            Control::Subscribed { .. } | Control::Unsubscribed { .. } | Control::Pong { .. } => {}
        }
        Vec::new()
    }

    fn doubt_catch_up(&mut self) {
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.is_recovered = false;
        }
    }

    /// A change has come that was not known.
    fn count_news(&mut self) {
        let Some(catch_up) = &mut self.catch_up else { return };
        if catch_up.until.is_some_and(|until| self.now >= until) {
            self.catch_up = None;
            return;
        }
        catch_up.changes += 1;
        if catch_up.until.is_some() {
            self.say_back_online();
        }
    }

    fn say_back_online(&mut self) {
        let Some(catch_up) = &self.catch_up else { return };
        let words = match catch_up {
            CatchUp { is_recovered: false, .. } => "shown anew".to_owned(),
            CatchUp { changes: 0, .. } => "nothing missed".to_owned(),
            CatchUp { changes: 1, .. } => "1 change caught up".to_owned(),
            CatchUp { changes, .. } => format!("{changes} changes caught up"),
        };
        let words = format!("Back online: {words}");
        self.back_online = Some(BackOnline { words, until: self.now + BACK_ONLINE_TURN });
    }

    fn ask(&mut self) -> Vec<Request> {
        match &self.epoch {
            Some(epoch) if self.load == Load::Wanted => {
                self.load = Load::Asked;
                vec![Request::Load { epoch: epoch.clone() }]
            }
            _ => Vec::new(),
        }
    }

    fn loaded(&mut self, loaded: Loaded) {
        match loaded {
            Loaded::Opening { epoch, is_demo, results } if self.epoch.as_ref() == Some(&epoch) => {
                for result in results {
                    self.keep_result(result);
                }
                self.is_demo = is_demo;
                self.notice = None;
                self.load = Load::Done;
            }
            Loaded::Failed { epoch, cause } if self.epoch.as_ref() == Some(&epoch) => {
                self.notice = Some(format!("older results are missing: {cause}"));
                self.load = Load::Wanted;
            }
            // Asked of a log that has been replaced since; the new one was asked for itself.
            Loaded::Opening { .. } | Loaded::Failed { .. } => {}
        }
    }

    /// Another log: nothing that is known can be compared with what comes.
    fn forget(&mut self) {
        self.event_seq = 0;
        self.boards.clear();
        self.schedule_seq = 0;
        self.fixtures.clear();
        self.results.clear();
        self.announcements.clear();
        self.news.clear();
        self.load = Load::Wanted;
        self.behind = 0;
    }

    fn data(&mut self, header: &Header, data: Data) -> Vec<Request> {
        let (pos, at) = (header.pos, header.timestamp);
        match data {
            Data::Leaderboard { group, leaderboard, .. } => {
                let known = self.boards.get(&group);
                if known.is_none_or(|known| header.seq > known.seq) {
                    let board = Board::after(known, header.seq, leaderboard, self.now);
                    self.boards.insert(group, board);
                }
            }
            Data::Schedule { schedule, .. } => self.schedule(header.seq, pos, schedule),
            Data::Event { event, .. } => {
                if header.seq > self.event_seq {
                    self.event_seq = header.seq;
                    self.zone = zone(&event);
                    self.event = event;
                }
            }
            Data::Fixture { fixture, .. } => self.fixture(pos, at, fixture),
            Data::Result { result, .. } => self.result(pos, at, result),
            Data::Announcement { announcement, .. } => return self.announcement(pos, at, announcement),
            Data::AnnouncementRemoved { announcement, .. } => {
                if self.keep_announcement(announcement.id, pos, None) {
                    self.count_news();
                    self.news.remove_announcement(announcement.id);
                }
            }
            // Sent on the topics of teams, which this screen does not follow.
            Data::Team { .. } => {}
        }
        Vec::new()
    }

    /// The whole schedule, true as of `pos`: what a single fixture has told since stays.
    fn schedule(&mut self, seq: u64, pos: u64, schedule: Vec<ScheduleItem>) {
        if seq <= self.schedule_seq {
            return;
        }
        self.schedule_seq = seq;
        self.fixtures.retain(|_, known| known.pos > pos);
        for item in schedule {
            self.fixtures.entry(item.fixture_id).or_insert(KnownFixture { pos, item });
        }
    }

    fn fixture(&mut self, pos: u64, at: Timestamp, item: ScheduleItem) {
        let known = self.fixtures.get(&item.fixture_id);
        let before = known.filter(|known| known.pos < pos).map(|known| &known.item);
        if let Some(turn) = Turn::of(before, &item) {
            self.news.add(pos, Entry { at, what: What::Fixture { fixture: Box::new(item.clone()), turn } });
        }
        if known.is_none_or(|known| known.pos < pos) && pos > self.schedule_seq {
            self.count_news();
        }
        let known = self.fixtures.get(&item.fixture_id);
        // The schedule is the truth as of its `seq`, also about fixtures that it no longer has.
        if pos > self.schedule_seq && known.is_none_or(|known| known.pos < pos) {
            self.fixtures.insert(item.fixture_id, KnownFixture { pos, item });
        }
    }

    fn result(&mut self, pos: u64, at: Timestamp, result: FixtureResult) {
        let known = self.results.get(&result.fixture_id);
        let before = known.filter(|known| known.version < result.version).and_then(FixtureResult::score);
        let is_news = known.is_none_or(|known| known.version < result.version);
        self.news.add(pos, Entry { at, what: What::Result { result: Box::new(result.clone()), before } });
        self.keep_result(result);
        if is_news {
            self.count_news();
        }
    }

    fn keep_result(&mut self, result: FixtureResult) {
        if self.results.get(&result.fixture_id).is_none_or(|known| result.version > known.version) {
            self.results.insert(result.fixture_id, result);
        }
    }

    fn announcement(&mut self, pos: u64, at: Timestamp, announcement: Announcement) -> Vec<Request> {
        let is_emergency = announcement.kind == AnnouncementType::Emergency;
        if !self.keep_announcement(announcement.id, pos, Some(announcement.clone())) {
            return Vec::new();
        }
        self.count_news();
        // Said again, or edited: one entry, where it was said last.
        self.news.remove_announcement(announcement.id);
        self.news.add(pos, Entry { at, what: What::Announcement(Box::new(announcement)) });
        if is_emergency { vec![Request::Bell] } else { Vec::new() }
    }

    /// Whether this was news.
    fn keep_announcement(&mut self, id: AnnouncementId, pos: u64, announcement: Option<Announcement>) -> bool {
        if let Some(known) = self.announcements.get_mut(&id)
            && known.pos >= pos
        {
            known.is_confirmed |= known.pos == pos;
            return false;
        }
        self.announcements.insert(id, KnownAnnouncement { pos, heard: self.now, announcement, is_confirmed: true });
        if self.announcements.len() > ANNOUNCEMENTS_MAX {
            self.announcements.pop_first();
        }
        true
    }

    fn doubt_announcements(&mut self) {
        for known in self.announcements.values_mut() {
            known.is_confirmed = false;
        }
    }

    fn drop_doubted_announcements(&mut self) {
        for (id, known) in &mut self.announcements {
            if !known.is_confirmed && known.announcement.take().is_some() {
                self.news.remove_announcement(*id);
            }
        }
    }

    // ---- what the view asks

    /// The table to show, with its group.
    pub(crate) fn board(&self) -> Option<(&Group, &Board)> {
        if let Choice::Chosen(group) = &self.choice
            && let Some(found) = self.boards.get_key_value(group)
        {
            return Some(found);
        }
        let played = self.live().find_map(|fixture| self.boards.get_key_value(&fixture.group));
        let told = || {
            self.news.latest().find_map(|entry| match &entry.what {
                What::Result { result, .. } => self.boards.get_key_value(&result.group),
                What::Fixture { .. } | What::Announcement(_) => None,
            })
        };
        played.or_else(told).or_else(|| self.boards.first_key_value())
    }

    /// The other tables, by group.
    pub(crate) fn other_boards(&self) -> impl Iterator<Item = (&Group, &Board)> {
        let shown = self.board().map(|(group, _)| group.clone());
        self.boards.iter().filter(move |(group, _)| Some(*group) != shown.as_ref())
    }

    /// Fixtures of a group that are being played, whether or not they count in its table yet.
    pub(crate) fn live_in(&self, group: &Group) -> usize {
        self.live().filter(|fixture| fixture.group == *group).count()
    }

    /// Whether a team is playing now.
    pub(crate) fn is_playing(&self, team: TeamId) -> bool {
        self.live().any(|fixture| [fixture.home_team.id, fixture.away_team.id].contains(&Some(team)))
    }

    /// Position of a team in the table of its group.
    pub(crate) fn position_of(&self, group: &Group, team: TeamId) -> Option<u32> {
        let rows = &self.boards.get(group)?.rows;
        rows.iter().find(|row| row.team_id == team).map(|row| row.position)
    }

    /// Whether the table follows what is being played.
    pub(crate) fn is_group_automatic(&self) -> bool {
        self.choice == Choice::Automatic
    }

    /// Whether there is more than one table to choose from.
    pub(crate) fn has_groups(&self) -> bool {
        self.boards.len() > 1
    }

    /// Fixtures that are being played, by number.
    pub(crate) fn live(&self) -> impl Iterator<Item = &ScheduleItem> {
        let mut live = self.with_status(&[FixtureStatus::Live, FixtureStatus::Paused]);
        live.sort_by_key(|fixture| fixture.number);
        live.into_iter()
    }

    /// Fixtures to come, the next first; those of today and later that will not be played as planned
    /// stand among them, or nobody would find out why they are missing.
    pub(crate) fn next(&self) -> Vec<&ScheduleItem> {
        let mut next = self.with_status(&[FixtureStatus::Scheduled]);
        if let Some(today) = self.today() {
            let put_off = self.with_status(&[FixtureStatus::Postponed, FixtureStatus::Cancelled]);
            next.extend(put_off.into_iter().filter(|fixture| self.day(fixture.start_at) >= today));
        }
        next.sort_by_key(|fixture| (fixture.start_at, fixture.number));
        next
    }

    /// Fixtures of today that are over, the last first.
    pub(crate) fn done_today(&self) -> Vec<&ScheduleItem> {
        let mut done = self.with_status(&[FixtureStatus::Finished, FixtureStatus::Abandoned]);
        done.retain(|fixture| Some(self.day(fixture.start_at)) == self.today());
        done.sort_by_key(|fixture| std::cmp::Reverse((fixture.start_at, fixture.number)));
        done
    }

    /// The day at the event, as far as the clock on the screen goes.
    fn today(&self) -> Option<Date> {
        self.link.shown_time(self.now).map(|now| self.day(now))
    }

    fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// How many fixtures are over, being played, and to come.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        use FixtureStatus::{Abandoned, Cancelled, Finished, Live, Paused, Postponed, Scheduled};
        (
            self.with_status(&[Finished, Abandoned, Cancelled]).len(),
            self.with_status(&[Live, Paused]).len(),
            self.with_status(&[Scheduled, Postponed]).len(),
        )
    }

    /// That the screen is back online, for a while after it was not.
    pub(crate) fn back_online(&self) -> Option<&str> {
        self.back_online.as_ref().filter(|note| self.now < note.until).map(|note| note.words.as_str())
    }

    fn with_status(&self, any_of: &[FixtureStatus]) -> Vec<&ScheduleItem> {
        self.fixtures.values().map(|known| &known.item).filter(|item| any_of.contains(&item.status)).collect()
    }

    /// Whether the schedule has been told.
    pub(crate) fn has_schedule(&self) -> bool {
        self.schedule_seq > 0
    }

    pub(crate) fn fixture_of(&self, id: FixtureId) -> Option<&ScheduleItem> {
        self.fixtures.get(&id).map(|known| &known.item)
    }

    /// How far the result of a fixture is confirmed.
    pub(crate) fn confirmation_of(&self, id: FixtureId) -> Option<ResultState> {
        self.result_of(id).map(|(result, _)| result.state)
    }

    /// The result of a fixture, unless it was removed.
    pub(crate) fn result_of(&self, id: FixtureId) -> Option<(&FixtureResult, Score)> {
        let result = self.results.get(&id)?;
        Some((result, result.score()?))
    }

    /// The short name of a team of the schedule.
    pub(crate) fn code_of(&self, row: &Row) -> Option<&str> {
        self.fixtures
            .values()
            .flat_map(|known| [&known.item.home_team, &known.item.away_team])
            .find(|team| team.id == Some(row.team_id))
            .and_then(|team| team.code.as_deref())
    }

    /// Event time to show: it stops when nothing is heard, see [`Link::shown_time`].
    pub(crate) fn shown_time(&self) -> Option<Timestamp> {
        self.link.shown_time(self.now)
    }

    /// Event time now, by which things expire.
    fn event_now(&self) -> Option<Timestamp> {
        self.link.event_now(self.now)
    }

    /// The emergency that takes the screen over, and how many there are.
    pub(crate) fn emergency(&self) -> Option<(&Announcement, usize)> {
        let mut all = self.active(|announcement| announcement.kind == AnnouncementType::Emergency);
        all.retain(|(pos, _)| *pos > self.behind);
        Some((self.turn_of(&all)?, all.len()))
    }

    /// Whether an emergency is going on behind which somebody looks.
    pub(crate) fn is_behind_emergency(&self) -> bool {
        self.last_emergency() > 0 && self.emergency().is_none()
    }

    fn last_emergency(&self) -> u64 {
        let all = self.active(|announcement| announcement.kind == AnnouncementType::Emergency);
        all.first().map_or(0, |(pos, _)| *pos)
    }

    /// The announcement of this priority that stands in the banner: which of how many.
    pub(crate) fn banner(&self, priority: Priority) -> Option<(&Announcement, usize, usize)> {
        let all = self.active(|announcement| {
            announcement.priority == priority && announcement.kind != AnnouncementType::Emergency
        });
        let announcement = self.turn_of(&all)?;
        let at = all.iter().position(|(_, other)| other.id == announcement.id)?;
        Some((announcement, at + 1, all.len()))
    }

    /// The urgent announcement that takes half the screen because it has just come.
    pub(crate) fn just_urgent(&self) -> Option<&Announcement> {
        let all = self.active(|announcement| {
            announcement.priority == Priority::Urgent && announcement.kind != AnnouncementType::Emergency
        });
        let fresh: Vec<_> = all
            .into_iter()
            .filter(|(_, announcement)| {
                let known = self.announcements.get(&announcement.id);
                known.is_some_and(|known| self.now.saturating_duration_since(known.heard) < URGENT_TURN)
            })
            .collect();
        self.turn_of(&fresh)
    }

    /// Announcements that stand and have not expired, newest first.
    fn active(&self, wanted: impl Fn(&Announcement) -> bool) -> Vec<(u64, &Announcement)> {
        let mut active: Vec<_> = self
            .announcements
            .values()
            .filter_map(|known| Some((known.pos, known.announcement.as_ref()?)))
            .filter(|(_, announcement)| wanted(announcement) && !self.is_expired(announcement))
            .collect();
        active.sort_by_key(|(pos, _)| std::cmp::Reverse(*pos));
        active
    }

    /// Whether its time is over, whether or not the server has said so yet.
    pub(crate) fn is_expired(&self, announcement: &Announcement) -> bool {
        match (announcement.expires_at, self.event_now()) {
            (Some(expires_at), Some(now)) => expires_at <= now,
            _ => false,
        }
    }

    /// Whose turn it is among several.
    fn turn_of<'a>(&self, all: &[(u64, &'a Announcement)]) -> Option<&'a Announcement> {
        let turns = self.now.saturating_duration_since(self.started).as_secs() / BANNER_TURN.as_secs();
        let at = turns.checked_rem(all.len() as u64)?;
        all.get(usize::try_from(at).ok()?).map(|(_, announcement)| *announcement)
    }
}

fn data(text: &str) -> Result<Data, serde_json::Error> {
    let message: DataMessage<'_> = serde_json::from_str(text)?;
    serde_json::from_str(message.data.get())
}

/// The zone of the event. Where the machine does not know it, times are in UTC, which the screen says.
fn zone(event: &Event) -> TimeZone {
    TimeZone::get(&event.timezone).unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests;
