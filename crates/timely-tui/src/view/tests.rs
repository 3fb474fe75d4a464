use std::fmt::Write as _;

use ratatui::buffer::{Buffer, CellWidth as _};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use serde_json::{Value, json};

use super::{draw, text};
use crate::Signs;
use crate::app::{App, Live, Message};
use crate::testing::{Desk, announcement, evening, fixture_47, status};

fn buffer(app: &App, width: u16, height: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(&mut buffer, app);
    buffer
}

/// The screen as text.
pub(crate) fn drawn(app: &App, width: u16, height: u16) -> String {
    let buffer = buffer(app, width, height);
    let mut text = String::new();
    for y in 0..height {
        let mut x = 0;
        text.push('"');
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += symbol.cell_width().max(1);
        }
        text.push_str("\"\n");
    }
    text
}

/// The screen as text, and below it where which style is: `line: first..last style`.
fn styled(app: &App, width: u16, height: u16) -> String {
    let buffer = buffer(app, width, height);
    let style = |x, y| {
        let cell = &buffer[(x, y)];
        let mut words = Vec::new();
        for (word, modifier) in [
            ("bold", Modifier::BOLD),
            ("dim", Modifier::DIM),
            ("underlined", Modifier::UNDERLINED),
            ("reversed", Modifier::REVERSED),
        ] {
            if cell.modifier.contains(modifier) {
                words.push(word.to_owned());
            }
        }
        for (ground, colour) in [("", cell.fg), ("on ", cell.bg)] {
            if colour != Color::Reset {
                words.push(format!("{ground}{colour}").to_lowercase());
            }
        }
        words.join(" ")
    };
    let runs = |y| {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..width {
            let style = style(x, y);
            match runs.last_mut() {
                Some((_, last, before)) if *before == style => *last = x,
                _ => runs.push((x, x, style)),
            }
        }
        runs.retain(|(.., style)| !style.is_empty());
        runs.iter().map(|(first, last, style)| format!("{first}..{last} {style}")).collect::<Vec<_>>().join(", ")
    };
    let mut text = drawn(app, width, height);
    for y in 0..height {
        let runs = runs(y);
        if !runs.is_empty() {
            writeln!(text, "{y}: {runs}").unwrap();
        }
    }
    text
}

fn without_colour(mut app: App) -> App {
    app.colour = false;
    app
}

macro_rules! assert_frame {
    ($name:literal, $app:expr, $width:literal x $height:literal) => {
        insta::assert_snapshot!(format!("{}_{}x{}", $name, $width, $height), styled(&$app, $width, $height))
    };
}

#[test]
fn the_evening_at_every_size() {
    let app = Desk::of_the_evening().app;
    assert_frame!("evening", app, 40 x 10);
    assert_frame!("evening", app, 60 x 20);
    assert_frame!("evening", app, 80 x 24);
    assert_frame!("evening", app, 100 x 30);
    assert_frame!("evening", app, 160 x 50);
    let app = without_colour(app);
    assert_frame!("evening_without_colour", app, 40 x 10);
    assert_frame!("evening_without_colour", app, 60 x 20);
    assert_frame!("evening_without_colour", app, 80 x 24);
    assert_frame!("evening_without_colour", app, 100 x 30);
    assert_frame!("evening_without_colour", app, 160 x 50);
}

#[test]
fn everything_below_each_other_on_a_narrow_and_high_one() {
    assert_frame!("evening", Desk::of_the_evening().app, 60 x 45);
}

#[test]
fn signs_of_any_terminal() {
    let mut app = Desk::of_the_evening().app;
    app.signs = Signs::Ascii;
    let shown = drawn(&app, 80, 24);
    insta::assert_snapshot!("evening_in_ascii_80x24", shown);
    let signs = shown.chars().filter(|c| !c.is_ascii() && !c.is_alphabetic()).collect::<String>();
    assert_eq!(signs, "", "names are written as they are");
}

#[test]
fn before_the_first_word() {
    let app = Desk::new().app;
    assert_frame!("before_the_first_word", app, 80 x 24);
    assert_frame!("before_the_first_word_without_colour", without_colour(app), 40 x 10);
}

#[test]
fn stale() {
    let mut desk = Desk::of_the_evening();
    desk.wait(16);
    assert_frame!("stale", desk.app, 80 x 24);
    assert_frame!("stale_without_colour", without_colour(desk.app), 60 x 20);
}

#[test]
fn reconnecting() {
    let mut desk = Desk::of_the_evening();
    desk.lose("Connection refused", 3, 5);
    assert_frame!("reconnecting", desk.app, 80 x 24);
    desk.wait(15);
    assert_frame!("reconnecting_for_a_while_without_colour", without_colour(desk.app), 80 x 24);
}

#[test]
fn an_emergency() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&announcement(96, 7, "EMERGENCY", "URGENT", "Leave the hall by exits A and C", None));
    assert_frame!("emergency", desk.app, 80 x 24);
    assert_frame!("emergency_without_colour", without_colour(desk.app.clone()), 60 x 12);
    desk.press(crossterm::event::KeyCode::Char('e'));
    assert_frame!("behind_an_emergency", desk.app, 80 x 24);
}

#[test]
fn an_urgent_announcement() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&announcement(96, 8, "WEATHER", "URGENT", "Storm from the west", Some("2022-12-01T21:30:00Z")));
    assert_frame!("urgent", desk.app, 80 x 24);
    assert_frame!("urgent_without_colour", without_colour(desk.app), 160 x 50);
}

#[test]
fn the_score_and_the_connection_are_the_last_to_go() {
    let app = Desk::of_the_evening().app;
    for (width, height, shown) in [
        (39, 4, vec![" World Cu~  DEMO x60  ● LIVE  23:28 +03"]),
        (20, 3, vec!["DEMO x60  ● LIVE", "JPN 2-1 ESP 51'", "CRC 2-1 GER 70'"]),
        (20, 2, vec!["DEMO x60  ● LIVE", "JPN 2-1 ESP 51'"]),
        (40, 1, vec!["LIVE JPN 2-1 ESP 51'  CRC 2-1 GER 70'"]),
        (20, 1, vec!["LIVE JPN 2-1 ESP 51'"]),
        (12, 1, vec!["LIVE ~ 2-1 ~"]),
        (4, 1, vec!["LIVE"]),
    ] {
        let drawn = drawn(&app, width, height);
        let lines: Vec<&str> = drawn.lines().map(|line| line.trim_matches('"').trim_end()).collect();
        for (line, wanted) in lines.iter().zip(&shown) {
            assert_eq!(*line, wanted.trim_end(), "{width}x{height}");
        }
    }
    let mut stale = Desk::of_the_evening();
    stale.wait(47);
    assert_eq!(drawn(&stale.app, 30, 1).trim(), "\"STALE 0:47 JPN 2-1 ESP 51'    \"");
}

#[test]
fn every_state_of_the_connection_stands_on_ten_by_three() {
    let mut desk = Desk::new();
    assert!(drawn(&desk.app, 10, 3).starts_with("\"CONNECTING"));
    desk.open(timely_client::live::Transport::WebSocket);
    desk.hear(&status(crate::testing::NOW, 1.0));
    assert!(drawn(&desk.app, 10, 3).contains("● LIVE"));
    desk.wait(30);
    assert!(drawn(&desk.app, 10, 3).contains("STALE 0:30"));
    desk.lose("x", 1, 0);
    assert!(drawn(&desk.app, 10, 3).contains("RECONNECTI"));
}

#[test]
fn no_key_is_shown_that_does_nothing() {
    let foot = |desk: &Desk, width, height| drawn(&desk.app, width, height).lines().last().unwrap().to_owned();
    let mut desk = Desk::new();
    let first = foot(&desk, 80, 24);
    assert!(first.contains("q quit") && !first.contains("Tab") && !first.contains("r try"), "{first}");
    desk = Desk::of_the_evening();
    assert!(foot(&desk, 80, 24).contains("Tab next group") && !foot(&desk, 80, 24).contains("1-4"));
    assert!(foot(&desk, 60, 20).contains("1-4 pane") && !foot(&desk, 60, 20).contains("Esc"));
    desk.press(crossterm::event::KeyCode::Tab);
    assert!(foot(&desk, 80, 24).contains("Esc group being played"));
    desk.lose("x", 1, 9);
    assert!(foot(&desk, 80, 24).contains("r try now"));
}

#[test]
fn a_number_key_brings_its_pane_to_the_front() {
    let mut desk = Desk::of_the_evening();
    assert!(!drawn(&desk.app, 60, 20).contains("GHA v URU"));
    desk.press(crossterm::event::KeyCode::Char('3'));
    assert!(drawn(&desk.app, 60, 20).contains("GHA v URU"));
    desk.press(crossterm::event::KeyCode::Char('1'));
    assert!(drawn(&desk.app, 60, 20).contains("1 Standings: Group E UNOFFICIAL, 2 live"));
}

/// Names that would like to do more than be read.
const HOSTILE: &[&str] = &[
    "",
    "<script>alert(1)</script>",
    "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m",
    "\u{202e}gnp.exe\u{2066}\u{200f}",
    "日本代表",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}",
    "\u{301}\u{302}mark first",
    "a\u{600}",
    "\u{1f3fb}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{fe0f}",
    "soft\u{ad}hyphen\u{3164}\u{115f}",
    "\u{fdfd}\u{2e3b}\u{0bf8}",
    "नमस्ते कि\u{93e}",
    "line\nbreak\ttab\r",
    "\u{1f1e6}",
];

/// An evening on which a team, a venue, a scorer and an announcement have this name.
fn evening_of(name: &str, code: &Value) -> Desk {
    let mut desk = Desk::new();
    desk.open(timely_client::live::Transport::WebSocket);
    for mut frame in evening() {
        for pointer in
            ["/data/leaderboard/0/team_name", "/data/schedule/1/home_team/name", "/data/schedule/3/venue/name"]
        {
            if let Some(known) = frame.pointer_mut(pointer)
                && ["Japan", "Al Janoub Stadium"].iter().any(|of| *known == *of)
            {
                *known = json!(name);
            }
        }
        if let Some(known) = frame.pointer_mut("/data/schedule/1/home_team/code") {
            known.clone_from(code);
        }
        for pointer in ["/data/result/goals/0/player", "/data/announcement/message"] {
            if let Some(known) = frame.pointer_mut(pointer) {
                *known = json!(name);
            }
        }
        desk.hear(&frame);
    }
    desk
}

#[test]
fn a_strange_name_changes_nothing_but_its_own_cells() {
    let long = "漢".repeat(200);
    for name in HOSTILE.iter().copied().chain([long.as_str()]) {
        let shown = text::safe(name);
        for code in [json!("JPN"), Value::Null] {
            // The same cells with nothing in them that could surprise, broken at the same places.
            let span = ratatui::text::Span::raw(shown.as_str());
            let plain: String = span
                .styled_graphemes(ratatui::style::Style::new())
                .map(|letter| match (letter.symbol, letter.symbol.cell_width()) {
                    (" ", _) => " ".to_owned(),
                    (_, 1) => "x".to_owned(),
                    (_, cells) => format!("ｘ{}", "x".repeat(usize::from(cells) - 2)),
                })
                .collect();
            assert_eq!(text::width(&plain), text::width(&shown), "{name:?}");
            let (strange, benign) = (evening_of(name, &code), evening_of(&plain, &code));
            for (width, height) in [(160, 50), (100, 30), (80, 24), (60, 20), (40, 10), (20, 3)] {
                let (strange, benign) = (buffer(&strange.app, width, height), buffer(&benign.app, width, height));
                let differ: Vec<_> = strange
                    .content()
                    .iter()
                    .zip(benign.content())
                    .enumerate()
                    .filter(|(_, (strange, benign))| {
                        strange.symbol() != benign.symbol() && !["x", "ｘ"].contains(&benign.symbol())
                    })
                    .map(|(at, (strange, benign))| {
                        let at = u16::try_from(at).unwrap();
                        format!("{}:{} {:?} for {:?}", at / width, at % width, strange.symbol(), benign.symbol())
                    })
                    .collect();
                assert_eq!(differ, [""; 0], "{name:?} at {width}x{height}");
            }
        }
    }
}

#[test]
fn a_thousand_sizes_and_nothing_breaks() {
    let mut desks = Vec::new();
    for name in HOSTILE.iter().copied().chain([HOSTILE.concat().as_str(), "漢".repeat(200).as_str()]) {
        let mut desk = evening_of(name, &Value::Null);
        desks.push(Desk { app: desk.app.clone(), now: desk.now });
        desk.hear(&announcement(100, 8, "WEATHER", "URGENT", name, None));
        desks.push(Desk { app: desk.app.clone(), now: desk.now });
        desk.wait(4_000);
        desks.push(Desk { app: desk.app.clone(), now: desk.now });
        desk.hear(&announcement(101, 7, "EMERGENCY", "URGENT", name, None));
        desks.push(Desk { app: desk.app.clone(), now: desk.now });
        let mut desk = evening_of(name, &Value::Null);
        desk.update(Message::Live(Live::Ended { reason: name.into() }));
        desks.push(desk);
    }
    desks.push(Desk::new());
    // A linear congruential generator: any sizes will do, the same in every run.
    let mut random = 0x2022_1201_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u16::try_from((random >> 8) % below).unwrap()
    };
    let any = (0..1_000).map(|_| (next(241), next(71)));
    // The small ones one by one: that is where there is least room to be wrong.
    let small = (0..50).flat_map(|width| (0..18).map(move |height| (width, height)));
    for (turn, (width, height)) in any.chain(small.clone()).chain(small).enumerate() {
        let desk = &desks[turn % desks.len()];
        let buffer = buffer(&desk.app, width, height);
        let steers = |text: &str| text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\n']);
        assert!(!buffer.content().iter().any(|cell| steers(cell.symbol())), "{width}x{height}");
        if width > 0 && height > 0 {
            let first: String = (0..width).map(|x| buffer[(x, 0)].symbol()).collect();
            let says = ["LIVE", "STALE", "CONN", "ENDED", "RECO", "!! EM"];
            assert!(width < 12 || says.iter().any(|word| first.contains(word)), "{width}x{height}: {first}");
        }
    }
}

#[test]
fn scores_and_points_are_whole_at_every_size_with_panes() {
    for name in ["Japan", "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢"]
    {
        for code in [json!("JPN"), Value::Null] {
            let app = evening_of(name, &code).app;
            for width in 40..=240 {
                let shown = drawn(&app, width, 50);
                for score in [" 2-1 ", " 0-0 "] {
                    assert!(shown.contains(score) || width < 60, "{score} at {width}\n{shown}");
                }
                let table: Vec<&str> = shown.lines().skip_while(|line| !line.contains("Pts")).skip(1).take(4).collect();
                let points = shown.lines().find(|line| line.contains("Pts")).and_then(|line| line.find("Pts"));
                assert!(points.is_some(), "{width}\n{shown}");
                for (row, points) in table.iter().zip([" 6", " 6", " 4", " 1"]) {
                    assert!(row.contains(points), "{points} at {width} in {row}");
                }
            }
        }
    }
}

#[test]
fn colours_are_few_and_none_without_colour() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&announcement(96, 8, "WEATHER", "URGENT", "Storm", None));
    desk.hear(&fixture_47(97, "2022-12-02T19:30:00Z", "SCHEDULED"));
    let mut offline = Desk { app: desk.app.clone(), now: desk.now };
    offline.lose("x", 1, 9);
    let mut emergency = Desk { app: desk.app.clone(), now: desk.now };
    emergency.hear(&announcement(98, 9, "EMERGENCY", "URGENT", "Leave", None));
    let tinted = |app: &App| -> Vec<Color> {
        let buffer = buffer(app, 80, 24);
        let cells = buffer.content().iter();
        cells.flat_map(|cell| [cell.fg, cell.bg]).filter(|colour| *colour != Color::Reset).collect()
    };
    for (mut desk, allowed) in [
        (desk, &[Color::Green, Color::Cyan][..]),
        (offline, &[Color::Magenta, Color::Cyan]),
        (emergency, &[Color::Green, Color::Red]),
    ] {
        let colours = tinted(&desk.app);
        assert!(!colours.is_empty());
        assert!(colours.iter().all(|colour| allowed.contains(colour)), "{colours:?}");
        desk.app.colour = false;
        assert_eq!(tinted(&desk.app), []);
    }
}
