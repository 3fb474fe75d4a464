//! What happened lately, newest first, in words.

use jiff::Timestamp;
use ratatui::text::{Line, Span};
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::fixture::ScheduleItem;
use timely_core::result::{FixtureResult, ResultState, Score};

use crate::app::App;
use crate::news::{Entry, Turn, What};
use crate::view::text::{
    Names, clock_or_day, cut, day_and_clock, fit, goal, minute_of, outcome, outcome_in, pairing, pairing_in, safe,
    short_goal, width,
};
use crate::view::theme::Theme;

/// Cells of the time at the start, with the spaces around it.
const TIME_CELLS: usize = 8;

/// Lines the pane would like with its borders.
pub(crate) fn height(app: &App) -> u16 {
    u16::try_from(app.news.latest().count().max(1) + 2).unwrap_or(u16::MAX)
}

/// One line a change, as many as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let entries: Vec<&Entry> = app
        .news
        .latest()
        .filter(|entry| !matches!(&entry.what, What::Announcement(announcement) if app.is_expired(announcement)))
        .take(usize::from(lines))
        .collect();
    let Some(newest) = entries.first() else {
        return vec![Line::raw(if app.has_schedule() { " Nothing has happened yet" } else { "" })];
    };
    let today = app.shown_time().unwrap_or(newest.at);
    let word_cells = entries.iter().map(|entry| width(word(entry))).max().unwrap_or(0);
    entries.iter().map(|entry| line(app, theme, entry, today, word_cells, usize::from(cells))).collect()
}

/// What kind of news it is.
fn word(entry: &Entry) -> &'static str {
    match &entry.what {
        What::Result { result, before } => result_word(result, *before),
        What::Fixture { turn, .. } => turn_word(*turn),
        What::Announcement(announcement) => announcement_word(announcement),
    }
}

fn line(app: &App, theme: Theme, entry: &Entry, today: Timestamp, word_cells: usize, cells: usize) -> Line<'static> {
    let room = cells.saturating_sub(TIME_CELLS + word_cells + 1);
    let words = match &entry.what {
        What::Result { result, .. } => result_words(app, result, room),
        What::Fixture { fixture, turn } => turn_words(app, fixture, *turn, room),
        What::Announcement(announcement) => safe(&announcement.title),
    };
    Line::from(vec![
        Span::raw(format!(" {} ", clock_or_day(entry.at, today, &app.zone))),
        Span::styled(fit(word(entry), word_cells + 1), theme.strong()),
        Span::raw(cut(&words, room)),
    ])
}

fn result_word(result: &FixtureResult, before: Option<Score>) -> &'static str {
    let points = |score: Score| u32::from(score.home) + u32::from(score.away);
    match (result.state, result.score(), before) {
        (ResultState::Annulled, ..) | (_, None, _) => "REMOVED",
        (ResultState::Official, ..) => "OFFICIAL",
        (ResultState::Provisional, ..) => "RESULT",
        (ResultState::Live, Some(now), Some(before)) if points(now) < points(before) => "CORRECTED",
        (ResultState::Live, Some(now), _) if points(now) > before.map_or(0, points) => {
            if result.goals.is_empty() {
                "SCORE"
            } else {
                "GOAL"
            }
        }
        (ResultState::Live, ..) => "LIVE",
    }
}

fn result_words(app: &App, result: &FixtureResult, room: usize) -> String {
    let last = result.goals.iter().max_by_key(|goal| (goal.minute, goal.added));
    let scorer = last.map(short_goal);
    let minute = last.map(minute_of).or_else(|| result.minute.map(|minute| format!("{minute}'")));
    let (note, short_note) = match result.state {
        ResultState::Live => (last.map(goal).or_else(|| minute.clone()), minute),
        ResultState::Provisional => (Some("unofficial".to_owned()), Some("unofficial".to_owned())),
        ResultState::Official | ResultState::Annulled => (None, None),
    };
    let scorer = scorer.filter(|_| result.state == ResultState::Live).or_else(|| short_note.clone());
    let words = |names, note: &Option<String>| {
        let note = note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        match (app.fixture_of(result.fixture_id), result.score()) {
            (Some(fixture), Some(score)) => format!("{}{note}", outcome(fixture, result, score, names)),
            (Some(fixture), None) => pairing(fixture, names),
            (None, Some(score)) => format!("#{} {score}{note}", result.number),
            (None, None) => format!("#{}", result.number),
        }
    };
    // Without a code a name may be as long as it likes: then it gives way, never the score.
    let bare = match (app.fixture_of(result.fixture_id), result.score()) {
        (Some(fixture), Some(score)) => outcome_in(fixture, result, score, room),
        (Some(fixture), None) => pairing_in(fixture, room),
        (None, Some(score)) => format!("#{} {score}", result.number),
        (None, None) => format!("#{}", result.number),
    };
    first_that_fits(
        [
            words(Names::Full, &note),
            words(Names::Full, &scorer),
            words(Names::Short, &scorer),
            words(Names::Short, &short_note),
            bare,
        ],
        room,
    )
}

const fn turn_word(turn: Turn) -> &'static str {
    match turn {
        Turn::Moved { .. } => "MOVED",
        Turn::Started => "START",
        Turn::Paused => "PAUSE",
        Turn::Postponed => "POSTPONED",
        Turn::Cancelled => "CANCELLED",
        Turn::Abandoned => "ABANDONED",
        Turn::Changed => "FIXTURE",
    }
}

fn turn_words(app: &App, fixture: &ScheduleItem, turn: Turn, room: usize) -> String {
    let start = day_and_clock(fixture.start_at, &app.zone);
    let (note, short_note) = match turn {
        Turn::Moved { from } => {
            let to = format!(" to {start}");
            (format!("{to} from {}", day_and_clock(from, &app.zone)), to)
        }
        Turn::Changed => (format!(", {start}"), format!(", {start}")),
        Turn::Started | Turn::Paused | Turn::Postponed | Turn::Cancelled | Turn::Abandoned => {
            (String::new(), String::new())
        }
    };
    // The names as they are now: a side that was open when this was told may be known since.
    let now = app.fixture_of(fixture.fixture_id).unwrap_or(fixture);
    let words = |names, note: &str| format!("#{} {}{note}", fixture.number, pairing(now, names));
    let short = format!("#{}{short_note}", fixture.number);
    let shortest = format!("#{} {start}", fixture.number);
    first_that_fits(
        [words(Names::Full, &note), words(Names::Short, &note), words(Names::Short, &short_note), short, shortest],
        room,
    )
}

/// The first that has room, else the last, which is the shortest.
fn first_that_fits<const N: usize>(forms: [String; N], room: usize) -> String {
    let shortest = N - 1;
    forms
        .into_iter()
        .enumerate()
        .find(|(at, form)| *at == shortest || width(form) <= room)
        .map_or_else(String::new, |(_, form)| form)
}

/// What kind of news an announcement is.
pub(crate) fn announcement_word(announcement: &Announcement) -> &'static str {
    match (announcement.kind, announcement.priority) {
        (AnnouncementType::Emergency, _) => "EMERGENCY",
        (_, Priority::Urgent) => "URGENT",
        (_, Priority::High) => "HIGH",
        (AnnouncementType::General, _) => "INFO",
        (AnnouncementType::Schedule, _) => "SCHEDULE",
        (AnnouncementType::Result, _) => "RESULTS",
        (AnnouncementType::Weather, _) => "WEATHER",
    }
}
