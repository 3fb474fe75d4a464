//! The screen, drawn from the state alone.
//!
//! Three shapes by size: two columns, one column, and bare lines where borders would cost too much.
//! How the screen is connected stands in the first line of each of them. Nothing here changes
//! anything, and every word that came from outside passes `display_safe` in [`text`].

mod announcements;
mod compact;
mod latest;
mod live;
mod next;
mod standings;
mod text;
mod theme;
mod title;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::Block;

use crate::app::App;
use crate::view::theme::Theme;

/// From here on there are two columns.
const TWO_COLUMNS_WIDTH: u16 = 80;
/// Below these, bare lines.
const PANES_WIDTH: u16 = 48;
const PANES_HEIGHT: u16 = 16;
/// Lines a pane needs to say anything: borders, and one line.
const PANE_HEIGHT_MIN: u16 = 3;

/// Draws the state.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let theme = Theme::of(app);
    if let Some(reason) = app.link.ended() {
        return title::draw_end(frame, area, app, theme, reason);
    }
    if let Some((announcement, of)) = app.emergency() {
        return announcements::draw_emergency(frame, area, app, theme, announcement, of);
    }
    let mut head = vec![title::line(app, theme, area.width)];
    head.extend(title::trouble(app, theme, area.width));
    let is_small = area.width < PANES_WIDTH || area.height < PANES_HEIGHT;
    head.extend(announcements::banner(app, theme, area.width, is_small));
    let foot = if is_small { None } else { Some(title::keys(theme, area.width)) };
    let [top, body, bottom] =
        Layout::vertical([length(&head), Constraint::Min(0), Constraint::Length(u16::from(foot.is_some()))])
            .areas(area);
    write(frame, top, head);
    if let Some(foot) = foot {
        frame.render_widget(foot, bottom);
    }
    if is_small {
        write(frame, body, compact::lines(app, theme, body.width, body.height));
    } else if area.width >= TWO_COLUMNS_WIDTH {
        two_columns(frame, body, app, theme);
    } else {
        one_column(frame, body, app, theme);
    }
    if !app.link.is_live(app.now) {
        // The words in the head say so; the rest steps back.
        frame.buffer_mut().set_style(body, theme.faint());
    }
}

fn two_columns(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let (standings, next) = upper(left, standings::height(app));
    let (live, latest) = upper(right, live::height(app));
    draw_standings(frame, standings, app, theme);
    draw_next(frame, next, app, theme);
    draw_live(frame, live, app, theme);
    draw_latest(frame, latest, app, theme);
}

/// The upper pane gets what it wants as long as half is left for the lower one.
fn upper(area: Rect, wanted: u16) -> (Rect, Rect) {
    let most = (area.height / 2).max(area.height.saturating_sub(12));
    let [upper, lower] = Layout::vertical([Constraint::Length(wanted.min(most)), Constraint::Min(0)]).areas(area);
    (upper, lower)
}

fn one_column(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    // What is being played and its table first; the rest shares what is left.
    let live = live::height(app).min(area.height / 3);
    let standings = standings::height(app).min(area.height.saturating_sub(live) / 2).max(PANE_HEIGHT_MIN);
    let left = area.height.saturating_sub(live + standings);
    let next = if left > 2 * PANE_HEIGHT_MIN { left / 2 } else { 0 };
    let [live, standings, latest, next] = Layout::vertical([
        Constraint::Length(live),
        Constraint::Length(standings),
        Constraint::Min(0),
        Constraint::Length(next),
    ])
    .areas(area);
    draw_live(frame, live, app, theme);
    draw_standings(frame, standings, app, theme);
    draw_latest(frame, latest, app, theme);
    draw_next(frame, next, app, theme);
}

fn draw_standings(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let (width, height) = inner(area);
    pane(frame, area, theme, &standings::title(app, height), standings::lines(app, theme, width, height));
}

fn draw_live(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let (width, height) = inner(area);
    pane(frame, area, theme, &live::title(app), live::lines(app, theme, width, height));
}

fn draw_next(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let (width, height) = inner(area);
    pane(frame, area, theme, &next::title(app), next::lines(app, width, height));
}

fn draw_latest(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme) {
    let (width, height) = inner(area);
    pane(frame, area, theme, "Latest", latest::lines(app, theme, width, height));
}

fn pane(frame: &mut Frame<'_>, area: Rect, theme: Theme, title: &str, lines: Vec<Line<'_>>) {
    let title = Line::styled(format!(" {title} "), theme.strong());
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    write(frame, inside, lines);
}

/// Lines from the top of the area, cut at its edges. Not by a `Paragraph`: that of ratatui 0.30 panics
/// at some widths when it meets wide letters.
fn write(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Text::from(lines), area);
}

/// Width and height inside the borders, without a space at either side.
fn inner(area: Rect) -> (u16, u16) {
    (area.width.saturating_sub(2), area.height.saturating_sub(2))
}

fn length(lines: &[Line<'_>]) -> Constraint {
    Constraint::Length(u16::try_from(lines.len()).unwrap_or(u16::MAX))
}

#[cfg(test)]
pub(crate) mod tests;
