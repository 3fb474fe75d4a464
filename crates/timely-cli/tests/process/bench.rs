//! The load generator: every subscriber gets everything, and nothing is left behind.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::{Home, signal};

const SHORT: [&str; 7] = ["bench", "--subscribers", "50", "--duration", "2s", "--json", "--rate"];

/// What holds of every measurement without a fault.
#[track_caller]
fn check(report: &Value, transport: &str, load: &str) {
    for count in ["lost", "doubled", "reordered", "refused", "closed", "resyncs"] {
        assert_eq!(report[count], 0, "{count}: {report}");
    }
    assert_eq!((&report["transport"], &report["load"]), (&json!(transport), &json!(load)));
    assert_eq!(report["subscribers"], 50);
    let published = report["published"].as_u64().unwrap();
    assert!(published > 0, "{report}");
    assert_eq!(report["deliveries"], published * 50);
    let number = |pointer: &str| {
        report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {report}"))
    };
    for positive in ["/deliveries_per_s", "/handshakes_per_s", "/duration_s", "/resident_bytes_idle"] {
        assert!(number(positive) > 0.0, "{positive}: {report}");
    }
    for percentiles in ["/ack_ms", "/first_ms", "/last_ms"] {
        let values = ["p50", "p90", "p99", "max"].map(|name| number(&format!("{percentiles}/{name}")));
        assert!(values[0] > 0.0 && values.is_sorted(), "{percentiles}: {report}");
    }
    assert!(number("/first_ms/max") <= number("/last_ms/max"), "{report}");
    assert!(number("/server_cpu_s") >= 0.0 && number("/own_cpu_s") >= 0.0, "{report}");
}

#[test]
fn every_subscriber_gets_every_message_once_and_in_order() {
    let home = Home::new();
    let run = |rate: &str, more: &[&str]| {
        let mut args = SHORT.to_vec();
        args.push(rate);
        args.extend(more);
        home.json(&args)
    };
    let report = run("20", &[]);
    check(&report, "websocket", "announcements");
    assert_eq!((&report["published"], &report["rate"], &report["window"]), (&json!(40), &json!(20), &Value::Null));
    assert_eq!((&report["own_server"], &report["wrong_boards"]), (&json!(true), &Value::Null));
    check(&run("20", &["--sse"]), "sse", "announcements");
    for more in [&["--results"][..], &["--results", "--sse", "--threads", "2"]] {
        let report = run("20", more);
        check(&report, if more.len() > 1 { "sse" } else { "websocket" }, "results");
        assert_eq!(report["wrong_boards"], 0, "{report}");
    }
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_closed_loop_has_no_rate() {
    let home = Home::new();
    let args = ["bench", "--subscribers", "50", "--duration", "500ms", "--window", "4"];
    let report = home.json(&[&args[..], &["--json"]].concat());
    check(&report, "websocket", "announcements");
    assert_eq!((&report["rate"], &report["window"], &report["behind_ms_max"]), (&Value::Null, &json!(4), &Value::Null));
    // The same for scripts: name, value and unit.
    let out = home.ok(&args);
    for line in ["lost\t0\t", "doubled\t0\t", "reordered\t0\t", "subscribers\t50\t"] {
        assert!(out.lines().any(|row| row == line), "{line:?} is missing: {out}");
    }
    assert!(out.lines().all(|row| row.split('\t').count() == 3), "{out}");
}

#[test]
fn a_running_server_keeps_its_events_and_loses_the_one_of_the_measurement() {
    let home = Home::new();
    let serving = home.serve();
    home.ok(&["event", "create", "Harbour Cup", "--date", "2026-07-18"]);
    let report = home.json(&[&SHORT[..], &["20", "--results"]].concat());
    check(&report, "websocket", "results");
    assert_eq!((&report["own_server"], &report["server"]), (&json!(false), &json!(serving.address)));
    let events = home.json(&["event", "list", "--json"]);
    let names: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["name"]).collect();
    assert_eq!(names, ["Harbour Cup"]);

    // Ctrl-C in the middle.
    let mut bench =
        home.command(&["bench", "--subscribers", "10", "--duration", "10m"]).stdout(Stdio::null()).spawn().unwrap();
    let mut told = BufReader::new(bench.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.starts_with("Publishing")), "it never starts");
    assert_eq!(home.json(&["event", "list", "--json"])["items"].as_array().unwrap().len(), 2);
    signal(bench.id(), "INT");
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    assert_eq!(home.json(&["event", "list", "--json"])["items"].as_array().unwrap().len(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    let home = Home::new();
    for (args, hint) in [
        (&["bench", "--subscribers", "0"][..], "--subscribers"),
        (&["bench", "--rate", "0"], "--rate"),
        (&["bench", "--duration", "0s"], "--duration"),
        (&["bench", "--window", "0"], "--window"),
        (&["bench", "--rate", "5", "--window", "5"], "--window"),
        (&["bench", "--results", "--announcements"], "--announcements"),
        (&["bench", "--event", "1"], "--event"),
        (&["bench", "--results", "--rate", "100000", "--duration", "1h"], "lower rate"),
        // Addresses for documentation (RFC 5737): nobody is ever there.
        (&["bench", "--server", "http://192.0.2.1:8000"], "--yes"),
        (&["bench", "--server", "https://127.0.0.1:8000"], "http://"),
    ] {
        let ran = home.timely(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.err.contains(hint), "{args:?}: {ran:?}");
    }
    let nobody = home.timely(&["bench", "--server", "127.0.0.1:9"]);
    assert_eq!(nobody.code, 6, "{nobody:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing was started");
}
