//! Announcements that are louder than the news: the banner, and the emergency that takes the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::text::Line;
use ratatui::widgets::{Block, Padding};
use timely_core::announcement::{Announcement, Priority};

use crate::app::App;
use crate::view::text::{clock, ends, fit, safe, until, wrap};
use crate::view::theme::Theme;
use crate::view::{title, write};

/// A frame that is one on any terminal.
const HASHES: border::Set<'static> = border::Set {
    top_left: "#",
    top_right: "#",
    bottom_left: "#",
    bottom_right: "#",
    vertical_left: "#",
    vertical_right: "#",
    horizontal_top: "#",
    horizontal_bottom: "#",
};
/// Below this the frame costs more than it says.
const FRAMED_HEIGHT: u16 = 8;

/// Lines under the title: an emergency behind which somebody looks, the urgent, the high.
pub(crate) fn banner(app: &App, theme: Theme, cells: u16, is_small: bool) -> Vec<Line<'static>> {
    let cells = usize::from(cells);
    let mut lines = Vec::new();
    if app.is_behind_emergency() {
        lines.push(Line::styled(fit(" !! EMERGENCY going on, e = show it", cells), theme.emergency()));
    }
    for (priority, sign) in [(Priority::Urgent, "!! URGENT"), (Priority::High, "! HIGH")] {
        if let Some((announcement, at, of)) = app.banner(priority) {
            let mut right = until(announcement.expires_at, app).unwrap_or_default();
            if of > 1 {
                right = format!("{right}  [{at}/{of}]");
            }
            let message = safe(&announcement.message);
            let colon = if message.is_empty() { "" } else { ": " };
            let words = format!(" {sign} {}{colon}{message}", safe(&announcement.title));
            lines.push(Line::styled(fit(&ends(&words, right.trim(), cells), cells), theme.loud()));
        }
    }
    if is_small {
        // One line is all there is room for: the loudest.
        lines.truncate(1);
    }
    lines
}

/// The whole screen, until it is withdrawn, has expired, or somebody looks behind it.
pub(crate) fn draw_emergency(
    frame: &mut Frame<'_>,
    area: Rect,
    app: &App,
    theme: Theme,
    announcement: &Announcement,
    of: usize,
) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    // How old this is matters more here than anywhere.
    frame.render_widget(title::line(app, theme, area.width), head);
    let several = if of > 1 { format!(" (one of {of})") } else { String::new() };
    let ends = until(announcement.expires_at, app).unwrap_or_else(|| "until it is withdrawn".to_owned());
    let posted = format!(
        "Posted {} by {}, shown {ends}. e = look behind",
        clock(announcement.created_at, &app.zone),
        safe(&announcement.created_by.name),
    );
    let mut inside = body;
    if body.height >= FRAMED_HEIGHT {
        let block = Block::bordered().border_set(HASHES).border_style(theme.emergency());
        let block = block.padding(Padding::new(2, 2, 1, 0));
        inside = block.inner(body);
        frame.render_widget(block, body);
    }
    let mut lines = Vec::new();
    for (style, words) in [
        (theme.emergency(), format!("!! EMERGENCY{several}")),
        (theme.emergency(), safe(&announcement.title)),
        (theme.strong(), safe(&announcement.message)),
        (Style::new(), posted),
    ] {
        lines.extend(wrap(&words, inside.width).into_iter().map(|line| Line::styled(line, style)));
    }
    write(frame, inside, lines);
}
