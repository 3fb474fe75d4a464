//! `timely watch` in a real terminal, over networks that fail: it never looks live when it is not,
//! comes back by itself, and gives the terminal back.

use std::net::SocketAddr;
use std::time::Duration;

use crate::program::{Home, Serving};
use crate::proxy::{Network, Proxy, WebSockets, cut_length};
use crate::terminal::Terminal;

/// What a machine that is busy with other tests may add to what is promised.
const SLACK: Duration = Duration::from_secs(2);
/// Without a word for so long, a screen must say that it is stale: 15 s are promised.
const STALE_MAX: Duration = Duration::from_secs(15).saturating_add(SLACK);
/// Where WebSockets are blocked it must be live another way after so long: 4 s are promised.
const FALLBACK_MAX: Duration = Duration::from_secs(4).saturating_add(SLACK);

/// A cup with one group and a first result.
fn cup(home: &Home) {
    home.ok(&["event", "create", "Harbour Cup", "--date", "2026-07-18", "--tz", "Europe/Berlin"]);
    for (name, code) in [("Eagles", "EAG"), ("Hawks", "HAW"), ("Owls", "OWL")] {
        home.ok(&["team", "add", name, "--code", code, "--group", "A"]);
    }
    home.ok(&["venue", "add", "School field", "--area", "Pitch 1"]);
    for (home_side, away, at) in [("EAG", "HAW", "09:30"), ("HAW", "OWL", "10:30"), ("OWL", "EAG", "11:30")] {
        home.ok(&["fixture", "add", home_side, away, "--at", at, "--venue", "School field", "--area", "Pitch 1"]);
    }
    home.ok(&["result", "add", "EAG", "2-1", "HAW"]);
}

fn served(home: &Home) -> Serving {
    let serving = home.serve();
    cup(home);
    serving
}

fn address(serving: &Serving) -> SocketAddr {
    serving.address.trim_start_matches("http://").parse().unwrap()
}

/// The dashboard as it sees the server through `proxy`.
fn watch(home: &Home, proxy: &Proxy) -> Terminal {
    Terminal::start(home, &["watch", "--server", &format!("http://{}", proxy.address)], (100, 30))
}

/// A runtime for the proxy; everything else here waits for processes.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Name and points of the table as the server has it, as they stand in a row of the screen.
#[track_caller]
fn shows_the_table_of_the_server(home: &Home, screen: &str) {
    let boards = home.json(&["standings", "--json"]);
    let rows = boards["boards"][0]["leaderboard"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{boards}");
    for row in rows {
        let (name, points) = (row["team_name"].as_str().unwrap(), &row["points"]);
        let shown = screen.lines().any(|line| line.contains(name) && line.contains(&format!(" {points}")));
        assert!(shown, "{name} {points} is not shown:\n{screen}");
    }
}

/// The clock of the title line, `13:05`.
fn clock(screen: &str) -> Option<String> {
    let title = screen.lines().next()?;
    title.split_whitespace().find(|word| word.len() == 5 && word.as_bytes()[2] == b':').map(str::to_owned)
}

#[test]
fn the_terminal_is_given_back_on_every_way_out() {
    let home = Home::new();
    let serving = served(&home);
    for (why, end, code) in [
        ("q", (|terminal| terminal.press("q")) as fn(&mut Terminal), 0),
        ("Ctrl-C", |terminal| terminal.press("\u{3}"), 0),
        ("SIGTERM", |terminal| terminal.signal("TERM"), 0),
        ("SIGINT", |terminal| terminal.signal("INT"), 0),
        ("SIGHUP", |terminal| terminal.signal("HUP"), 0),
    ] {
        let mut terminal = Terminal::start(&home, &["watch", "--server", &serving.address], (80, 24));
        terminal.wait_for("dashboard", |screen| screen.contains("LIVE ws") && screen.contains("Eagles"));
        end(&mut terminal);
        let left = terminal.left();
        assert!(left.is_restored, "{why}: {left:?}");
        assert_eq!(left.code, code, "{why}: {left:?}");
        assert!(!left.screen.contains("panicked"), "{why}: {left:?}");
    }
}

#[test]
fn the_demo_opens_the_dashboard_on_a_terminal_and_gives_it_back() {
    let home = Home::new();
    let mut terminal = Terminal::start(&home, &["demo", "--listen", "127.0.0.1:0"], (160, 50));
    let (screen, _) = terminal.wait_for("first goal", |screen| screen.contains("GOAL"));
    for words in ["World Cup 2022", "DEMO x60", "LIVE ws", "Group E"] {
        assert!(screen.contains(words), "{words}:\n{screen}");
    }
    // From a second terminal, with nothing to set up.
    home.ok(&["announce", "Gate 4 is closed", "--priority", "high"]);
    terminal.wait_for("announcement", |screen| screen.contains("Gate 4 is closed"));
    terminal.resize((80, 24));
    terminal.wait_for("the same at another size", |screen| {
        screen.lines().count() <= 24 && screen.contains("LIVE ws") && screen.contains("Gate 4 is closed")
    });
    terminal.press("q");
    let left = terminal.left();
    assert!(left.is_restored && left.code == 0, "{left:?}");
    assert!(left.screen.contains("Listening on http://127.0.0.1:"), "{left:?}");
}

#[test]
fn a_silent_network_makes_the_screen_stale_and_it_catches_up() {
    let home = Home::new();
    let serving = served(&home);
    let runtime = runtime();
    let proxy = runtime.block_on(Proxy::to(address(&serving)));
    let terminal = watch(&home, &proxy);
    home.ok(&["announce", "Lunch is served", "--priority", "high"]);
    let (screen, _) =
        terminal.wait_for("live screen", |screen| screen.contains("LIVE ws") && screen.contains("Lunch is served"));
    shows_the_table_of_the_server(&home, &screen);

    proxy.network(Network::Silent);
    let (screen, after) = terminal.wait_up_to(STALE_MAX, "STALE", |screen| screen.contains("STALE"));
    println!("stale {:.1} s after the cut", after.as_secs_f32());
    assert!(!screen.contains("LIVE ws"), "{screen}");
    let stopped = clock(&screen);
    // The server goes on meanwhile.
    home.ok(&["result", "add", "HAW", "3-0", "OWL"]);
    home.ok(&["result", "add", "OWL", "4-4", "EAG"]);
    home.ok(&["announce", "Rain: we play on", "--priority", "high"]);
    home.ok(&["announce", "withdraw", "1", "--yes"]);
    terminal.stays(cut_length().saturating_sub(after), "stale, with a clock that stands still", |screen| {
        !screen.contains("LIVE ws") && !screen.contains("LIVE sse") && clock(screen) == stopped
    });

    proxy.network(Network::Open);
    let (screen, after) = terminal.wait_up_to(Duration::from_secs(40), "news", |screen| {
        screen.contains("LIVE ws") && screen.contains("Rain: we play on") && !screen.contains("STALE")
    });
    println!("caught up {:.1} s after the network was back", after.as_secs_f32());
    assert!(screen.contains("Back online"), "it says what it caught up:\n{screen}");
    assert!(!screen.contains("Lunch is served"), "withdrawn meanwhile:\n{screen}");
    shows_the_table_of_the_server(&home, &screen);
}

#[test]
fn where_websockets_are_blocked_it_is_live_over_sse_and_says_so() {
    let home = Home::new();
    let serving = served(&home);
    let runtime = runtime();
    for how in [WebSockets::Refuse, WebSockets::Swallow, WebSockets::Reset] {
        let proxy = runtime.block_on(Proxy::to(address(&serving)));
        proxy.websockets(how);
        let terminal = watch(&home, &proxy);
        let (screen, after) = terminal.wait_up_to(FALLBACK_MAX, "LIVE sse", |screen| screen.contains("LIVE sse"));
        println!("{how:?}: live over SSE after {:.1} s", after.as_secs_f32());
        assert!(!screen.contains("LIVE ws"), "{screen}");
        let (screen, _) = terminal.wait_for("table", |screen| screen.contains("Owls"));
        shows_the_table_of_the_server(&home, &screen);
        let title = format!("{how:?} is told");
        home.ok(&["announce", &title, "--priority", "high"]);
        terminal.wait_for("news", |screen| screen.contains(&title));
    }
}

#[test]
fn a_killed_server_that_is_started_again_finds_its_viewers_again() {
    let home = Home::new();
    let mut serving = served(&home);
    let here = address(&serving).to_string();
    let terminal = Terminal::start(&home, &["watch", "--server", &serving.address], (100, 30));
    terminal.wait_for("dashboard", |screen| screen.contains("LIVE ws") && screen.contains("Owls"));
    for round in 0..3 {
        serving.kill();
        let (screen, _) = terminal.wait_for("the loss", |screen| screen.contains("RECONNECTING"));
        assert!(!screen.contains("LIVE ws") && screen.contains("Owls"), "what was known stays:\n{screen}");
        serving = Serving::start(home.command(&["serve", "--data", "data", "--listen", &here]));
        let title = format!("Round {round}");
        home.ok(&["announce", &title, "--priority", "high"]);
        let (screen, _) = terminal.wait_up_to(Duration::from_secs(45), "the server again", |screen| {
            screen.contains("LIVE ws") && screen.contains(&title)
        });
        shows_the_table_of_the_server(&home, &screen);
    }
}

#[test]
fn it_starts_without_a_server_and_waits() {
    let home = Home::new();
    let serving = served(&home);
    let here = address(&serving);
    let runtime = runtime();
    let proxy = runtime.block_on(Proxy::to(here));
    let terminal = watch(&home, &proxy);
    terminal.wait_for("dashboard", |screen| screen.contains("LIVE ws"));
    proxy.network(Network::Down);
    terminal.wait_for("the loss", |screen| screen.contains("RECONNECTING"));
    assert_eq!(serving.terminate(), Some(0));
    // Elsewhere, as after a change of machines: the same file, another port.
    let serving = home.serve();
    proxy.moved_to(address(&serving));
    proxy.network(Network::Open);
    terminal.wait_up_to(Duration::from_secs(45), "the server again", |screen| screen.contains("LIVE ws"));
}

#[test]
fn an_emergency_takes_the_screen_and_rings_until_it_is_withdrawn() {
    let home = Home::new();
    let serving = served(&home);
    let terminal = Terminal::start(&home, &["watch", "--server", &serving.address], (80, 24));
    terminal.wait_for("dashboard", |screen| screen.contains("LIVE ws") && screen.contains("Eagles"));
    assert!(!terminal.bytes().contains(&7), "no bell without a reason");
    home.ok(&["announce", "Leave the hall by exits A and C", "--type", "emergency", "--confirm", "EMERGENCY"]);
    let (screen, _) = terminal.wait_for("emergency", |screen| screen.contains("EMERGENCY"));
    assert!(screen.contains("Leave the hall by exits A and C") && !screen.contains("Eagles"), "{screen}");
    let bells = String::from_utf8_lossy(&terminal.bytes()).matches('\u{7}').count();
    assert_eq!(bells, 1, "one bell");
    home.ok(&["announce", "withdraw", "1", "--yes"]);
    terminal.wait_for("the table again", |screen| screen.contains("Eagles") && !screen.contains("EMERGENCY"));
}

#[test]
fn hostile_words_change_nothing_but_their_own_text() {
    let home = Home::new();
    let serving = served(&home);
    let terminal = Terminal::start(&home, &["watch", "--server", &serving.address], (100, 30));
    terminal.wait_for("dashboard", |screen| screen.contains("LIVE ws") && screen.contains("Eagles"));
    let wide = "\u{6771}".repeat(200);
    for (at, name) in [
        "Evil\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31mFC",
        "\u{202e}desrever\u{202c} \u{2067}isolate",
        "<script>alert(1)</script>",
        &wide,
        "z\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}algo",
    ]
    .iter()
    .enumerate()
    {
        home.ok(&["team", "add", name, "--code", &format!("X{at}Y"), "--group", "A"]);
        home.ok(&["announce", name, "--priority", "high"]);
    }
    home.ok(&["announce", "After all of them", "--priority", "urgent", "--expires", "10m", "--confirm", "URGENT"]);
    let (screen, _) = terminal.wait_for("the last", |screen| screen.contains("After all of them"));
    assert!(screen.contains("Harbour Cup") && screen.contains("LIVE ws"), "{screen}");
    for line in screen.lines() {
        assert!(line.chars().all(|c| !c.is_control() && !('\u{202a}'..='\u{2069}').contains(&c)), "{line:?}");
    }
    let bytes = terminal.bytes();
    for evil in ["\u{1b}]0;", "\u{1b}[2J\u{9b}", "\u{9b}", "\u{202e}", "\u{2067}", "\u{7}"] {
        let found = bytes.windows(evil.len()).any(|window| window == evil.as_bytes());
        assert!(!found, "{evil:?} reached the terminal");
    }
}

/// Memory that is the program's own, in KiB.
fn own_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_idle_screen_is_quiet_and_small() {
    let home = Home::new();
    let serving = served(&home);
    let terminal = Terminal::start(&home, &["watch", "--server", &serving.address], (160, 50));
    terminal.wait_for("dashboard", |screen| screen.contains("LIVE ws") && screen.contains("Eagles"));
    let before = terminal.bytes().len();
    let seconds = 12;
    terminal.stays(Duration::from_secs(seconds), "live", |screen| screen.contains("LIVE ws"));
    let drawn = terminal.bytes().len() - before;
    let memory = own_memory_kib(terminal.pid());
    println!("idle: {} bytes/s, {memory} KiB of its own", drawn as u64 / seconds);
    assert!(drawn < usize::try_from(seconds).unwrap() * 1024, "{drawn} bytes in {seconds} s");
    assert!(memory < 20 * 1024, "{memory} KiB");
}
