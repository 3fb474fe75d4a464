//! The first lines: what is watched, how it is connected, what time it is, what is wrong; and the
//! last one with the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use crate::app::App;
use crate::keys;
use crate::link::minutes;
use crate::view::text::{clock, clock_with_seconds, cut, fit, offset, safe, width};
use crate::view::theme::Theme;

/// Name of the event, demo, connection, clock. The connection is the last to go.
pub(crate) fn line(app: &App, theme: Theme, cells: u16) -> Line<'static> {
    let cells = usize::from(cells);
    let connection = app.link.words(app.now);
    let style = if app.link.is_live(app.now) { theme.good() } else { theme.bad() };
    let mut room = cells.saturating_sub(width(&connection) + 1);
    let mut take = |words: Option<String>| match words {
        Some(words) if width(&words) + 2 <= room => {
            room -= width(&words) + 2;
            format!("  {words}")
        }
        _ => String::new(),
    };
    let demo = take(demo(app));
    let time =
        take(app.link.shown_time(app.now).map(|at| format!("{} {}", clock(at, &app.zone), offset(at, &app.zone))));
    let mut line = Line::default();
    if room >= 6 {
        line.push_span(Span::styled(fit(&format!(" {}", safe(&app.event.name)), room), theme.strong()));
    }
    line.push_span(Span::styled(demo, theme.strong()));
    if !line.spans.iter().all(|span| span.content.is_empty()) {
        line.push_span(Span::raw(" "));
    }
    line.push_span(Span::styled(connection, style));
    line.push_span(Span::raw(time));
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
    let name = cut(&safe(&app.event.name), usize::from(area.width));
    let lines = vec![
        Line::styled("ENDED", theme.bad()),
        Line::raw(safe(reason)),
        Line::styled(name, theme.strong()),
        Line::raw("There will be no more news here. Press q to leave."),
    ];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}
