//! What happened lately, newest first, in words.

use ratatui::text::{Line, Span};
use timely_core::announcement::{Announcement, AnnouncementType, Priority};
use timely_core::fixture::ScheduleItem;
use timely_core::result::{FixtureResult, ResultState, Score};

use crate::app::App;
use crate::news::{Entry, Turn, What};
use crate::view::text::{Names, clock, cut, day_and_clock, fit, goal, outcome, pairing, safe, width};
use crate::view::theme::Theme;

/// Cells of the word at the start.
const WORD_CELLS: usize = 10;

/// One line a change, as many as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    app.news
        .latest()
        .filter(|entry| !matches!(&entry.what, What::Announcement(announcement) if app.is_expired(announcement)))
        .take(usize::from(lines))
        .map(|entry| line(app, theme, entry, usize::from(cells)))
        .collect()
}

fn line(app: &App, theme: Theme, entry: &Entry, cells: usize) -> Line<'static> {
    let room = cells.saturating_sub(7 + WORD_CELLS);
    let (word, words) = match &entry.what {
        What::Result { result, before } => (result_word(result, *before), result_words(app, result, room)),
        What::Fixture { fixture, turn } => turn_words(app, fixture, *turn, room),
        What::Announcement(announcement) => (announcement_word(announcement), safe(&announcement.title)),
    };
    Line::from(vec![
        Span::raw(format!(" {} ", clock(entry.at, &app.zone))),
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
    let note = match result.state {
        ResultState::Live => {
            let last = result.goals.iter().max_by_key(|goal| (goal.minute, goal.added));
            last.map(goal).or_else(|| result.minute.map(|minute| format!("{minute}'")))
        }
        ResultState::Provisional => Some("unofficial".to_owned()),
        ResultState::Official | ResultState::Annulled => None,
    };
    let note = note.map_or_else(String::new, |note| format!(" ({note})"));
    let words = |names| match (app.fixture_of(result.fixture_id), result.score()) {
        (Some(fixture), Some(score)) => format!("{}{note}", outcome(fixture, result, score, names)),
        (Some(fixture), None) => pairing(fixture, names),
        (None, Some(score)) => format!("#{} {score}{note}", result.number),
        (None, None) => format!("#{}", result.number),
    };
    shortest_that_fits(words, room)
}

fn turn_words(app: &App, fixture: &ScheduleItem, turn: Turn, room: usize) -> (&'static str, String) {
    let start = day_and_clock(fixture.start_at, &app.zone);
    let (word, note) = match turn {
        Turn::Moved { from } => ("MOVED", format!(" to {start} from {}", day_and_clock(from, &app.zone))),
        Turn::Started => ("START", String::new()),
        Turn::Paused => ("PAUSE", String::new()),
        Turn::Postponed => ("POSTPONED", String::new()),
        Turn::Cancelled => ("CANCELLED", String::new()),
        Turn::Abandoned => ("ABANDONED", String::new()),
        Turn::Changed => ("FIXTURE", format!(", {start}")),
    };
    // The names as they are now: a side that was open when this was told may be known since.
    let now = app.fixture_of(fixture.fixture_id).unwrap_or(fixture);
    (word, shortest_that_fits(|names| format!("#{} {}{note}", fixture.number, pairing(now, names)), room))
}

fn shortest_that_fits(words: impl Fn(Names) -> String, room: usize) -> String {
    let full = words(Names::Full);
    if width(&full) <= room { full } else { words(Names::Short) }
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
