//! The first lines: what is watched, how it is connected, what time it is, what is wrong; and the
//! last one with the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::App;
use crate::keys;
use crate::link::minutes;
use crate::view::text::{clock, clock_with_seconds, fit, offset, safe, width, wrap};
use crate::view::theme::Theme;
use crate::view::write;

/// Between the parts of the title.
const GAP: &str = "  ";
/// A name of fewer cells says nothing.
const NAME_CELLS_MIN: usize = 8;

/// Name of the event, demo, connection, clock. The connection is the last to go.
pub(crate) fn line(app: &App, theme: Theme, cells: u16) -> Line<'static> {
    let cells = usize::from(cells);
    let connection = app.link.words(app.now);
    let style = if app.link.is_live(app.now) { theme.good() } else { theme.bad() };
    let mut room = cells.saturating_sub(width(&connection));
    let mut take = |words: Option<String>| {
        words.filter(|words| {
            let fits = width(words) + GAP.len() <= room;
            room -= if fits { width(words) + GAP.len() } else { 0 };
            fits
        })
    };
    let demo = take(demo(app));
    let time =
        take(app.link.shown_time(app.now).map(|at| format!("{} {}", clock(at, &app.zone), offset(at, &app.zone))));
    let mut line = Line::default();
    if room >= NAME_CELLS_MIN {
        let name = fit(&format!(" {}", safe(&app.event.name)), room - GAP.len());
        line.extend([Span::styled(name, theme.strong()), Span::raw(GAP)]);
    }
    if let Some(demo) = demo {
        line.extend([Span::styled(demo, theme.strong()), Span::raw(GAP)]);
    }
    line.push_span(Span::styled(connection, style));
    if let Some(time) = time {
        line.extend([Span::raw(GAP), Span::raw(time)]);
    }
    line
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
        let at = app.link.shown_time(app.now);
        at.map_or_else(String::new, |at| {
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
        (None, None, None) => safe(app.notice.as_deref()?),
    };
    Some(Line::styled(fit(&format!(" {words}"), usize::from(cells)), theme.bad()))
}

/// The keys, as many as fit.
pub(crate) fn keys(theme: Theme, cells: u16) -> Line<'static> {
    let mut words = String::new();
    for (key, does) in keys::HINTS {
        let hint = format!(" {key} {does} ");
        if width(&words) + width(&hint) <= usize::from(cells) {
            words.push_str(&hint);
        }
    }
    Line::styled(words, theme.faint())
}

/// The whole screen when the server has said its last word: what was shown may no longer be known.
pub(crate) fn draw_end(frame: &mut Frame<'_>, area: Rect, app: &App, theme: Theme, reason: &str) {
    let mut lines = Vec::new();
    for (style, words) in [
        (theme.bad(), "ENDED"),
        (Style::new(), safe(reason).as_str()),
        (theme.strong(), safe(&app.event.name).as_str()),
        (Style::new(), "There will be no more news here. Press q to leave."),
    ] {
        lines.extend(wrap(words, area.width).into_iter().map(|line| Line::styled(line, style)));
    }
    write(frame, area, lines);
}
