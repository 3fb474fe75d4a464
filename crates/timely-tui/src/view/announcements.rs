//! Announcements that are louder than the news: the banner, the urgent that takes half the screen
//! when it comes, and the emergency that takes all of it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Padding, Widget as _};
use timely_core::announcement::{Announcement, Priority};

use crate::app::App;
use crate::view::latest::announcement_word;
use crate::view::layout::Shape;
use crate::view::text::{clock, ends, fit, safe, until, width, wrap};
use crate::view::theme::Theme;
use crate::view::{title, write};

/// Below this the frame costs more than it says.
const FRAMED_HEIGHT: u16 = 8;
/// Below this, half of the screen says no more than the banner.
const HALF_HEIGHT_MIN: u16 = 12;
/// From here on there is room for air around the headline.
const AIRY_HEIGHT: u16 = 14;
/// Words further apart than this are read worse.
const MESSAGE_CELLS_MAX: u16 = 72;

/// Lines under the title, the loudest first: an emergency behind which somebody looks, the urgent, the
/// high; the normal ones in turn where nothing is louder.
pub(crate) fn banner(app: &App, theme: Theme, cells: u16, is_small: bool, has_urgent: bool) -> Vec<Line<'static>> {
    let cells = usize::from(cells);
    let mut lines = Vec::new();
    if app.is_behind_emergency() {
        lines.push(behind(theme, u16::try_from(cells).unwrap_or(u16::MAX)));
    }
    for (priority, style) in
        [(Priority::Urgent, theme.loud()), (Priority::High, theme.strong()), (Priority::Normal, Style::new())]
    {
        if priority == Priority::Normal && (has_urgent || !lines.is_empty()) {
            continue;
        }
        // What takes half the screen needs no line besides, others of its kind do.
        let shown = app.just_urgent().filter(|_| has_urgent).map(|announcement| announcement.id);
        if let Some((announcement, at, of)) = app.banner(priority)
            && (of > 1 || Some(announcement.id) != shown)
        {
            let mut right = until(announcement.expires_at, app).unwrap_or_default();
            if of > 1 {
                right = format!("{right}  [{at}/{of}]");
            }
            let sign = match priority {
                Priority::Urgent => "!! ",
                Priority::High => "! ",
                Priority::Normal | Priority::Low => "",
            };
            let message = safe(&announcement.message);
            let colon = if message.is_empty() { "" } else { ": " };
            let word = announcement_word(announcement);
            let words = format!(" {sign}{word} {}{colon}{message}", safe(&announcement.title));
            lines.push(Line::styled(fit(&ends(&words, right.trim(), cells), cells), style));
        }
    }
    if is_small {
        // One line is all there is room for: the loudest.
        lines.truncate(1);
    }
    lines
}

/// The reminder of an emergency behind which somebody looks.
pub(crate) fn behind(theme: Theme, cells: u16) -> Line<'static> {
    Line::styled(fit(" !! EMERGENCY going on, e = show it", usize::from(cells)), theme.emergency())
}

/// Whether an urgent announcement has just come and there is room to give it half the screen.
pub(crate) fn has_half(app: &App, shape: Shape, height: u16) -> bool {
    shape != Shape::Scores && height >= HALF_HEIGHT_MIN && app.just_urgent().is_some()
}

/// The upper half for an urgent announcement that has just come; answers with what is left.
pub(crate) fn draw_urgent(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) -> Rect {
    let Some(announcement) = app.just_urgent() else {
        return area;
    };
    let [upper, lower] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    let words = [
        (theme.loud(), vec!["!! URGENT".to_owned(), safe(&announcement.title)]),
        (theme.strong(), vec![safe(&announcement.message)]),
        (Style::new(), vec![posted(app, announcement)]),
    ];
    draw_box(buffer, upper, theme.loud_border(), theme.strong(), words);
    lower
}

/// The whole screen, until it is withdrawn, has expired, or somebody looks behind it.
pub(crate) fn draw_emergency(
    buffer: &mut Buffer,
    area: Rect,
    app: &App,
    theme: Theme,
    announcement: &Announcement,
    of: usize,
) {
    // How old this is matters more here than anywhere.
    let mut head = vec![title::line(app, theme, area.width)];
    if area.height >= FRAMED_HEIGHT {
        head.extend(title::trouble(app, theme, area.width));
    }
    let [top, body] =
        Layout::vertical([Constraint::Length(u16::try_from(head.len()).unwrap_or(1)), Constraint::Min(0)]).areas(area);
    write(buffer, top, head);
    let several = if of > 1 { format!(" (one of {of})") } else { String::new() };
    let words = [
        (theme.emergency(), vec![format!("!! EMERGENCY{several}"), safe(&announcement.title)]),
        (theme.strong(), vec![safe(&announcement.message)]),
        (Style::new(), vec![posted(app, announcement)]),
        (theme.faint(), vec!["e = look behind".to_owned()]),
    ];
    draw_box(buffer, body, theme.emergency_border(), theme.emergency(), words);
}

/// `Posted 23:31 by Safety desk, shown until 23:45`
fn posted(app: &App, announcement: &Announcement) -> String {
    let ends = until(announcement.expires_at, app).unwrap_or_else(|| "until it is withdrawn".to_owned());
    let (at, by) = (clock(announcement.created_at, &app.zone), safe(&announcement.created_by.name));
    format!("Posted {at} by {by}, shown {ends}")
}

/// The words in the middle of so many cells.
fn centred(words: &str, cells: usize) -> String {
    let before = cells.saturating_sub(width(words)) / 2;
    fit(&format!("{}{words}", " ".repeat(before)), cells.max(width(words)))
}

/// Blocks of words below each other, in the middle of a frame; without the frame where room is short.
fn draw_box<const N: usize>(
    buffer: &mut Buffer,
    area: Rect,
    border: border::Set<'static>,
    frame: Style,
    blocks: [(Style, Vec<String>); N],
) {
    let is_framed = area.height >= FRAMED_HEIGHT;
    let mut inside = area;
    if is_framed {
        let block = Block::bordered().border_set(border).border_style(frame).padding(Padding::horizontal(2));
        inside = block.inner(area);
        block.render(area, buffer);
    }
    let cells = inside.width.min(MESSAGE_CELLS_MAX);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (at, (style, words)) in blocks.into_iter().enumerate() {
        let mut wrapped: Vec<String> = words.iter().flat_map(|words| wrap(words, cells)).collect();
        if is_framed && at > 0 && !wrapped.is_empty() {
            lines.push(Line::default());
        }
        // The headline is a field from side to side, to be seen from afar.
        let field = if is_framed && at == 0 { usize::from(inside.width) } else { 0 };
        if is_framed && at == 0 && inside.height >= AIRY_HEIGHT {
            wrapped.insert(0, " ".to_owned());
            wrapped.push(" ".to_owned());
        }
        lines.extend(wrapped.iter().map(|line| Line::from(Span::styled(centred(line, field), style))));
    }
    if lines.len() > usize::from(inside.height) {
        // Words before air.
        lines.retain(|line| line.width() > 0);
    }
    if is_framed {
        lines = lines.into_iter().map(Line::centered).collect();
        let above = usize::from(inside.height).saturating_sub(lines.len()) / 2;
        let above = u16::try_from(above).unwrap_or(0);
        inside = Rect { y: inside.y + above, height: inside.height - above, ..inside };
    }
    write(buffer, inside, lines);
}
