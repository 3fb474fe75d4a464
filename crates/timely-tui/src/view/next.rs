//! Fixtures to come, in the time of the event; and where there is room, those of today that are over.

use ratatui::text::{Line, Span};
use timely_core::fixture::{FixtureStatus, ScheduleItem};
use timely_core::result::ResultState;

use crate::app::App;
use crate::view::text::{
    Names, countdown, cut, day_and_clock, ends, fit, offset, outcome_in, pairing, pairing_in, place, width,
};
use crate::view::theme::Theme;

/// Cells of a place for which names give way to codes.
const PLACE_CELLS_WANTED: usize = 9;
/// Most cells of a place in the line: beyond, the names have more use of the room.
const PLACE_CELLS_MAX: usize = 32;
/// Fixtures to come for which the pane asks room.
const WANTED: usize = 8;
/// Fixtures to come that are shown before any that are over.
const BEFORE_DONE: usize = 4;
/// Lines of what is over, at least: a free one, the heading, and one fixture.
const DONE_LINES_MIN: usize = 3;

/// Lines the pane would like with its borders.
pub(crate) fn height(app: &App) -> u16 {
    let done = app.done_today().len();
    let done = if done == 0 { 0 } else { done + 2 };
    u16::try_from(app.next().len().clamp(1, WANTED) + done.min(WANTED) + 2).unwrap_or(u16::MAX)
}

/// `Next (venue time +03)`
pub(crate) fn title(app: &App) -> String {
    match app.shown_time() {
        Some(now) => format!("Next (venue time {})", offset(now, &app.zone)),
        None => "Next".to_owned(),
    }
}

/// Fixtures to come, and those of today that are over.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let (cells, room) = (usize::from(cells), usize::from(lines));
    let done = app.done_today();
    let next = app.next().len().max(1);
    let for_done = room.saturating_sub(next.min(BEFORE_DONE.max(room.saturating_sub(done.len() + 2))));
    let for_done = if done.is_empty() || for_done < DONE_LINES_MIN { 0 } else { for_done };
    let mut drawn = coming(app, cells, room - for_done);
    if for_done > 0 {
        drawn.push(Line::default());
        drawn.push(Line::styled(" Done today", theme.strong()));
        drawn.extend(done.iter().take(for_done - 2).map(|fixture| over(app, theme, fixture, cells)));
    }
    drawn
}

/// One line a fixture to come: `Fri 02 18:00  South Korea v Portugal  Education City  in 18h32m`. What
/// does not fit is left out, the place first.
pub(crate) fn coming(app: &App, cells: usize, room: usize) -> Vec<Line<'static>> {
    let next: Vec<_> = app.next().into_iter().take(room).collect();
    if next.is_empty() {
        return vec![Line::raw(if app.has_schedule() { " Nothing is scheduled" } else { "" })];
    }
    let waits: Vec<String> = next.iter().map(|fixture| wait(app, fixture)).collect();
    let starts: Vec<String> = next.iter().map(|fixture| day_and_clock(fixture.start_at, &app.zone)).collect();
    let longest = |words: &[String]| words.iter().map(|words| width(words)).max().unwrap_or(0);
    let (wait_cells, start_cells) = (longest(&waits), longest(&starts));
    let room = cells.saturating_sub(1 + start_cells + 2 + 2 + wait_cells);
    // The same form for all, so that they line up.
    let full: Vec<String> = next.iter().map(|fixture| pairing(fixture, Names::Full)).collect();
    let has_places = next.iter().any(|fixture| fixture.venue.name.is_some());
    let for_place = if has_places { PLACE_CELLS_WANTED + 2 } else { 0 };
    let teams: Vec<String> = if longest(&full) + for_place <= room {
        full
    } else {
        let short: Vec<String> = next.iter().map(|fixture| pairing(fixture, Names::Short)).collect();
        let fits = longest(&short) <= room;
        next.iter().zip(short).map(|(fixture, short)| if fits { short } else { pairing_in(fixture, room) }).collect()
    };
    let teams_cells = longest(&teams);
    let rest = room.saturating_sub(teams_cells + 2).min(PLACE_CELLS_MAX);
    let line = |((fixture, start), (teams, wait)): ((&&ScheduleItem, &String), (&String, &String))| {
        let place = place(fixture, rest);
        let gap = if place.is_empty() { "" } else { "  " };
        Line::raw(ends(&format!(" {start}  {}{gap}{place}", fit(teams, teams_cells)), wait, cells))
    };
    next.iter().zip(&starts).zip(teams.iter().zip(&waits)).map(line).collect()
}

/// How long until a fixture begins, by the clock on the screen; or why it does not.
fn wait(app: &App, fixture: &ScheduleItem) -> String {
    match fixture.status {
        FixtureStatus::Scheduled => app.shown_time().map_or_else(String::new, |now| countdown(fixture.start_at, now)),
        status => status.to_string(),
    }
}

/// `#42  Croatia 0-0 Belgium  OFFICIAL`
fn over(app: &App, theme: Theme, fixture: &ScheduleItem, cells: usize) -> Line<'static> {
    let number = format!(" #{}  ", fixture.number);
    let word = match (fixture.status, app.confirmation_of(fixture.fixture_id)) {
        (FixtureStatus::Abandoned, _) => "ABANDONED",
        (_, Some(ResultState::Official)) => "OFFICIAL",
        (_, Some(_)) => "UNOFFICIAL",
        (_, None) => "no result",
    };
    let room = cells.saturating_sub(width(&number) + 2 + width(word));
    let words = match app.result_of(fixture.fixture_id) {
        Some((result, score)) => outcome_in(fixture, result, score, room),
        None => pairing_in(fixture, room),
    };
    let words = fit(&words, room);
    Line::from_iter([
        Span::raw(cut(&number, cells)),
        Span::styled(words, theme.strong()),
        Span::raw(format!("  {word}")),
    ])
}
