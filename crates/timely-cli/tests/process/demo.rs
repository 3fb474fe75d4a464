//! The demo: a real tournament through the same commands that an organiser's writes take.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::{Home, Serving, signal};

/// The final tables, as everybody can look them up.
const TABLES: &[(&str, [(&str, i64); 4])] = &[
    ("A", [("Netherlands", 7), ("Senegal", 6), ("Ecuador", 4), ("Qatar", 0)]),
    ("B", [("England", 7), ("USA", 5), ("Iran", 3), ("Wales", 1)]),
    ("C", [("Argentina", 6), ("Poland", 4), ("Mexico", 4), ("Saudi Arabia", 3)]),
    ("D", [("France", 6), ("Australia", 6), ("Tunisia", 4), ("Denmark", 1)]),
    ("E", [("Japan", 6), ("Spain", 4), ("Germany", 4), ("Costa Rica", 3)]),
    ("F", [("Morocco", 7), ("Croatia", 5), ("Belgium", 4), ("Canada", 0)]),
    ("G", [("Brazil", 6), ("Switzerland", 6), ("Cameroon", 4), ("Serbia", 1)]),
    ("H", [("Portugal", 6), ("South Korea", 4), ("Uruguay", 4), ("Ghana", 3)]),
];

#[test]
fn the_whole_tournament_ends_with_its_tables_and_its_champion() {
    let home = Home::new();
    let demo = ["demo", "--speed", "max", "--no-tui", "--until", "end", "--listen", "127.0.0.1:0"];
    let out = home.ok(&demo);
    let mut lines = out.lines();
    assert!(lines.next().unwrap().starts_with("Listening on http://127.0.0.1:"), "{out}");
    let after: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("Group ")).collect();
    let mut expected = after.iter();
    for (group, teams) in TABLES {
        assert_eq!(expected.by_ref().find(|line| !line.is_empty()), Some(&format!("Group {group}").as_str()));
        for (place, (team, points)) in teams.iter().enumerate() {
            let line = expected.next().unwrap();
            assert!(line.trim_start().starts_with(&(place + 1).to_string()), "{line}");
            assert!(line.contains(team) && line.trim_end().ends_with(&points.to_string()), "{line}: {team} {points}");
        }
    }
    assert_eq!(out.lines().last(), Some("Champion: Argentina"));

    let mut args = demo.to_vec();
    args.push("--json");
    let out = home.ok(&args);
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&end["fixtures"], &end["champion"]), (&json!(64), &json!("Argentina")));
    for (board, (group, teams)) in end["groups"].as_array().unwrap().iter().zip(TABLES) {
        let rows: Vec<_> = board["leaderboard"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["team_name"].as_str().unwrap(), row["points"].as_i64().unwrap()))
            .collect();
        assert_eq!((board["group"].as_str(), rows.as_slice()), (Some(*group), teams.as_slice()));
    }
}

#[test]
fn a_second_terminal_writes_to_the_demo_with_nothing_to_set_up() {
    let home = Home::new();
    let demo = Serving::start(home.command(&["demo", "--speed", "max", "--no-tui", "--listen", "127.0.0.1:0"]));
    let mut tail = home.command(&["tail", "--timeout", "60s"]).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut announced = false;
    let (mut closed, mut moved) = (false, false);
    for line in lines {
        let message: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if !announced {
            home.ok(&["announce", "Gate 4 is closed", "--priority", "high"]);
            home.ok(&["fixture", "reschedule", "64", "+30m"]);
            announced = true;
        }
        closed |= message["data"]["announcement"]["title"] == "Gate 4 is closed";
        moved |= message["type"] == "fixture_update" && message["data"]["number"] == 64;
        if closed && moved {
            break;
        }
    }
    assert!(closed && moved, "both reach the stream");
    tail.kill().unwrap();
    tail.wait().unwrap();

    // At the end of the evening the table is the one of the evening, and the demo goes on serving.
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let board = home.json(&["standings", "E", "--json"]);
        let text = board.to_string();
        if text.contains("\"played\":3") && !text.contains("\"played\":2") && !text.contains("\"live\":1") {
            let names: Vec<_> = text.match_indices("team_name").map(|(at, _)| &text[at + 12..at + 17]).collect();
            assert_eq!(names, ["Japan", "Spain", "Germa", "Costa"]);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the evening does not end: {text}");
    }
    signal(demo.pid(), "TERM");
    demo.terminate();
}

#[test]
fn with_a_demo_and_a_real_server_a_write_must_say_which() {
    let home = Home::new();
    let serving = home.serve();
    home.ok(&["event", "create", "Harbour Cup", "--date", "2026-07-18"]);
    let demo = Serving::start(home.command(&["demo", "--no-tui", "--speed", "60", "--listen", "127.0.0.1:0"]));
    let ran = home.timely(&["announce", "Hello"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("--server") && ran.err.contains(&serving.address) && ran.err.contains(&demo.address),
        "{ran:?}"
    );
    home.ok(&["--server", &serving.address, "announce", "Hello"]);
}

#[test]
fn wrong_options_are_refused_before_anything_starts() {
    let home = Home::new();
    for (args, hint) in [
        (&["demo", "--speed", "0"][..], "--speed"),
        (&["demo", "--speed", "fast"], "--speed"),
        (&["demo", "--from", "never"], "--from"),
        (&["demo", "--until", "2022-11-01"], "--until"),
    ] {
        let ran = home.timely(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.err.contains(hint), "{args:?}: {ran:?}");
    }
}
