//! What happened lately, newest first, in words.

use jiff::Timestamp;
use ratatui::text::{Line, Span};
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::fixture::ScheduleItem;
use timely_core::result::{FixtureResult, ResultState, Score};

use crate::app::App;
use crate::news::{Entry, Turn, What};
use crate::view::text::{Names, clock_or_day, cut, day_and_clock, fit, goal, minute_of, outcome, pairing, safe, width};
use crate::view::theme::Theme;

/// Cells of the word at the start.
const WORD_CELLS: usize = 10;

/// One line a change, as many as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let today = app.event_now().or_else(|| app.news.latest().next().map(|entry| entry.at));
    app.news
        .latest()
        .filter(|entry| !matches!(&entry.what, What::Announcement(announcement) if app.is_expired(announcement)))
        .take(usize::from(lines))
        .map(|entry| line(app, theme, entry, today.unwrap_or(entry.at), usize::from(cells)))
        .collect()
}

fn line(app: &App, theme: Theme, entry: &Entry, today: Timestamp, cells: usize) -> Line<'static> {
    let room = cells.saturating_sub(8 + WORD_CELLS);
    let (word, words) = match &entry.what {
        What::Result { result, before } => (result_word(result, *before), result_words(app, result, room)),
        What::Fixture { fixture, turn } => turn_words(app, fixture, *turn, room),
        What::Announcement(announcement) => (announcement_word(announcement), safe(&announcement.title)),
    };
    Line::from(vec![
        Span::raw(format!(" {} ", clock_or_day(entry.at, today, &app.zone))),
        Span::styled(fit(word, WORD_CELLS), theme.strong()),
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
    let minute = last.map(minute_of).or_else(|| result.minute.map(|minute| format!("{minute}'")));
    let (note, short_note) = match result.state {
        ResultState::Live => (last.map(goal).or_else(|| minute.clone()), minute),
        ResultState::Provisional => (Some("unofficial".to_owned()), Some("unofficial".to_owned())),
        ResultState::Official | ResultState::Annulled => (None, None),
    };
    let words = |names, note: &Option<String>| {
        let note = note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        match (app.fixture_of(result.fixture_id), result.score()) {
            (Some(fixture), Some(score)) => format!("{}{note}", outcome(fixture, result, score, names)),
            (Some(fixture), None) => pairing(fixture, names),
            (None, Some(score)) => format!("#{} {score}{note}", result.number),
            (None, None) => format!("#{}", result.number),
        }
    };
    first_that_fits([words(Names::Full, &note), words(Names::Short, &note), words(Names::Short, &short_note)], room)
}

fn turn_words(app: &App, fixture: &ScheduleItem, turn: Turn, room: usize) -> (&'static str, String) {
    let start = day_and_clock(fixture.start_at, &app.zone);
    let (word, note, short_note) = match turn {
        Turn::Moved { from } => {
            let to = format!(" to {start}");
            ("MOVED", format!("{to} from {}", day_and_clock(from, &app.zone)), to)
        }
        Turn::Started => ("START", String::new(), String::new()),
        Turn::Paused => ("PAUSE", String::new(), String::new()),
        Turn::Postponed => ("POSTPONED", String::new(), String::new()),
        Turn::Cancelled => ("CANCELLED", String::new(), String::new()),
        Turn::Abandoned => ("ABANDONED", String::new(), String::new()),
        Turn::Changed => ("FIXTURE", format!(", {start}"), format!(", {start}")),
    };
    // The names as they are now: a side that was open when this was told may be known since.
    let now = app.fixture_of(fixture.fixture_id).unwrap_or(fixture);
    let words = |names, note: &str| format!("#{} {}{note}", fixture.number, pairing(now, names));
    let short = format!("#{}{short_note}", fixture.number);
    (
        word,
        first_that_fits(
            [words(Names::Full, &note), words(Names::Short, &note), words(Names::Short, &short_note), short],
            room,
        ),
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
