//! What the scoreboard of an event shows, in words, as of now.
//!
//! Everything here is text on its way to a template, made safe to display. The script draws the same
//! things from the streams (`assets/view.js`); what stands in one stands in the other.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timely_core::access::Actor;
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::body::{Board, Page};
use timely_core::event::{Event, EventStatus};
use timely_core::fixture::{FixtureStatus, ScheduleItem, TeamLabel};
use timely_core::id::{EventId, FixtureId, TeamId};
use timely_core::result::{FixtureResult, Goal, ResultState};
use timely_core::running::ServerKind;
use timely_core::slot::Slot;
use timely_core::standings::Row;
use timely_core::text::display_safe;

use crate::App;
use crate::error::Error;
use crate::store::{AsOf, Paging};

/// Most results and most announcements of a page.
const ITEMS_MAX: usize = 10_000;
/// Items read at a time.
const READ_ITEMS: usize = 500;
/// Entries of the list of what happened.
const LATEST_MAX: usize = 20;
/// Days of the schedule are shown until they have so many fixtures; the others can be opened.
const SHOWN_FIXTURES_MIN: usize = 6;

pub(super) struct Scoreboard {
    pub(super) id: EventId,
    pub(super) name: String,
    pub(super) timezone: String,
    /// RFC 3339, for the script.
    pub(super) server_time: String,
    pub(super) clock_rate: f64,
    /// `DEMO x60`, or empty.
    pub(super) demo: String,
    /// `23:27:13 +03`
    pub(super) as_of: String,
    pub(super) is_cancelled: bool,
    pub(super) alerts: Vec<Notice>,
    pub(super) notices: Vec<Notice>,
    pub(super) cards: Vec<Card>,
    pub(super) boards: Vec<Table>,
    pub(super) upcoming: Days,
    pub(super) finished: Days,
    pub(super) latest: Vec<Entry>,
}

pub(super) struct Notice {
    pub(super) id: i64,
    /// `EMERGENCY`, `URGENT`, `HIGH`, `INFO`.
    pub(super) word: &'static str,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) said: Moment,
    /// `23:45`, or empty.
    pub(super) until: String,
}

impl Notice {
    pub(super) fn is_emergency(&self) -> bool {
        self.word == "EMERGENCY"
    }
}

/// A time for people and for machines.
pub(super) struct Moment {
    pub(super) text: String,
    pub(super) iso: String,
}

/// A fixture that is being played.
pub(super) struct Card {
    pub(super) id: FixtureId,
    pub(super) status: String,
    /// `as of 70'`, or empty.
    pub(super) minute: String,
    pub(super) home: Side,
    pub(super) away: Side,
    pub(super) beyond: String,
    pub(super) place: String,
}

pub(super) struct Side {
    pub(super) name: String,
    pub(super) score: String,
    pub(super) goals: String,
}

/// The standings of one group.
pub(super) struct Table {
    pub(super) caption: String,
    /// `UNOFFICIAL, 2 live`; empty before the first result.
    pub(super) standing: String,
    pub(super) live: u32,
    pub(super) rows: Vec<TableRow>,
}

pub(super) struct TableRow {
    /// `2`, or `2=` when it is shared.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) is_live: bool,
    pub(super) played: u32,
    pub(super) won: u32,
    pub(super) drawn: u32,
    pub(super) lost: u32,
    pub(super) goals_for: u32,
    pub(super) goals_against: u32,
    pub(super) difference: String,
    pub(super) points: i64,
}

/// Days of a schedule: those shown, and the others with their number of fixtures.
#[derive(Default)]
pub(super) struct Days {
    pub(super) shown: Vec<Day>,
    pub(super) more: Vec<Day>,
    pub(super) more_fixtures: usize,
}

pub(super) struct Day {
    pub(super) title: String,
    pub(super) offset: String,
    pub(super) fixtures: Vec<Line>,
}

/// A fixture in a list.
pub(super) struct Line {
    pub(super) start: Moment,
    pub(super) home: String,
    pub(super) away: String,
    /// `2-1`, or `v`.
    pub(super) score: String,
    /// `a.e.t., 4-2 on penalties`, or empty.
    pub(super) beyond: String,
    /// `FT`, `POSTPONED`, or empty.
    pub(super) word: &'static str,
    pub(super) place: String,
}

/// Something that happened.
pub(super) struct Entry {
    pub(super) at: Moment,
    pub(super) word: String,
    pub(super) what: What,
}

pub(super) enum What {
    Result { home: String, score: String, away: String, beyond: String },
    Words(String),
}

/// Reads the scoreboard with the rights of the caller.
pub(super) async fn read(app: &App, actor: Actor, id: EventId) -> Result<Scoreboard, Error> {
    let event = app.store.event(actor.clone(), id).await?;
    let leaderboard = app.store.leaderboard(actor.clone(), id, None).await?;
    let schedule = app.store.schedule(actor.clone(), id).await?.schedule;
    let results = everything(|page| app.store.results(actor.clone(), id, page)).await?;
    let announcements = everything(|page| app.store.announcements(actor.clone(), id, page)).await?;
    let results = results.into_iter().map(|result| (result.fixture_id, result)).collect();
    // A zone is checked when it is entered; one this program does not know any more is no reason to
    // show nothing.
    let zone = TimeZone::get(&event.timezone).unwrap_or(TimeZone::UTC);
    let drawing = Drawing { zone, now: app.clock.now(), schedule, results };
    let is_demo = app.site.kind == ServerKind::Demo;
    Ok(drawing.scoreboard(&event, tables(&leaderboard.boards), &announcements, app.clock.rate(), is_demo))
}

async fn everything<T, F>(mut read: impl FnMut(Paging) -> F) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<AsOf<Page<T>>, Error>>,
{
    let mut items = Vec::new();
    let mut after = Some(0);
    while let Some(start) = after.filter(|_| items.len() < ITEMS_MAX) {
        let page = read(Paging { after: start, limit: READ_ITEMS }).await?.value;
        items.extend(page.items);
        after = page.next;
    }
    Ok(items)
}

fn safe(text: &str) -> String {
    display_safe(text).into_owned()
}

/// `DEMO x60`; a clock that stands still or runs as usual needs no rate.
fn demo(rate: f64) -> String {
    if rate > 0.0 && (rate - 1.0).abs() > f64::EPSILON { format!("DEMO x{rate}") } else { "DEMO".to_owned() }
}

/// How loudly an announcement is shown, in a word.
const fn loudness(announcement: &Announcement) -> &'static str {
    match (announcement.kind, announcement.priority) {
        (AnnouncementType::Emergency, _) => "EMERGENCY",
        (_, Priority::Urgent) => "URGENT",
        (_, Priority::High) => "HIGH",
        (_, Priority::Normal) => "INFO",
        (_, Priority::Low) => "LOW",
    }
}

pub(super) fn tables(boards: &[Board]) -> Vec<Table> {
    let mut tables: Vec<Table> = boards.iter().filter(|board| !board.leaderboard.is_empty()).map(table).collect();
    // What is being played comes first; sorting is stable.
    tables.sort_by_key(|table| table.live == 0);
    tables
}

fn table(board: &Board) -> Table {
    let rows = &board.leaderboard;
    let sum = |count: fn(&Row) -> u32| rows.iter().map(count).sum::<u32>();
    // Each fixture stands in the rows of both its teams.
    let live = sum(|row| row.live) / 2;
    let standing = match (live, sum(|row| row.provisional), sum(|row| row.played)) {
        (_, _, 0) => String::new(),
        (0, 0, _) => "OFFICIAL".to_owned(),
        (0, _, _) => "UNOFFICIAL".to_owned(),
        (live, _, _) => format!("UNOFFICIAL, {live} live"),
    };
    let caption =
        board.group.as_deref().map_or_else(|| "Standings".to_owned(), |group| format!("Group {}", safe(group)));
    Table { caption, standing, live, rows: rows.iter().map(row).collect() }
}

fn row(row: &Row) -> TableRow {
    TableRow {
        place: if row.shared { format!("{}=", row.position) } else { row.position.to_string() },
        name: safe(&row.team_name),
        is_live: row.live > 0,
        played: row.played,
        won: row.won,
        drawn: row.drawn,
        lost: row.lost,
        goals_for: row.gf,
        goals_against: row.ga,
        difference: if row.gd > 0 { format!("+{}", row.gd) } else { row.gd.to_string().replace('-', "\u{2212}") },
        points: row.points,
    }
}

/// Name of a side: the team, else what decides it.
fn side(team: &TeamLabel, slot: Option<&Slot>) -> String {
    match (team.id, slot) {
        (None, Some(slot)) => safe(&slot.to_string()),
        _ => safe(&team.name),
    }
}

/// `2-1`
fn score(result: &FixtureResult) -> Option<String> {
    Some(format!("{}-{}", result.home_score?, result.away_score?))
}

/// `a.e.t., 4-2 on penalties`; empty after regular time.
fn beyond(result: &FixtureResult) -> String {
    let extra_time = result.ft_home.is_some().then(|| "a.e.t.".to_owned());
    let shoot_out = result.pen_home.zip(result.pen_away).map(|(home, away)| format!("{home}-{away} on penalties"));
    extra_time.into_iter().chain(shoot_out).collect::<Vec<_>>().join(", ")
}

/// `Tejeda 58', Vargas 70' (own goal)`
fn goals(result: &FixtureResult, team: Option<TeamId>) -> String {
    let told = result.goals.iter().filter(|goal| Some(goal.team_id) == team).map(goal);
    told.collect::<Vec<_>>().join(", ")
}

fn goal(goal: &Goal) -> String {
    let player = goal.player.as_deref().map_or_else(String::new, |player| format!("{} ", safe(player)));
    let added = goal.added.map_or_else(String::new, |added| format!("+{added}"));
    let how = match (goal.own_goal, goal.penalty) {
        (true, _) => " (own goal)",
        (_, true) => " (pen.)",
        _ => "",
    };
    format!("{player}{}{added}'{how}", goal.minute)
}

fn place(fixture: &ScheduleItem) -> String {
    let group = fixture.group.as_deref().map(|group| format!("Group {}", safe(group)));
    let parts = [fixture.area.as_deref().map(safe), fixture.venue.name.as_deref().map(safe)];
    let mut all: Vec<String> = fixture.round.as_deref().map(safe).into_iter().chain(group).collect();
    let venue = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    all.extend((!venue.is_empty()).then_some(venue));
    all.join(" · ")
}

/// What every part is drawn from.
pub(super) struct Drawing {
    pub(super) zone: TimeZone,
    pub(super) now: Timestamp,
    pub(super) schedule: Vec<ScheduleItem>,
    pub(super) results: HashMap<FixtureId, FixtureResult>,
}

impl Drawing {
    pub(super) fn scoreboard(
        &self,
        event: &Event,
        boards: Vec<Table>,
        announcements: &[Announcement],
        clock_rate: f64,
        is_demo: bool,
    ) -> Scoreboard {
        Scoreboard {
            id: event.id,
            name: safe(&event.name),
            timezone: safe(&event.timezone),
            // Always as long: a page and its head must agree on their length.
            server_time: format!("{:.3}", self.now),
            clock_rate,
            demo: if is_demo { demo(clock_rate) } else { String::new() },
            as_of: self.clock(self.now),
            is_cancelled: event.status == EventStatus::Cancelled,
            alerts: self.notices(announcements, |word| matches!(word, "EMERGENCY" | "URGENT")),
            notices: self.notices(announcements, |word| matches!(word, "HIGH" | "INFO")),
            cards: self.cards(),
            boards,
            upcoming: self.upcoming(),
            finished: self.finished(),
            latest: self.latest(announcements),
        }
    }

    fn text(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    fn moment(&self, at: Timestamp) -> Moment {
        Moment { text: self.text(at, "%H:%M"), iso: at.to_string() }
    }

    /// `22:00`, or `Wed 30` on another day than today.
    fn recent(&self, at: Timestamp) -> Moment {
        let is_today = self.text(at, "%F") == self.text(self.now, "%F");
        Moment { text: self.text(at, if is_today { "%H:%M" } else { "%a %-d" }), iso: at.to_string() }
    }

    /// `+03`
    fn offset(&self, at: Timestamp) -> String {
        let offset = self.text(at, "%:z");
        offset.strip_suffix(":00").unwrap_or(&offset).to_owned()
    }

    /// `23:27:13 +03`
    fn clock(&self, at: Timestamp) -> String {
        format!("{} {}", self.text(at, "%H:%M:%S"), self.offset(at))
    }

    /// The result of a fixture, if it counts.
    fn result(&self, fixture: FixtureId) -> Option<&FixtureResult> {
        self.results.get(&fixture).filter(|result| result.state != ResultState::Annulled)
    }

    fn is_active(&self, announcement: &Announcement) -> bool {
        announcement.expires_at.is_none_or(|end| end > self.now)
    }

    fn notices(&self, announcements: &[Announcement], wanted: impl Fn(&str) -> bool) -> Vec<Notice> {
        let mut active: Vec<&Announcement> = announcements
            .iter()
            .filter(|announcement| wanted(loudness(announcement)))
            .filter(|announcement| self.is_active(announcement))
            .collect();
        active.sort_by_key(|announcement| {
            (loudness(announcement) != "EMERGENCY", announcement.priority, Reverse(announcement.id))
        });
        let notice = |announcement: &Announcement| Notice {
            id: announcement.id.0,
            word: loudness(announcement),
            title: safe(&announcement.title),
            message: announcement.message.lines().map(safe).collect::<Vec<_>>().join("\n"),
            said: self.moment(announcement.created_at),
            until: announcement.expires_at.map_or_else(String::new, |end| self.text(end, "%H:%M")),
        };
        active.into_iter().map(notice).collect()
    }

    pub(super) fn cards(&self) -> Vec<Card> {
        let live = |fixture: &&ScheduleItem| matches!(fixture.status, FixtureStatus::Live | FixtureStatus::Paused);
        self.schedule.iter().filter(live).map(|fixture| self.card(fixture)).collect()
    }

    fn card(&self, fixture: &ScheduleItem) -> Card {
        let result = self.result(fixture.fixture_id);
        let side = |team: &TeamLabel, slot: Option<&Slot>, points: Option<u16>| Side {
            name: side(team, slot),
            score: points.map_or_else(|| "\u{2013}".to_owned(), |points| points.to_string()),
            goals: result.map_or_else(String::new, |result| goals(result, team.id)),
        };
        Card {
            id: fixture.fixture_id,
            status: fixture.status.to_string(),
            minute: result
                .and_then(|result| result.minute)
                .map_or_else(String::new, |minute| format!("as of {minute}'")),
            home: side(&fixture.home_team, fixture.home_slot.as_ref(), result.and_then(|result| result.home_score)),
            away: side(&fixture.away_team, fixture.away_slot.as_ref(), result.and_then(|result| result.away_score)),
            beyond: result.map_or_else(String::new, beyond),
            place: place(fixture),
        }
    }

    fn is_over(&self, fixture: &ScheduleItem) -> bool {
        match fixture.status {
            FixtureStatus::Finished | FixtureStatus::Abandoned => true,
            FixtureStatus::Cancelled => fixture.start_at <= self.now,
            FixtureStatus::Scheduled | FixtureStatus::Postponed | FixtureStatus::Live | FixtureStatus::Paused => false,
        }
    }

    pub(super) fn upcoming(&self) -> Days {
        let is_live = |fixture: &ScheduleItem| matches!(fixture.status, FixtureStatus::Live | FixtureStatus::Paused);
        let mut fixtures: Vec<_> =
            self.schedule.iter().filter(|fixture| !self.is_over(fixture) && !is_live(fixture)).collect();
        fixtures.sort_by_key(|fixture| (fixture.start_at, fixture.number));
        self.days(&fixtures)
    }

    pub(super) fn finished(&self) -> Days {
        let mut fixtures: Vec<_> = self.schedule.iter().filter(|fixture| self.is_over(fixture)).collect();
        fixtures.sort_by_key(|fixture| Reverse((fixture.start_at, fixture.number)));
        self.days(&fixtures)
    }

    /// Sorts fixtures into days, in their order.
    fn days(&self, fixtures: &[&ScheduleItem]) -> Days {
        let date = |fixture: &ScheduleItem| fixture.start_at.to_zoned(self.zone.clone()).date();
        let mut days = Days::default();
        let mut shown = 0;
        for of_one_day in fixtures.chunk_by(|one, next| date(one) == date(next)) {
            let start = of_one_day[0].start_at;
            let day = Day {
                title: self.text(start, "%A %-d %B %Y"),
                offset: self.offset(start),
                fixtures: of_one_day.iter().map(|fixture| self.line(fixture)).collect(),
            };
            if shown < SHOWN_FIXTURES_MIN {
                shown += day.fixtures.len();
                days.shown.push(day);
            } else {
                days.more_fixtures += day.fixtures.len();
                days.more.push(day);
            }
        }
        days
    }

    fn line(&self, fixture: &ScheduleItem) -> Line {
        let result = self.result(fixture.fixture_id);
        Line {
            start: self.moment(fixture.start_at),
            home: side(&fixture.home_team, fixture.home_slot.as_ref()),
            away: side(&fixture.away_team, fixture.away_slot.as_ref()),
            score: result.and_then(score).unwrap_or_else(|| "v".to_owned()),
            beyond: result.map_or_else(String::new, beyond),
            word: match fixture.status {
                FixtureStatus::Finished => "FT",
                FixtureStatus::Postponed => "POSTPONED",
                FixtureStatus::Cancelled => "CANCELLED",
                FixtureStatus::Abandoned => "ABANDONED",
                FixtureStatus::Scheduled | FixtureStatus::Live | FixtureStatus::Paused => "",
            },
            place: place(fixture),
        }
    }

    fn latest(&self, announcements: &[Announcement]) -> Vec<Entry> {
        let results = self.schedule.iter().rev().filter_map(|fixture| {
            let result = self.result(fixture.fixture_id)?;
            let what = What::Result {
                home: side(&fixture.home_team, fixture.home_slot.as_ref()),
                score: score(result)?,
                away: side(&fixture.away_team, fixture.away_slot.as_ref()),
                beyond: beyond(result),
            };
            let word = match (result.state, result.minute) {
                (ResultState::Live, Some(minute)) => format!("{minute}'"),
                (ResultState::Live, None) => "LIVE".to_owned(),
                (ResultState::Official, _) => "OFFICIAL".to_owned(),
                (ResultState::Provisional | ResultState::Annulled, _) => "FT".to_owned(),
            };
            Some((result.updated_at, word, what))
        });
        let words = announcements.iter().filter(|announcement| self.is_active(announcement)).map(|announcement| {
            (announcement.created_at, loudness(announcement).to_owned(), What::Words(safe(&announcement.title)))
        });
        let mut latest: Vec<_> = results.chain(words).collect();
        latest.sort_by_key(|(at, ..)| Reverse(*at));
        latest.truncate(LATEST_MAX);
        latest.into_iter().map(|(at, word, what)| Entry { at: self.recent(at), word, what }).collect()
    }
}
