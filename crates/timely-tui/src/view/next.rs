//! Fixtures to come, in the time of the event.

use ratatui::text::Line;
use timely_core::fixture::ScheduleItem;

use crate::app::App;
use crate::view::text::{Names, countdown, day_and_clock, ends, offset, pairing, place, width};

/// Cells below which a place is left out.
const PLACE_CELLS_MIN: usize = 12;

/// `Next (times +03)`
pub(crate) fn title(app: &App) -> String {
    match app.event_now() {
        Some(now) => format!("Next (times {})", offset(now, &app.zone)),
        None => "Next".to_owned(),
    }
}

/// One line a fixture.
pub(crate) fn lines(app: &App, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let next = app.next();
    if next.is_empty() {
        return vec![Line::raw(if app.has_schedule() { " Nothing is scheduled" } else { "" })];
    }
    next.iter().take(usize::from(lines)).map(|fixture| Line::raw(line(app, fixture, usize::from(cells)))).collect()
}

/// `Fri 02 18:00  South Korea v Portugal  Education City  in 18h32m`; what does not fit is left out,
/// the place first.
pub(crate) fn line(app: &App, fixture: &ScheduleItem, cells: usize) -> String {
    let start = day_and_clock(fixture.start_at, &app.zone);
    let wait = app.link.shown_time(app.now).map_or_else(String::new, |now| countdown(fixture.start_at, now));
    let room = cells.saturating_sub(1 + width(&start) + 2 + 1 + width(&wait));
    let full = pairing(fixture, Names::Full);
    let teams = if width(&full) <= room { full } else { pairing(fixture, Names::Short) };
    let rest = room.saturating_sub(width(&teams) + 2);
    // A place of a few letters says nothing.
    let place = if rest >= PLACE_CELLS_MIN { format!("  {}", place(fixture, rest)) } else { String::new() };
    ends(&format!(" {start}  {teams}{place}"), &wait, cells)
}
