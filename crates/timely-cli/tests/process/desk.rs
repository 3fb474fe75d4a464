//! A match day from the shell.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use serde_json::{Value, json};

use crate::program::{Home, Serving, rest, signal};

/// A served event with two teams and a fixture.
fn harbour(home: &Home) -> Serving {
    let serving = home.serve();
    home.ok(&["event", "create", "Harbour Cup", "--date", "2026-07-18", "--tz", "Europe/Berlin"]);
    home.ok(&["team", "add", "Eagles", "--code", "EAG", "--group", "A"]);
    home.ok(&["team", "add", "Hawks", "--code", "HAW", "--group", "A"]);
    home.ok(&["venue", "add", "School field", "--area", "Pitch 1", "--area", "Pitch 2"]);
    home.ok(&["fixture", "add", "EAG", "HAW", "--at", "09:30", "--venue", "School field", "--area", "Pitch 1"]);
    serving
}

#[test]
fn a_result_typed_in_reaches_a_tail_that_listens() {
    let home = Home::new();
    let _serving = harbour(&home);
    let mut tail = home.command(&["tail", "--topic", "results", "--count", "3", "--timeout", "20s"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // The board of the snapshot: from here on the tail is live.
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["type"], "leaderboard_update");

    let out = home.ok(&["result", "add", "EAG", "2-1", "HAW"]);
    assert!(out.contains("Eagles") && out.contains("2-1") && out.contains("Hawks"), "{out}");

    let mut kinds: Vec<Value> = (0..2)
        .map(|_| serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["type"].clone())
        .collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["leaderboard_update", "result_update"]);
    assert!(tail.wait().unwrap().success(), "three were asked for");
}

#[test]
fn where_websockets_are_blocked_a_tail_says_so_and_brings_the_same() {
    let home = Home::new();
    let serving = harbour(&home);
    let blocked = without_websockets(serving.address.strip_prefix("http://").unwrap());
    let tail = |server: &str, more: &[&str]| {
        let args = ["--server", server, "tail", "--topic", "results", "--count", "3", "--timeout", "20s"];
        home.command(&[&args, more].concat()).spawn().unwrap()
    };
    let mut tails = [tail(&serving.address, &[]), tail(&serving.address, &["--transport", "sse"]), tail(&blocked, &[])];
    let mut lines: Vec<_> = tails.iter_mut().map(|tail| BufReader::new(tail.stdout.take().unwrap()).lines()).collect();
    let first: Vec<_> = lines.iter_mut().map(|lines| lines.next().unwrap().unwrap()).collect();
    assert!(first[0].contains("leaderboard_update"), "{first:?}");
    home.ok(&["result", "add", "EAG", "2-1", "HAW"]);
    let then: Vec<Vec<_>> = lines.into_iter().map(|lines| lines.map(Result::unwrap).collect()).collect();
    assert_eq!(then[0].len(), 2);
    for other in 1..3 {
        assert_eq!((&first[other], &then[other]), (&first[0], &then[0]), "byte for byte");
    }
    let said: Vec<_> = tails
        .into_iter()
        .map(|tail| {
            let ended = tail.wait_with_output().unwrap();
            assert!(ended.status.success());
            String::from_utf8(ended.stderr).unwrap().contains("LIVE sse: WebSockets are blocked here")
        })
        .collect();
    assert_eq!(said, [false, false, true], "told where it is not what was asked for");

    let ran = home.timely(&["--server", &blocked, "tail", "--transport", "ws"]);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("403"), "{}", ran.err);
    let ran = home.timely(&["tail", "--transport", "pigeon"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`pigeon` is not a transport; use ws or sse"), "{}", ran.err);
}

/// The address of a firewall before a server, that lets everything through but WebSockets. It lasts
/// as long as the process.
fn without_websockets(upstream: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = upstream.to_owned();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, upstream) = (client.unwrap(), upstream.clone());
            thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if client.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                if String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket") {
                    let page = "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
                    client.write_all(page.as_bytes()).unwrap();
                    return;
                }
                let mut server = TcpStream::connect(upstream).unwrap();
                server.write_all(&head).unwrap();
                let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let sending = thread::spawn(move || io::copy(&mut up, &mut server));
                // Either side may leave: the other then learns it from its own socket.
                let _ = io::copy(&mut down, &mut client);
                let _ = client.shutdown(Shutdown::Both);
                let _ = sending.join();
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn score_order_is_the_order_typed() {
    let home = Home::new();
    let _serving = harbour(&home);
    let result = home.json(&["result", "add", "HAW", "1-2", "EAG", "--json"]);
    assert_eq!((&result["home_score"], &result["away_score"]), (&json!(2), &json!(1)));
    let again = home.timely(&["result", "add", "1", "2-1"]);
    assert_eq!(again.code, 0, "the same result again is unchanged: {again:?}");
    assert!(again.out.contains("unchanged") || again.err.contains("unchanged"), "{again:?}");
}

#[test]
fn refusals_have_their_exit_codes_and_write_nothing() {
    let home = Home::new();
    let serving = harbour(&home);
    home.ok(&["result", "add", "EAG", "2-1", "HAW"]);
    for (why, args, code, hint) in [
        ("a near miss", &["result", "add", "EGL", "2-1", "HAW"][..], 3, "EAG"),
        ("an absurd score", &["result", "add", "EAG", "2000-1", "HAW"], 2, "2-1"),
        ("no score", &["result", "add", "EAG", "two", "HAW"], 2, "2-1"),
        ("replacing by add", &["result", "add", "EAG", "3-1", "HAW"], 5, "result correct"),
        ("an unknown fixture", &["fixture", "start", "99"], 3, "99"),
        ("a usage error", &["result", "add"], 2, "Usage"),
        ("an unknown command", &["ressult"], 2, "result"),
        ("an ambiguous time", &["fixture", "reschedule", "1", "3/4"], 2, "3/4"),
        ("a finished fixture", &["fixture", "reschedule", "1", "+20m"], 1, "#1"),
        ("an emergency off a terminal", &["announce", "Leave", "--type", "emergency"], 2, "--confirm EMERGENCY"),
    ] {
        let ran = home.timely(args);
        assert_eq!(ran.code, code, "{why}: {ran:?}");
        assert!(ran.err.contains(hint), "{why}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{why}: {ran:?}");
    }
    let result = home.json(&["result", "show", "1", "--json"]);
    assert_eq!((&result["home_score"], &result["version"]), (&json!(2), &json!(1)));

    let error = home.timely(&["result", "add", "EGL", "2-1", "HAW", "--json"]);
    let object: Value = serde_json::from_str(&error.err).expect("errors are one JSON object with --json");
    assert!(object["message"].is_string() && object["code"].is_string(), "{object}");

    serving.kill();
    let ran = home.timely(&["--server", "http://127.0.0.1:9", "status"]);
    assert_eq!(ran.code, 6, "nobody answers: {ran:?}");
}

#[test]
fn a_correction_names_what_it_saw() {
    let home = Home::new();
    let _serving = harbour(&home);
    home.ok(&["result", "add", "EAG", "2-1", "HAW"]);
    home.ok(&["result", "correct", "EAG", "2-2", "HAW", "--reason", "goal at the buzzer counted"]);
    let result = home.json(&["result", "show", "1", "--json"]);
    assert_eq!((&result["away_score"], &result["version"]), (&json!(2), &json!(2)));
    let standings = home.ok(&["standings"]);
    assert!(standings.lines().count() >= 2 && standings.contains('\t'), "tab-separated off a terminal: {standings}");
}

#[test]
fn fixtures_move_and_announcements_go_out() {
    let home = Home::new();
    let _serving = harbour(&home);
    let moved = home.json(&["fixture", "reschedule", "1", "+20m", "--json"]);
    assert_eq!(moved["start_at"], "2026-07-18T07:50:00Z", "half past nine in Berlin, twenty minutes later");
    home.ok(&["announce", "Gate 4 is closed", "--priority", "high"]);
    let list = home.json(&["announce", "list", "--json"]);
    let items = list["items"].as_array().or(list.as_array()).unwrap();
    assert_eq!((&items[0]["title"], &items[0]["priority"]), (&json!("Gate 4 is closed"), &json!("HIGH")));
}

#[test]
fn a_token_does_what_it_is_for_and_no_more() {
    let home = Home::new();
    let serving = harbour(&home);
    let token = home.json(&["token", "create", "--role", "scorer", "--area", "Pitch 2", "--json"]);
    std::fs::write(home.path().join("token"), token["token"].as_str().unwrap()).unwrap();
    let as_scorer = |args: &[&str]| {
        let output = home
            .command(args)
            .env("TIMELY_TOKEN_FILE", home.path().join("token"))
            .env("TIMELY_SERVER", &serving.address)
            .output()
            .unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(as_scorer(&["result", "add", "1", "2-1"]), 4, "the fixture is on pitch 1");
    assert_eq!(as_scorer(&["announce", "Hello"]), 4);
    home.ok(&["token", "revoke", &token["id"].to_string()]);
    assert_eq!(as_scorer(&["event", "list"]), 4, "a revoked token is refused even where none is needed");
}

#[test]
fn hostile_names_reach_no_terminal() {
    let home = Home::new();
    let _serving = harbour(&home);
    home.ok(&["team", "add", "Evil\u{1b}[31m\u{202e}FC\u{9b}2J", "--code", "EVL"]);
    for args in [&["team", "list"][..], &["standings"], &["status"], &["fixture", "list"]] {
        let out = home.ok(args);
        assert!(out.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{args:?}: {out:?}");
        assert!(!out.contains('\u{202e}'), "{args:?}: {out:?}");
    }
}

#[test]
fn an_import_is_whole_or_not_at_all() {
    let home = Home::new();
    let _serving = home.serve();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data");
    home.ok(&["import", &format!("{data}/harbour-cup.toml")]);
    let fixtures = home.json(&["fixture", "list", "--json"]);
    assert!(fixtures["items"].as_array().or(fixtures.as_array()).unwrap().len() >= 24);
    let text = std::fs::read_to_string(format!("{data}/harbour-cup.toml")).unwrap();
    let broken = home.path().join("broken.toml");
    for (why, from, to) in
        [("syntax", "[event]", "[event"), ("an unknown field", "[event]", "[event]\ncolour = \"red\"")]
    {
        std::fs::write(&broken, text.replacen(from, to, 1).replace("Harbour Cup", "Broken Cup")).unwrap();
        let ran = home.timely(&["import", "broken.toml"]);
        assert_eq!(ran.code, 1, "{why}: {ran:?}");
        assert!(ran.err.contains("broken.toml:3:") || ran.err.contains("colour"), "{why}: {ran:?}");
    }
    assert!(!home.ok(&["event", "list"]).contains("Broken"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let home = Home::new();
    let _serving = harbour(&home);
    let mut tail = home.command(&["-q", "tail"]).spawn().unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let mut code = None;
    for score in 0..50_u16 {
        home.ok(&["result", "live", "1", &format!("{score}-0")]);
        code = tail.try_wait().unwrap().map(|status| status.code());
        if code.is_some() {
            break;
        }
    }
    assert_eq!(code, Some(Some(141)));
    let mut err = String::new();
    tail.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
}

#[test]
fn a_second_server_on_the_same_file_names_the_first_and_a_taken_port_says_what_to_do() {
    let home = Home::new();
    let serving = home.serve();
    let second = home.timely(&["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
    assert_ne!(second.code, 0);
    assert!(second.err.contains(&serving.pid().to_string()), "{second:?}");
    let port = serving.address.rsplit(':').next().unwrap();
    let taken = home.timely(&["serve", "--data", "other", "--listen", &format!("127.0.0.1:{port}")]);
    assert_ne!(taken.code, 0);
    assert!(taken.err.contains("--listen"), "{taken:?}");
}

#[test]
fn a_terminated_server_ends_well_and_its_data_is_there_again() {
    let home = Home::new();
    let serving = harbour(&home);
    home.ok(&["result", "add", "EAG", "2-1", "HAW"]);
    assert_eq!(serving.terminate(), Some(0));
    let _serving = home.serve();
    assert_eq!(home.json(&["result", "show", "1", "--json"])["home_score"], 2);
}

#[test]
fn the_owner_token_is_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let _serving = home.serve();
    let mode = |path: &str| std::fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data/owner.token"), 0o600);
    assert_eq!(mode("data/timely.db"), 0o600);
    assert_eq!(mode("run/timely"), 0o700);
    for entry in std::fs::read_dir(home.path().join("run/timely")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn serve_with_json_says_what_a_script_needs() {
    let home = Home::new();
    let mut child = home
        .command(&["serve", "--data", "data", "--listen", "127.0.0.1:0", "--json"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    assert!(started["listening"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(started["pid"], child.id());
    assert!(started["epoch"].is_string() && started["data"].is_string());
    signal(child.id(), "INT");
    assert_eq!(rest(&mut child), "");
    child.wait().unwrap();
}
