//! `/e/{event}`: the whole of an event on one page, as it is when the page is asked for.
//!
//! The script of the page draws the same from the stream (`assets/view.js`): what changes here
//! changes there.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use timely_core::access::Actor;
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::body::{Board, Page};
use timely_core::event::Event;
use timely_core::fixture::{FixtureStatus, ScheduleItem, TeamLabel};
use timely_core::id::{EventId, FixtureId};
use timely_core::result::{FixtureResult, ResultState};
use timely_core::running::ServerKind;
use timely_core::slot::Slot;

use crate::App;
use crate::error::Error;
use crate::page::{PAGE_ITEMS, safe};
use crate::store::Paging;

/// Results that stand under "Latest".
const LATEST_MAX: usize = 8;

/// See the module.
#[derive(Template)]
#[template(path = "scoreboard.html")]
pub(super) struct Scoreboard {
    id: EventId,
    name: String,
    timezone: String,
    offset: String,
    demo: bool,
    as_of: String,
    emergencies: Vec<News>,
    announcements: Vec<News>,
    live: Vec<Match>,
    tables: Vec<Table>,
    latest: Vec<Match>,
    /// Before the day that is open.
    earlier: Vec<Day>,
    days: Vec<Day>,
}

struct News {
    id: i64,
    word: &'static str,
    is_loud: bool,
    title: String,
    message: String,
    at: String,
    until: Option<String>,
}

struct Table {
    caption: String,
    standing: &'static str,
    rows: Vec<Line>,
}

struct Line {
    team: i64,
    position: u32,
    is_shared: bool,
    is_live: bool,
    name: String,
    played: u32,
    won: u32,
    drawn: u32,
    lost: u32,
    gf: u32,
    ga: u32,
    gd: String,
    points: i64,
}

struct Match {
    id: i64,
    number: u32,
    home: String,
    away: String,
    score: Option<String>,
    /// `4-2 p`, `a.e.t.`
    beyond: Option<String>,
    time: String,
    start_at: Timestamp,
    place: String,
    stage: String,
    status: FixtureStatus,
    /// `as of 70'`, `UNOFFICIAL`, …
    word: String,
    home_goals: String,
    away_goals: String,
}

struct Day {
    name: String,
    is_open: bool,
    matches: Vec<Match>,
}

impl Scoreboard {
    /// Reads the event as `actor` may see it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what does not exist or may not be seen.
    pub(super) async fn read(app: &App, actor: Actor, id: EventId) -> Result<Self, Error> {
        let store = &app.store;
        let event = store.event(actor.clone(), id).await?;
        let boards = store.leaderboard(actor.clone(), id, None).await?.boards;
        let schedule = store.schedule(actor.clone(), id).await?.schedule;
        let mut results = Vec::new();
        let mut paging = Paging { after: 0, limit: PAGE_ITEMS };
        loop {
            let Page { items, next } = store.results(actor.clone(), id, paging).await?;
            results.extend(items);
            match next {
                Some(after) => paging.after = after,
                None => break,
            }
        }
        let mut announcements = Vec::new();
        paging.after = 0;
        loop {
            let Page { items, next } = store.announcements(actor.clone(), id, paging).await?;
            announcements.extend(items);
            match next {
                Some(after) => paging.after = after,
                None => break,
            }
        }
        let demo = app.site.kind == ServerKind::Demo;
        Ok(Self::of(&event, demo, app.clock.now(), &boards, &schedule, &results, announcements))
    }

    fn of(
        event: &Event,
        demo: bool,
        now: Timestamp,
        boards: &[Board],
        schedule: &[ScheduleItem],
        results: &[FixtureResult],
        mut announcements: Vec<Announcement>,
    ) -> Self {
        let zone = TimeZone::get(&event.timezone).unwrap_or(TimeZone::UTC);
        let clock = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
        let by_fixture: HashMap<FixtureId, &FixtureResult> =
            results.iter().filter(|result| result.counts()).map(|result| (result.fixture_id, result)).collect();
        let drawn = |item: &ScheduleItem| drawn(item, by_fixture.get(&item.fixture_id).copied(), &clock);

        // Loudest first, and of those the newest.
        announcements.sort_by_key(|announcement| {
            let is_emergency = announcement.kind == AnnouncementType::Emergency;
            (!is_emergency, announcement.priority, std::cmp::Reverse(announcement.id))
        });
        let news = |announcement: &Announcement| News {
            id: announcement.id.0,
            word: word(announcement),
            is_loud: is_loud(announcement),
            title: safe(&announcement.title),
            message: safe(&announcement.message),
            at: clock(announcement.created_at),
            until: announcement.expires_at.map(clock),
        };
        let is_emergency = |announcement: &&Announcement| announcement.kind == AnnouncementType::Emergency;

        let mut latest: Vec<_> = results.iter().filter(|result| result.counts()).collect();
        latest.sort_by_key(|result| std::cmp::Reverse(result.updated_at));
        let of_fixture = |id: FixtureId| schedule.iter().find(|item| item.fixture_id == id);
        let is_live = |item: &&ScheduleItem| matches!(item.status, FixtureStatus::Live | FixtureStatus::Paused);
        let today = now.to_zoned(zone.clone()).date();
        let mut days = BTreeMap::<_, Vec<Match>>::new();
        for item in schedule {
            days.entry(item.start_at.to_zoned(zone.clone()).date()).or_default().push(drawn(item));
        }
        let next_day = days.keys().copied().find(|day| *day >= today).or(days.keys().last().copied());
        let (earlier, later) = days
            .into_iter()
            .map(|(day, matches)| {
                let is_open = Some(day) == next_day;
                (day, Day { name: day.strftime("%a %-d %b %Y").to_string(), is_open, matches })
            })
            .partition::<Vec<_>, _>(|(day, _)| next_day.is_some_and(|next| *day < next));
        let bare = |days: Vec<(jiff::civil::Date, Day)>| days.into_iter().map(|(_, day)| day).collect::<Vec<_>>();
        let (earlier, later) = (bare(earlier), bare(later));
        Self {
            id: event.id,
            name: safe(&event.name),
            timezone: event.timezone.clone(),
            offset: now.to_zoned(zone.clone()).strftime("%:z").to_string(),
            demo,
            as_of: now.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
            emergencies: announcements.iter().filter(is_emergency).map(news).collect(),
            announcements: announcements.iter().map(news).collect(),
            live: schedule.iter().filter(is_live).map(drawn).collect(),
            tables: boards.iter().map(table).collect(),
            latest: latest
                .into_iter()
                .filter_map(|result| of_fixture(result.fixture_id))
                .filter(|item| !is_live(item))
                .take(LATEST_MAX)
                .map(drawn)
                .collect(),
            earlier,
            days: later,
        }
    }
}

fn is_loud(announcement: &Announcement) -> bool {
    announcement.kind == AnnouncementType::Emergency || announcement.priority == Priority::Urgent
}

fn word(announcement: &Announcement) -> &'static str {
    match (announcement.kind, announcement.priority) {
        (AnnouncementType::Emergency, _) => "EMERGENCY",
        (_, Priority::Urgent) => "URGENT",
        (_, Priority::High) => "HIGH",
        (AnnouncementType::Weather, _) => "WEATHER",
        (AnnouncementType::Schedule, _) => "SCHEDULE",
        (AnnouncementType::Result, _) => "RESULTS",
        (AnnouncementType::General, _) => "INFO",
    }
}

fn table(board: &Board) -> Table {
    let rows = &board.leaderboard;
    let sum = |count: fn(&timely_core::standings::Row) -> u32| rows.iter().map(count).sum::<u32>();
    let standing = match (sum(|row| row.live + row.provisional), sum(|row| row.played)) {
        (_, 0) => "",
        (0, _) => "OFFICIAL",
        _ => "UNOFFICIAL",
    };
    Table {
        caption: board
            .group
            .as_deref()
            .map_or_else(|| "Standings".to_owned(), |group| format!("Group {}", safe(group))),
        standing,
        rows: rows
            .iter()
            .map(|row| Line {
                team: row.team_id.0,
                position: row.position,
                is_shared: row.shared,
                is_live: row.live > 0,
                name: safe(&row.team_name),
                played: row.played,
                won: row.won,
                drawn: row.drawn,
                lost: row.lost,
                gf: row.gf,
                ga: row.ga,
                gd: if row.gd == 0 { "0".to_owned() } else { format!("{:+}", row.gd) },
                points: row.points,
            })
            .collect(),
    }
}

fn side(team: &TeamLabel, slot: Option<&Slot>) -> String {
    match (team.id, slot) {
        (None, Some(slot)) => safe(&slot.to_string()),
        _ => safe(&team.name),
    }
}

fn drawn(item: &ScheduleItem, result: Option<&FixtureResult>, clock: &impl Fn(Timestamp) -> String) -> Match {
    let score = result.and_then(FixtureResult::score);
    let beyond = result.and_then(|result| match (result.pen_home, result.pen_away, result.ft_home) {
        (Some(home), Some(away), _) => Some(format!("{home}-{away} pens")),
        (_, _, Some(_)) => Some("a.e.t.".to_owned()),
        _ => None,
    });
    let word = match (item.status, result) {
        (FixtureStatus::Live, Some(FixtureResult { minute: Some(minute), .. })) => format!("LIVE, as of {minute}'"),
        (FixtureStatus::Scheduled, None) => String::new(),
        (FixtureStatus::Finished, Some(result)) => match result.state {
            ResultState::Official => "OFFICIAL".to_owned(),
            ResultState::Provisional | ResultState::Live => "UNOFFICIAL".to_owned(),
            ResultState::Annulled => "ANNULLED".to_owned(),
        },
        (status, _) => status.to_string(),
    };
    let goals = |team: &TeamLabel| {
        let goals = result.into_iter().flat_map(|result| &result.goals).filter(|goal| Some(goal.team_id) == team.id);
        let goals: Vec<_> = goals
            .map(|goal| {
                let added = goal.added.map_or_else(String::new, |added| format!("+{added}"));
                let how = if goal.own_goal {
                    " (og)"
                } else if goal.penalty {
                    " (pen)"
                } else {
                    ""
                };
                let player = goal.player.as_deref().map_or_else(String::new, |player| format!(" {}", safe(player)));
                format!("{}{added}'{player}{how}", goal.minute)
            })
            .collect();
        goals.join(", ")
    };
    let place = [item.venue.name.as_deref(), item.area.as_deref()].into_iter().flatten().map(safe).collect::<Vec<_>>();
    let group = item.group.as_deref().map(|group| format!("Group {}", safe(group)));
    let stage: Vec<_> = [group, item.round.as_deref().map(safe)].into_iter().flatten().collect();
    Match {
        id: item.fixture_id.0,
        number: item.number,
        home: side(&item.home_team, item.home_slot.as_ref()),
        away: side(&item.away_team, item.away_slot.as_ref()),
        score: score.map(|score| score.to_string()),
        beyond,
        time: clock(item.start_at),
        start_at: item.start_at,
        place: place.join(", "),
        stage: stage.join(", "),
        status: item.status,
        word,
        home_goals: goals(&item.home_team),
        away_goals: goals(&item.away_team),
    }
}
