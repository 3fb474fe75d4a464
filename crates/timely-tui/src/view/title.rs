//! The first lines: what is watched, how it is connected, what time it is, what is wrong; and the
//! last one with the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::{App, Pane};
use crate::keys::{self, Use};
use crate::link::{Health, minutes};
use crate::view::text::{clock, clock_with_seconds, fit, offset, safe, width, wrap};
use crate::view::theme::Theme;
use crate::view::{announcements, write};

/// Between the parts of the title.
const GAP: &str = "  ";
/// A name of fewer cells says nothing.
const NAME_CELLS_MIN: usize = 8;
/// Cells of the name before the numbers of fixtures get any.
const NAME_CELLS_WANTED: usize = 40;

/// Name of the event, demo, connection, clock. The connection is the last to go.
pub(crate) fn line(app: &App, theme: Theme, cells: u16) -> Line<'static> {
    let cells = usize::from(cells);
    let badge = app.link.badge(app.now);
    let is_live = badge.health != Health::None;
    let mut sign = format!("{} ", theme.sign(badge.health));
    if width(&sign) + width(&badge.words) > cells {
        // An ornament; the words say the same.
        sign.clear();
    }
    let mut room = cells.saturating_sub(width(&sign) + width(&badge.words));
    // Takes words that fit, with what stands before them, and leaves so many cells for the name.
    let mut take = |words: Option<String>, gap: &str, spare: usize| {
        words.filter(|words| {
            let needs = width(gap) + width(words);
            let fits = !words.is_empty() && needs + spare <= room;
            room -= if fits { needs } else { 0 };
            fits
        })
    };
    // Why it is not live is worth more than what else could stand here.
    let mut detail = if is_live { None } else { take(Some(badge.detail.clone()), " ", 0) };
    let demo = take(demo(app), GAP, 0);
    let time = app.shown_time().map(|at| format!("{} {}", clock(at, &app.zone), offset(at, &app.zone)));
    let time = take(time, GAP, 0);
    if is_live {
        detail = take(Some(badge.detail), " ", NAME_CELLS_MIN + GAP.len());
    }
    let counts = take(counts(app), GAP, NAME_CELLS_WANTED + GAP.len());
    let mut line = Line::default();
    if room >= NAME_CELLS_MIN + GAP.len() {
        let name = format!(" {}", safe(&app.event.name));
        // A free cell at the end, as at the start, where there is room.
        let margin = usize::from(width(&name) + GAP.len() < room);
        line.extend([Span::styled(fit(&name, room - GAP.len() - margin), theme.strong()), Span::raw(GAP)]);
    }
    if let Some(counts) = counts {
        line.extend([Span::raw(counts), Span::raw(GAP)]);
    }
    if let Some(demo) = demo {
        line.extend([Span::styled(demo, theme.strong()), Span::raw(GAP)]);
    }
    let words = detail.map_or(badge.words.clone(), |detail| format!("{} {detail}", badge.words));
    if is_live {
        line.extend([Span::styled(sign, theme.good()), Span::styled(words, theme.strong())]);
    } else {
        line.push_span(Span::styled(sign + &words, theme.bad()));
    }
    if let Some(time) = time {
        line.extend([Span::raw(GAP), Span::raw(time)]);
    }
    line
}

/// `64 fixtures: 42 over, 2 live, 20 to come`
fn counts(app: &App) -> Option<String> {
    let (over, live, to_come) = app.counts();
    let all = over + live + to_come;
    app.has_schedule().then(|| format!("{all} fixtures: {over} over, {live} live, {to_come} to come"))
}

/// `DEMO x60`
fn demo(app: &App) -> Option<String> {
    match app.link.unusual_rate() {
        Some(rate) if rate > 0.0 => Some(format!("DEMO x{rate}")),
        Some(_) => Some("DEMO".to_owned()),
        None => app.is_demo.then(|| "DEMO".to_owned()),
    }
}

/// What is wrong, if anything is: how old the screen is, why it is not connected, what failed.
pub(crate) fn trouble(app: &App, theme: Theme, cells: u16) -> Option<Line<'static>> {
    let showing = || {
        app.shown_time().map_or_else(String::new, |at| {
            format!(", showing {} {}", clock_with_seconds(at, &app.zone), offset(at, &app.zone))
        })
    };
    let words = match (app.link.stale(app.now), app.link.cause(), app.link.server_stale_since()) {
        (Some(age), cause, _) => {
            let cause = cause.map_or_else(String::new, |cause| format!(": {}", safe(cause)));
            format!("STALE {}{}{cause}", minutes(age), showing())
        }
        (None, Some(cause), _) => format!("No connection: {} (r = try now)", safe(cause)),
        (None, None, Some(since)) => {
            format!("STALE: the server has had no news since {}", clock_with_seconds(since, &app.zone))
        }
        (None, None, None) => match (app.notice.as_deref(), app.back_online()) {
            (Some(notice), _) => safe(notice),
            (None, Some(note)) => {
                return Some(Line::styled(fit(&format!(" {note}"), usize::from(cells)), theme.strong()));
            }
            (None, None) => return None,
        },
    };
    Some(Line::styled(fit(&format!(" {words}"), usize::from(cells)), theme.bad()))
}

/// The keys that do something now, as many as fit.
pub(crate) fn keys(app: &App, theme: Theme, cells: u16, has_tabs: bool) -> Line<'static> {
    let mut words = String::new();
    for (key, does, when) in keys::HINTS {
        let is_of_use = match when {
            Use::Always => true,
            Use::BehindEmergency => app.is_behind_emergency(),
            Use::Offline => app.link.cause().is_some(),
            Use::Tabs => has_tabs,
            Use::Groups => app.has_groups(),
            Use::Chosen => app.has_groups() && !app.is_group_automatic(),
        };
        let hint = format!(" {key} {does} ");
        if is_of_use && width(&words) + width(&hint) <= usize::from(cells) {
            words.push_str(&hint);
        }
    }
    Line::styled(words, theme.faint())
}

/// The panes, with the one in front.
pub(crate) fn tabs(app: &App, theme: Theme) -> Line<'static> {
    let mut line = Line::default();
    for pane in Pane::ALL {
        let style = if pane == app.front { theme.loud() } else { Style::new() };
        line.extend([Span::raw(" "), Span::styled(format!(" {} ", named(pane, pane_name(pane))), style)]);
    }
    line
}

/// `1 Standings`
pub(crate) fn named(pane: Pane, title: &str) -> String {
    let number = match pane {
        Pane::Standings => 1,
        Pane::Live => 2,
        Pane::Next => 3,
        Pane::Latest => 4,
    };
    format!("{number} {title}")
}

const fn pane_name(pane: Pane) -> &'static str {
    match pane {
        Pane::Standings => "Standings",
        Pane::Live => "Live",
        Pane::Next => "Next",
        Pane::Latest => "Latest",
    }
}

/// The whole screen when the server has said its last word: what was shown may no longer be known.
pub(crate) fn draw_end(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, reason: &str) {
    let mut lines = Vec::new();
    if app.is_behind_emergency() {
        lines.push(announcements::behind(theme, area.width));
    }
    let row = |words: &str, style: Style| Line::styled(words.to_owned(), style);
    for (style, words) in [
        (theme.bad(), "ENDED"),
        (Style::new(), safe(reason).as_str()),
        (theme.strong(), safe(&app.event.name).as_str()),
        (Style::new(), "There will be no more news here. Press q to leave."),
    ] {
        lines.extend(wrap(words, area.width.saturating_sub(1)).iter().map(|line| row(&format!(" {line}"), style)));
    }
    write(buffer, area, lines);
}
