//! The screen, drawn from the state alone.
//!
//! What is shown where is decided by [`layout`], what a part says by the module of its name. How the
//! screen is connected stands in the first line of every shape. Nothing here changes anything, and
//! every word that came from outside passes `display_safe` in [`text`].

mod announcements;
mod compact;
mod latest;
mod layout;
mod live;
mod next;
mod standings;
mod text;
mod theme;
mod title;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Widget as _};

use crate::app::{App, Pane};
use crate::view::layout::{Shape, places};
use crate::view::text::cut;
use crate::view::theme::Theme;

/// Draws the state into an empty buffer, as large as it is.
pub(crate) fn draw(buffer: &mut Buffer, app: &App) {
    let area = buffer.area;
    let theme = Theme::of(app);
    if let Some((announcement, of)) = app.emergency() {
        return announcements::draw_emergency(buffer, area, app, theme, announcement, of);
    }
    if let Some(reason) = app.link.ended() {
        return title::draw_end(buffer, area, app, theme, reason);
    }
    if area.height == 1 {
        return write(buffer, area, vec![compact::one_line(app, theme, area.width)]);
    }
    let shape = Shape::of(area.width, area.height);
    let mut head = vec![title::line(app, theme, area.width)];
    head.extend(title::trouble(app, theme, area.width));
    let has_urgent = announcements::has_half(app, shape, area.height);
    head.extend(announcements::banner(app, theme, area.width, !shape.has_panes(), has_urgent));
    if shape == Shape::Scores {
        // The scores are what the viewer came for: at least half of the lines are theirs.
        head.truncate(usize::from(area.height / 2).max(1));
    }
    let foot = u16::from(shape.has_panes());
    let [top, body, bottom] =
        Layout::vertical([length(&head), Constraint::Min(0), Constraint::Length(foot)]).areas(area);
    write(buffer, top, head);
    let body = if has_urgent { announcements::draw_urgent(buffer, body, app, theme) } else { body };
    let has_tabs = draw_body(buffer, body, app, theme, shape);
    if foot > 0 {
        write(buffer, bottom, vec![title::keys(app, theme, bottom.width, has_tabs)]);
    }
    if !app.link.is_live(app.now) {
        // The words in the head say so; the rest steps back.
        buffer.set_style(body, theme.faint());
    }
}

/// Answers whether there are panes behind others.
fn draw_body(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, shape: Shape) -> bool {
    // Half a screen has less room than the whole one.
    let shape = match shape {
        Shape::Scores => Shape::Scores,
        _ if area.height < layout::BODY_HEIGHT_MIN => Shape::Lines,
        shape => shape,
    };
    match shape {
        Shape::Scores => write(buffer, area, compact::scores(app, theme, area.width, area.height)),
        Shape::Lines => write(buffer, area, compact::lines(app, theme, area.width, area.height)),
        _ => {}
    }
    let places = places(app, shape, area);
    if let Some(tabs) = places.tabs {
        write(buffer, tabs, vec![title::tabs(app, theme)]);
    }
    for (pane, area) in places.panes {
        draw_pane(buffer, area, app, theme, pane);
    }
    places.tabs.is_some()
}

fn draw_pane(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, pane: Pane) {
    // Inside the borders, with a free cell at the right: every line begins with one.
    let (width, height) = (area.width.saturating_sub(3), area.height.saturating_sub(2));
    // The number, and a space at either side.
    let title_cells = usize::from(width.saturating_sub(3));
    let title = match pane {
        Pane::Standings => standings::title(app, title_cells, height),
        Pane::Live => "Live".to_owned(),
        Pane::Next => next::title(app),
        Pane::Latest => "Latest".to_owned(),
    };
    let lines = match pane {
        Pane::Standings => standings::lines(app, theme, width, height),
        Pane::Live => live::lines(app, theme, width, height),
        Pane::Next => next::lines(app, theme, width, height),
        Pane::Latest => latest::lines(app, theme, width, height),
    };
    let title = cut(&format!(" {} ", title::named(pane, &title)), usize::from(area.width.saturating_sub(2)));
    let block = Block::bordered().border_set(theme.border()).title(Line::styled(title, theme.strong()));
    let inside = block.inner(area);
    block.render(area, buffer);
    write(buffer, inside, lines);
}

/// Lines from the top of the area, cut at its edges. Not by a `Paragraph`: that of ratatui 0.30 panics
/// at some widths when it meets wide letters.
fn write(buffer: &mut Buffer, area: Rect, lines: Vec<Line<'_>>) {
    Text::from(lines).render(area, buffer);
}

fn length(lines: &[Line<'_>]) -> Constraint {
    Constraint::Length(u16::try_from(lines.len()).unwrap_or(u16::MAX))
}

#[cfg(test)]
pub(crate) mod tests;
