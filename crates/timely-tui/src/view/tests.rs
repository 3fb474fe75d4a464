use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::draw;
use crate::app::{App, Live, Message};
use crate::testing::{Desk, NOW, announcement, status};

fn terminal(app: &App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    terminal
}

/// The screen as text.
pub(crate) fn drawn(app: &App, width: u16, height: u16) -> String {
    terminal(app, width, height).backend().to_string()
}

#[test]
fn two_columns_on_a_common_terminal() {
    insta::assert_snapshot!(drawn(&Desk::of_the_evening().app, 80, 24));
}

#[test]
fn more_numbers_and_full_names_on_a_wide_one() {
    insta::assert_snapshot!(drawn(&Desk::of_the_evening().app, 160, 50));
}

#[test]
fn bare_lines_on_a_small_one() {
    insta::assert_snapshot!(drawn(&Desk::of_the_evening().app, 40, 10));
}

#[test]
fn one_column_on_a_narrow_one() {
    insta::assert_snapshot!(drawn(&Desk::of_the_evening().app, 60, 30));
}

#[test]
fn before_the_first_word() {
    insta::assert_snapshot!(drawn(&Desk::new().app, 80, 16));
}

#[test]
fn without_a_connection_for_a_while() {
    let mut desk = Desk::of_the_evening();
    let lost =
        Live::Lost { cause: "Connection refused".into(), failures: 6, retry_in: std::time::Duration::from_secs(20) };
    desk.update(Message::Live(lost));
    desk.wait(17);
    insta::assert_snapshot!(drawn(&desk.app, 80, 24));
}

#[test]
fn an_emergency() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&announcement(96, 7, "EMERGENCY", "URGENT", "Leave the hall by exits A and C", None));
    insta::assert_snapshot!(drawn(&desk.app, 60, 12));
}

#[test]
fn the_score_and_the_connection_are_the_last_to_go() {
    let app = Desk::of_the_evening().app;
    insta::assert_snapshot!(drawn(&app, 20, 3), @r#"
    "DEMO x60  LIVE ws   "
    " ! HIGH~ until 23:45"
    " LIVE JPN 2-1 ESP   "
    "#);
}

#[test]
fn no_size_is_too_small_and_no_name_too_strange() {
    let mut strange = Desk::of_the_evening();
    let name = "\u{1b}]0;x\u{7}日本\u{202e}代表 e\u{301} Bosnia and Herzegovina";
    strange.hear(&crate::testing::board(99, "E", &[crate::testing::row(1, 5, name, [3, 2, 0, 1, 99, 3], 1)]));
    strange.hear(&announcement(100, 8, "WEATHER", "URGENT", name, None));
    let mut emergency = Desk::of_the_evening();
    emergency.hear(&announcement(96, 7, "EMERGENCY", "URGENT", name, None));
    let mut ended = Desk::of_the_evening();
    ended.update(Message::Live(Live::Ended { reason: name.into() }));
    let mut stale = Desk::of_the_evening();
    stale.wait(4_000);
    for desk in [Desk::new(), strange, emergency, ended, stale] {
        for width in (0..50).chain([79, 80, 81, 120, 200]) {
            for height in (0..18).chain([30, 60]) {
                let terminal = terminal(&desk.app, width, height);
                let cells = terminal.backend().buffer().content();
                let steers = |text: &str| text.contains(['\u{1b}', '\u{7}', '\u{202e}']);
                assert!(!cells.iter().any(|cell| steers(cell.symbol())), "{width}x{height}");
            }
        }
    }
}

#[test]
fn every_state_of_the_connection_stands_on_ten_by_three() {
    let mut desk = Desk::new();
    assert!(drawn(&desk.app, 10, 3).starts_with("\"CONNECTING"));
    desk.hear(&status(NOW, 1.0));
    assert!(drawn(&desk.app, 10, 3).contains("LIVE ws"));
    desk.wait(30);
    assert!(drawn(&desk.app, 10, 3).contains("STALE 0:30"));
    let lost = Live::Lost { cause: "x".into(), failures: 1, retry_in: std::time::Duration::ZERO };
    desk.update(Message::Live(lost));
    assert!(drawn(&desk.app, 10, 3).contains("RECONNECTI"));
}

#[test]
fn colours_are_few_and_none_without_colour() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&announcement(96, 8, "WEATHER", "URGENT", "Storm", None));
    let tinted = |app: &App| -> Vec<Color> {
        let terminal = terminal(app, 80, 24);
        let cells = terminal.backend().buffer().content();
        cells.iter().flat_map(|cell| [cell.fg, cell.bg]).filter(|colour| *colour != Color::Reset).collect()
    };
    let colours = tinted(&desk.app);
    assert!(!colours.is_empty());
    assert!(colours.iter().all(|colour| [Color::Green, Color::Magenta, Color::Red].contains(colour)), "{colours:?}");
    desk.app.colour = false;
    assert_eq!(tinted(&desk.app), []);
}
