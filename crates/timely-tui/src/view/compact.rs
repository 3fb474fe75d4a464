//! Lines without borders, for terminals that are too small for panes: scores first, then the table,
//! then what comes next.

use ratatui::text::Line;

use crate::app::App;
use crate::view::text::Names;
use crate::view::theme::Theme;
use crate::view::{live, next, standings};

/// As many lines as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let room = usize::from(lines);
    let mut drawn: Vec<Line<'_>> =
        app.live().map(|fixture| live::short(app, theme, fixture, cells, Names::Full)).take(room).collect();
    if let Some((group, _)) = app.board()
        && room >= drawn.len() + 3
    {
        let left = lines.saturating_sub(u16::try_from(drawn.len() + 1).unwrap_or(u16::MAX));
        let title = if app.has_groups() { standings::title(app, left) } else { standings::name(group) };
        drawn.push(Line::styled(format!(" {title}"), theme.strong()));
        drawn.extend(standings::lines(app, theme, cells, left));
    }
    for fixture in app.next() {
        if drawn.len() >= room {
            break;
        }
        drawn.push(Line::raw(next::line(app, fixture, usize::from(cells))));
    }
    drawn
}
