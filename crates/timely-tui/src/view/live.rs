//! Fixtures that are being played, with their goals where there is room.
//!
//! No running match clock: the server tells a minute with a score, and the time since cannot be
//! known here (half time, stoppages). What is shown says as of when it is.

use ratatui::text::Line;
use timely_core::fixture::ScheduleItem;

use crate::app::App;
use crate::view::text::{Names, cut, decided, fit, goal, minute_of, outcome, pairing, place, sides, width};
use crate::view::theme::Theme;

/// Lines of a fixture with its goals.
const FULL_LINES: u16 = 3;

/// Lines the pane takes with its borders.
pub(crate) fn height(app: &App) -> u16 {
    let live = u16::try_from(app.live().count()).unwrap_or(u16::MAX);
    live.saturating_mul(FULL_LINES).max(1).saturating_add(2)
}

pub(crate) fn title(app: &App) -> String {
    match app.live().count() {
        0 => "Live".to_owned(),
        live => format!("Live: {live}"),
    }
}

/// Three lines a fixture if all fit, else one.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let live: Vec<_> = app.live().collect();
    if live.is_empty() {
        return vec![Line::raw(if app.has_schedule() { " Nothing is being played now" } else { "" })];
    }
    let is_full = live.len() * usize::from(FULL_LINES) <= usize::from(lines);
    let mut drawn: Vec<Line<'_>> = if is_full {
        live.iter().flat_map(|fixture| full(app, theme, fixture, cells)).collect()
    } else {
        live.iter().map(|fixture| short(app, theme, fixture, cells, Names::Full)).collect()
    };
    let room = usize::from(lines);
    if drawn.len() > room && room > 0 {
        let left_out = drawn.len() - (room - 1);
        drawn.truncate(room - 1);
        drawn.push(Line::raw(format!(" and {left_out} more")));
    }
    drawn
}

/// `LIVE Japan 2-1 Spain`
pub(crate) fn short(app: &App, theme: Theme, fixture: &ScheduleItem, cells: u16, names: Names) -> Line<'static> {
    let words = |names| match app.result_of(fixture.fixture_id) {
        Some((result, score)) => outcome(fixture, result, score, names),
        None => pairing(fixture, names),
    };
    let line = |names| format!(" {} {}", fixture.status, words(names));
    let full = line(names);
    let fits = width(&full) <= usize::from(cells);
    Line::styled(if fits { full } else { line(Names::Short) }, theme.strong())
}

fn full(app: &App, theme: Theme, fixture: &ScheduleItem, cells: u16) -> [Line<'static>; 3] {
    let cells = usize::from(cells);
    let result = app.result_of(fixture.fixture_id);
    let minute = result.and_then(|(result, _)| result.minute);
    let as_of = minute.map_or_else(String::new, |minute| format!(", score as of {minute}'"));
    let beyond = result.map_or_else(String::new, |(result, _)| decided(result));
    let state = format!(" {}{beyond}{as_of}  #{}", fixture.status, fixture.number);
    let place = place(fixture, cells.saturating_sub(width(&state) + 3));
    let head = cut(&format!("{state}  {place}"), cells);
    let (home, away) = sides(fixture, Names::Full);
    let side = |name: &str, team, points: Option<u16>| {
        let points = points.map_or_else(|| "-".to_owned(), |points| points.to_string());
        let goals = || {
            let goals = result.iter().flat_map(|(result, _)| &result.goals);
            goals.filter(|scored| Some(scored.team_id) == team)
        };
        let start = format!("   {} {points:>3}  ", fit(name, (cells / 3).clamp(4, 20)));
        let room = cells.saturating_sub(width(&start));
        let with_players = goals().map(goal).collect::<Vec<_>>().join(", ");
        let listed = if width(&with_players) <= room {
            with_players
        } else {
            // Half a name says less than every minute.
            goals().map(minute_of).collect::<Vec<_>>().join(", ")
        };
        cut(&format!("{start}{listed}"), cells)
    };
    [
        Line::styled(head, theme.strong()),
        Line::raw(side(&home, fixture.home_team.id, result.map(|(_, score)| score.home))),
        Line::raw(side(&away, fixture.away_team.id, result.map(|(_, score)| score.away))),
    ]
}
