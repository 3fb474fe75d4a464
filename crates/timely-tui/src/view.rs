//! The screen as a function of the state.
//!
//! Only the 16 named colours, on the terminal's own background, and never as the only carrier of a
//! meaning. Everything that came from outside passes `display_safe`. Points and scores are the last
//! to go when it gets narrow.

mod panes;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use timely_core::text::display_safe;

use crate::app::{App, Link};
use crate::keys;

/// From this width on there are two columns.
const TWO_COLUMNS_FROM: u16 = 80;
/// Below this height only what is being played is shown.
const PANES_FROM: u16 = 12;

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    if let Some(emergency) = app.emergency() {
        return takeover(frame, area, &emergency.title, &emergency.message);
    }
    let banner = app.banner();
    let [title, notice, body, hints] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(banner.is_some() || app.is_stale())),
        Constraint::Fill(1),
        Constraint::Length(u16::from(area.height >= PANES_FROM)),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title_line(app, title.width)), title);
    if app.is_stale() && app.age().is_some() {
        frame.render_widget(
            Paragraph::new(stale_line(app)).style(Style::new().add_modifier(Modifier::REVERSED)),
            notice,
        );
    } else if let Some(announcement) = banner {
        let text = format!(" !{} {} {}", announcement.priority, announcement.title, announcement.message);
        let line = Line::raw(display_safe(&text).into_owned());
        frame.render_widget(Paragraph::new(line).style(Style::new().add_modifier(Modifier::BOLD)), notice);
    }
    if area.height < PANES_FROM {
        panes::live(frame, body, app, false);
    } else if area.width >= TWO_COLUMNS_FROM {
        let [left, right] = Layout::horizontal([Constraint::Percentage(56), Constraint::Fill(1)]).areas(body);
        let table_height = app.group().and_then(|group| app.boards.get(group)).map_or(3, |rows| rows.len() + 3);
        // The table is the last to be cut: what comes below it may shrink to a line.
        let upper = u16::try_from(table_height).unwrap_or(u16::MAX).max(7);
        let upper = Constraint::Length(upper.min(body.height.saturating_sub(3).max(body.height / 2)));
        let [table, next] = Layout::vertical([upper, Constraint::Fill(1)]).areas(left);
        let [live, latest] = Layout::vertical([upper, Constraint::Fill(1)]).areas(right);
        panes::standings(frame, table, app);
        panes::next(frame, next, app);
        panes::live(frame, live, app, true);
        panes::latest(frame, latest, app);
    } else {
        let [live, table] = Layout::vertical([Constraint::Percentage(40), Constraint::Fill(1)]).areas(body);
        panes::live(frame, live, app, true);
        panes::standings(frame, table, app);
    }
    frame.render_widget(Paragraph::new(format!(" {}", keys::hints())), hints);
}

fn title_line(app: &App, width: u16) -> Line<'static> {
    let mut left = format!(" {}", display_safe(&app.event.name));
    if let Some(rate) = app.demo_rate() {
        left.push_str(&if rate > 0.0 { format!("  DEMO x{rate}") } else { "  DEMO".to_owned() });
    }
    let time = app.event_time().map(|time| time.to_zoned(app.zone()).strftime("%H:%M %:z").to_string());
    let right = format!("{}  {} ", connection(app), time.unwrap_or_default());
    let used = Line::raw(left.as_str()).width() + Line::raw(right.as_str()).width();
    let gap = " ".repeat(usize::from(width).saturating_sub(used).max(1));
    Line::from(vec![Span::styled(left, Modifier::BOLD), Span::raw(gap), Span::raw(right)])
}

/// The connection in words; it claims to be live only while the server speaks.
fn connection(app: &App) -> String {
    match (&app.link, app.is_stale(), app.age()) {
        (Link::Live, false, Some(age)) => format!("● LIVE ws {}s", age.as_secs()),
        (Link::Live, _, _) => "○ STALE".to_owned(),
        (Link::Connecting, _, _) => "○ CONNECTING".to_owned(),
        (Link::Reconnecting { failures, .. }, _, _) => {
            let seconds = app.retry_in().unwrap_or_default().as_secs();
            format!("○ RECONNECTING in {seconds}s (try {failures})")
        }
    }
}

fn stale_line(app: &App) -> String {
    let age = app.age().unwrap_or_default().as_secs();
    let as_of = app.event_time().map(|time| time.to_zoned(app.zone()).strftime(", showing %H:%M:%S").to_string());
    format!(" STALE {}:{:02}{}", age / 60, age % 60, as_of.unwrap_or_default())
}

fn takeover(frame: &mut Frame<'_>, area: Rect, title: &str, message: &str) {
    frame.render_widget(Clear, area);
    let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD | Modifier::REVERSED);
    let block = Block::bordered().border_style(style);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let text = vec![
        Line::styled("!! EMERGENCY", style),
        Line::raw(""),
        Line::styled(display_safe(title).into_owned(), Modifier::BOLD),
        Line::raw(display_safe(message).into_owned()),
        Line::raw(""),
        Line::raw("shown until it is withdrawn · e looks behind it"),
    ];
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), inner);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::app::Message;
    use crate::app::tests::{announcement, empty, evening, hear};

    fn drawn(app: &App, width: u16, height: u16) -> TestBackend {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app)).unwrap();
        terminal.backend().clone()
    }

    #[test]
    fn the_desk_at_80_by_24() {
        insta::assert_snapshot!(drawn(&evening(), 80, 24));
    }

    #[test]
    fn a_narrow_terminal_keeps_scores_and_points() {
        insta::assert_snapshot!(drawn(&evening(), 40, 20));
        insta::assert_snapshot!(drawn(&evening(), 40, 10));
    }

    #[test]
    fn a_large_terminal() {
        insta::assert_snapshot!(drawn(&evening(), 160, 50));
    }

    #[test]
    fn a_stale_screen_says_so() {
        let mut app = evening();
        app.update(Message::Tick, Duration::from_secs(48));
        insta::assert_snapshot!(drawn(&app, 80, 12));
    }

    #[test]
    fn an_emergency_takes_over_until_it_is_withdrawn() {
        let mut app = evening();
        hear(&mut app, &announcement(7, "EMERGENCY", "NORMAL", "Leave the hall by exits A and C"));
        let screen = drawn(&app, 80, 12).to_string();
        assert!(
            screen.contains("EMERGENCY") && screen.contains("exits A and C") && !screen.contains("Standings"),
            "{screen}"
        );
        hear(
            &mut app,
            r#"{"type":"announcement_removed","data":{"event_id":1,"announcement":{"id":7,"reason":"withdrawn"},"timestamp":"2022-12-01T20:00:00Z"},"timestamp":"2022-12-01T20:00:00Z","topic":"event_1_announcements","seq":9,"pos":99}"#,
        );
        assert!(drawn(&app, 80, 12).to_string().contains("Standings"));
    }

    #[test]
    fn hostile_names_change_nothing_but_their_own_text() {
        let mut app = evening();
        hear(&mut app, &announcement(8, "GENERAL", "HIGH", "a\\u001b[31mb\\u202ec\\u200bd"));
        let screen = drawn(&app, 80, 24).to_string();
        assert!(screen.contains("a\u{fffd}[31mb\u{fffd}c"), "{screen}");
        assert!(!screen.contains('\u{1b}') && !screen.contains('\u{202e}'));
    }

    #[test]
    fn no_size_is_too_small() {
        for width in [1, 3, 10, 39, 79, 80, 81, 237] {
            for height in [1, 2, 3, 11, 12, 60] {
                drawn(&evening(), width, height);
                drawn(&empty(), width, height);
            }
        }
    }
}
