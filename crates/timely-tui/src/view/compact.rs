//! Lines without borders, for terminals that are too small for panes: scores first, then the table,
//! then what comes next; and the scores alone where there is no room for more.

use ratatui::text::{Line, Span};

use crate::app::App;
use crate::link::Health;
use crate::view::text::{cut, width};
use crate::view::theme::Theme;
use crate::view::{live, next, standings};

/// Lines of a table that says anything: its title, its heading and two rows.
const TABLE_LINES_MIN: usize = 4;

/// As many lines as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let room = usize::from(lines);
    let mut drawn: Vec<Line<'_>> =
        app.live().map(|fixture| live::short(app, theme, fixture, usize::from(cells))).take(room).collect();
    if app.board().is_some() && room >= drawn.len() + TABLE_LINES_MIN {
        let left = lines.saturating_sub(u16::try_from(drawn.len() + 1).unwrap_or(u16::MAX));
        let title = standings::title(app, usize::from(cells.saturating_sub(1)), left);
        drawn.push(Line::styled(format!(" {title}"), theme.strong()));
        drawn.extend(standings::lines(app, theme, cells, left));
    }
    if drawn.len() < room && (app.has_schedule() || drawn.is_empty()) {
        drawn.extend(next::coming(app, usize::from(cells), room - drawn.len()));
    }
    drawn
}

/// A line a fixture: `JPN 2-1 ESP 51'`; what comes next when nothing is being played.
pub(crate) fn scores(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let (cells, room) = (usize::from(cells), usize::from(lines));
    let live: Vec<_> = app.live().collect();
    if live.is_empty() {
        return next::coming(app, cells, room.min(1));
    }
    let strong = |words: String| Line::styled(words, theme.strong());
    if live.len() <= room {
        return live.iter().map(|fixture| strong(live::shortest(app, fixture, cells))).collect();
    }
    // As many as fit beside each other, so that none is missing where there is room.
    let mut drawn: Vec<String> = Vec::new();
    for fixture in live {
        let words = live::shortest(app, fixture, cells);
        let beside = drawn.pop_if(|last| width(last) + 2 + width(&words) <= cells);
        match beside {
            Some(last) => drawn.push(format!("{last}  {words}")),
            None if drawn.len() < room => drawn.push(words),
            None => break,
        }
    }
    drawn.into_iter().map(strong).collect()
}

/// Connection and scores in the one line there is.
pub(crate) fn one_line(app: &App, theme: Theme, cells: u16) -> Line<'static> {
    let badge = app.link.badge(app.now);
    let style = if badge.health == Health::None { theme.bad() } else { theme.good() };
    let word = cut(&badge.words, usize::from(cells));
    let left = cells.saturating_sub(u16::try_from(width(&word)).unwrap_or(u16::MAX));
    let mut line = Line::from(Span::styled(word, style));
    if left > 1
        && let Some(scores) = scores(app, theme, left - 1, 1).pop()
    {
        line.push_span(Span::raw(" "));
        line.extend(scores.spans.into_iter().map(|span| span.patch_style(scores.style)));
    }
    line
}
