use crossterm::event::KeyCode;
use serde_json::{Value, json};
use timely_client::live::Transport;

use super::*;
use crate::testing::{
    Desk, NOW, announcement, board, connected, evening, fixture_47, live, removed, result, row, schedule, status,
    subscribed,
};
use crate::view::tests::drawn;

/// What happens to a desk.
type Step = fn(&mut Desk);

/// What a viewer sees.
fn seen(desk: &Desk) -> String {
    drawn(&desk.app, 160, 50)
}

/// What the badge says.
fn badge(desk: &Desk) -> String {
    let badge = desk.app.link.badge(desk.now);
    format!("{} {}", badge.words, badge.detail).trim_end().to_owned()
}

fn leader(app: &App) -> String {
    app.board().map(|(_, board)| board.rows[0].team_name.clone()).unwrap_or_default()
}

#[test]
fn frames_that_come_again_change_nothing() {
    let mut desk = Desk::of_the_evening();
    let before = seen(&desk);
    let mut frames = evening();
    frames.retain(|frame| frame["pos"].is_u64());
    for frame in &frames {
        assert_eq!(desk.hear(frame), [], "nothing is asked for twice");
    }
    assert_eq!(seen(&desk), before, "in the order of the connection");
    for mut frame in frames.into_iter().rev() {
        frame["replay"] = json!(true);
        desk.hear(&frame);
    }
    assert_eq!(seen(&desk), before, "backwards, as parts of snapshots");
}

#[test]
fn state_that_comes_late_is_dropped() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&board(94, "E", &[row(1, 6, "Spain", [2, 1, 1, 0, 8, 1], 0)]));
    assert_eq!(leader(&desk.app), "Japan", "older than what is shown");
    desk.hear(&board(96, "E", &[row(1, 6, "Spain", [3, 2, 1, 0, 10, 3], 1)]));
    assert_eq!(leader(&desk.app), "Spain");

    desk.hear(&fixture_47(99, "2022-12-02T19:30:00Z", "POSTPONED"));
    desk.hear(&schedule(97));
    let status = |desk: &Desk| desk.app.fixture_of(FixtureId(47)).map(|fixture| fixture.status);
    assert_eq!(status(&desk), Some(FixtureStatus::Postponed), "a newer schedule is older than this fixture");
    desk.hear(&fixture_47(98, "2022-12-02T19:00:00Z", "SCHEDULED"));
    assert_eq!(status(&desk), Some(FixtureStatus::Postponed), "an older update of the fixture");
    desk.hear(&schedule(100));
    assert_eq!(status(&desk), Some(FixtureStatus::Scheduled), "the whole truth as of 100");

    desk.hear(&result(97, 44, (2, 2), "LIVE", &[], NOW));
    desk.hear(&result(96, 44, (2, 1), "LIVE", &[], NOW));
    let score = desk.app.result_of(FixtureId(44)).map(|(_, score)| score);
    assert_eq!(score, Some(Score { home: 2, away: 2 }), "an older version");
}

#[test]
fn a_fixture_that_the_schedule_no_longer_has_is_gone() {
    let mut desk = Desk::of_the_evening();
    let mut without_54 = schedule(96);
    without_54["data"]["schedule"].as_array_mut().unwrap().pop();
    desk.hear(&without_54);
    assert_eq!(desk.app.fixture_of(FixtureId(54)), None);
}

#[test]
fn a_goal_a_correction_and_a_removal_are_told_by_their_names() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&result(96, 44, (2, 2), "LIVE", &[(4, 73, "Kai Havertz")], NOW));
    desk.hear(&result(97, 44, (2, 1), "LIVE", &[(4, 10, "Serge Gnabry")], NOW));
    let mut annulled = result(98, 44, (0, 0), "ANNULLED", &[], NOW);
    annulled["data"]["result"]["home_score"] = Value::Null;
    annulled["data"]["result"]["away_score"] = Value::Null;
    desk.hear(&annulled);
    let seen = drawn(&desk.app, 200, 50);
    for words in [
        "GOAL      Costa Rica 2-2 Germany (73' Kai Havertz)",
        "CORRECTED Costa Rica 2-1 Germany",
        "REMOVED   Costa Rica v Germany",
    ] {
        assert!(seen.contains(words), "{words} in\n{seen}");
    }
    assert_eq!(desk.app.result_of(FixtureId(44)), None, "a removed result is no score");
}

#[test]
fn the_table_follows_what_is_played_until_somebody_chooses() {
    let mut desk = Desk::of_the_evening();
    let shown = |desk: &Desk| desk.app.board().and_then(|(group, _)| group.clone()).unwrap_or_default();
    assert_eq!(shown(&desk), "E", "43 and 44 are being played");
    desk.press(KeyCode::Tab);
    assert_eq!(shown(&desk), "F");
    desk.press(KeyCode::Right);
    assert_eq!(shown(&desk), "E", "round and round");
    desk.press(KeyCode::Left);
    assert_eq!(shown(&desk), "F");
    desk.hear(&board(97, "E", &[]));
    assert_eq!(shown(&desk), "F", "chosen is chosen");
    desk.press(KeyCode::Esc);
    assert_eq!(shown(&desk), "E");
    assert_eq!(Desk::new().press(KeyCode::Tab), [], "without tables there is nothing to choose");
}

#[test]
fn the_screen_grows_old_without_a_word() {
    let mut desk = Desk::of_the_evening();
    for (seconds, words, is_live) in
        [(6, "LIVE ws", true), (5, "LIVE ws, quiet 11s", true), (1, "STALE 0:12", false), (40, "STALE 0:52", false)]
    {
        desk.wait(seconds);
        assert_eq!((badge(&desk).as_str(), desk.app.link.is_live(desk.now)), (words, is_live));
    }
    let seen = seen(&desk);
    assert!(seen.contains("STALE 0:52, showing 23:28:13 +03"), "{seen}");
    desk.hear(&status("2022-12-01T21:20:13Z", 60.0));
    assert!(desk.app.link.is_live(desk.now), "one status is enough to be sure again");
}

#[test]
fn a_lost_connection_is_told_and_r_tries_at_once() {
    let mut desk = Desk::new();
    assert_eq!(badge(&desk), "CONNECTING");
    let lose = |desk: &mut Desk| desk.lose("refused\u{1b}[2J", 3, 5);
    lose(&mut desk);
    assert_eq!(badge(&desk), "CONNECTING in 5s (try 3)", "never connected yet");
    let mut desk = Desk::of_the_evening();
    lose(&mut desk);
    let shown = seen(&desk);
    assert!(shown.contains("RECONNECTING in 5s (try 3)") && shown.contains("No connection: refused\u{fffd}[2J"));
    assert_eq!(desk.press(KeyCode::Char('r')), [Request::Reconnect]);
    assert_eq!(badge(&desk), "RECONNECTING (try 3)");
    desk.open(Transport::Sse);
    assert_eq!(badge(&desk), "RECONNECTING", "open, but nothing was heard yet");
    desk.hear(&connected("e1"));
    assert_eq!(badge(&desk), "LIVE sse");
    assert!(seen(&desk).contains("Japan"), "what was known is still shown");
}

#[test]
fn another_log_starts_from_nothing() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&connected("e2"));
    assert!(desk.app.board().is_none());
    assert_eq!(desk.app.news.latest().count(), 0);
    desk.hear(&board(3, "E", &[row(1, 6, "Spain", [1, 1, 0, 0, 7, 0], 0)]));
    assert_eq!(leader(&desk.app), "Spain", "its positions start anew");
    assert!(matches!(desk.hear(&live(3)).as_slice(), [Request::Load { epoch }] if epoch.0 == "e2"));
}

#[test]
fn what_the_opening_leaves_out_is_read_once_and_again_after_a_failure() {
    let epoch = || Epoch("e1".into());
    let mut desk = Desk::new();
    let asked: Vec<Request> = evening().iter().flat_map(|frame| desk.hear(frame)).collect();
    assert_eq!(asked, [Request::Load { epoch: epoch() }], "with `live`, and not again while it is on its way");
    desk.update(Message::Loaded(Loaded::Failed { epoch: epoch(), cause: "no answer".into() }));
    assert!(seen(&desk).contains("older results are missing: no answer"));
    assert_eq!(desk.hear(&status(NOW, 60.0)), [Request::Load { epoch: epoch() }], "again");

    let mut old: Value = result(70, 42, (0, 0), "OFFICIAL", &[], NOW)["data"]["result"].take();
    old["version"] = json!(1);
    let stale: FixtureResult = serde_json::from_value(old.clone()).unwrap();
    old["fixture_id"] = json!(1);
    let older: FixtureResult = serde_json::from_value(old).unwrap();
    let loaded = |epoch| Loaded::Opening { epoch, is_demo: true, results: vec![older.clone(), stale.clone()] };
    desk.update(Message::Loaded(loaded(Epoch("e0".into()))));
    assert!(!desk.app.is_demo, "an answer about another log");
    desk.update(Message::Loaded(loaded(epoch())));
    assert!(desk.app.is_demo && desk.app.result_of(FixtureId(1)).is_some());
    assert_eq!(desk.app.result_of(FixtureId(42)).map(|(result, _)| result.version), Some(70), "the newer one stays");
    assert_eq!(desk.hear(&status(NOW, 60.0)), [], "done");
    assert!(!seen(&desk).contains("older results are missing"));
}

#[test]
fn announcements_stand_until_they_are_taken_back_or_over() {
    let mut desk = Desk::of_the_evening();
    let high = |desk: &Desk| desk.app.banner(Priority::High).map(|(announcement, ..)| announcement.title.clone());
    assert_eq!(high(&desk).as_deref(), Some("Gate 4 is closed"));
    desk.hear(&removed(96, 2, "withdrawn"));
    assert_eq!(high(&desk), None);
    desk.hear(&announcement(93, 2, "GENERAL", "HIGH", "Gate 4 is closed", None));
    assert_eq!(high(&desk), None, "a copy that comes late does not bring it back");
    desk.hear(&announcement(97, 2, "GENERAL", "HIGH", "Gate 4 is closed again", None));
    assert_eq!(high(&desk).as_deref(), Some("Gate 4 is closed again"), "said again it stands again");
    desk.hear(&announcement(98, 3, "GENERAL", "HIGH", "Lost child", Some("2022-12-01T20:29:13Z")));
    assert_eq!(high(&desk).as_deref(), Some("Lost child"), "the newest first");
    desk.wait(1);
    assert_eq!(high(&desk).as_deref(), Some("Gate 4 is closed again"), "a minute of event time has passed");
}

#[test]
fn what_a_snapshot_does_not_tell_has_left_the_screens() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&connected("e1"));
    desk.hear(&subscribed("announcements", false));
    assert!(seen(&desk).contains("Gate 4 is closed"), "nothing flickers meanwhile");
    desk.hear(&announcement(88, 1, "GENERAL", "NORMAL", "Tram 3 runs every 6 minutes", None));
    desk.hear(&live(99));
    let shown = seen(&desk);
    assert!(!shown.contains("Gate 4 is closed") && shown.contains("Tram 3"), "{shown}");

    let mut desk = Desk::of_the_evening();
    desk.hear(&connected("e1"));
    desk.hear(&subscribed("announcements", true));
    desk.hear(&live(99));
    assert!(seen(&desk).contains("Gate 4 is closed"), "after a recovery everything known still holds");
}

#[test]
fn an_emergency_takes_the_screen_until_somebody_looks_behind_it() {
    let mut desk = Desk::of_the_evening();
    let emergency = |pos, id| announcement(pos, id, "EMERGENCY", "URGENT", "Leave the hall by exits A and C", None);
    assert_eq!(desk.hear(&emergency(96, 7)), [Request::Bell]);
    assert_eq!(desk.hear(&emergency(96, 7)), [], "its early copy and its turn ring once");
    assert!(seen(&desk).contains("!! EMERGENCY") && !seen(&desk).contains("Group E"));
    desk.press(KeyCode::Char('e'));
    assert!(seen(&desk).contains("EMERGENCY going on") && seen(&desk).contains("Group E"));
    desk.press(KeyCode::Char('e'));
    assert!(!seen(&desk).contains("Group E"), "and back");
    desk.press(KeyCode::Char('e'));
    assert_eq!(desk.hear(&emergency(97, 7)), [Request::Bell], "said again it takes the screen again");
    assert!(!seen(&desk).contains("Group E"));
    desk.hear(&removed(98, 7, "withdrawn"));
    assert!(seen(&desk).contains("Group E") && !seen(&desk).contains("EMERGENCY"));
}

#[test]
fn after_the_last_word_nothing_is_shown_any_more() {
    let mut desk = Desk::of_the_evening();
    desk.update(Message::Live(Live::Ended { reason: "it is gone".into() }));
    let shown = seen(&desk);
    assert!(shown.contains("ENDED") && shown.contains("it is gone") && !shown.contains("Japan"), "{shown}");
    assert_eq!(desk.press(KeyCode::Char('q')), [Request::Quit]);
}

#[test]
fn a_message_of_a_newer_server_is_said_not_swallowed() {
    let mut desk = Desk::of_the_evening();
    assert_eq!(desk.hear(&json!({"type": "presence", "data": {}})), [], "an unknown type is left alone");
    assert!(desk.app.notice.is_none());
    let mut strange = result(96, 44, (3, 1), "LIVE", &[], NOW);
    strange["data"] = json!({"event_id": 1, "result": 7});
    desk.hear(&strange);
    assert!(seen(&desk).contains("a result_update is not understood"));
}

/// The connection is lost for a while, stands again, and the server says this until it is live.
fn come_back(desk: &mut Desk, recovered: bool, says: &[Value]) {
    desk.lose("reset", 1, 1);
    desk.wait(20);
    desk.open(Transport::WebSocket);
    desk.hear(&connected("e1"));
    for stream in ["results", "schedule", "announcements"] {
        desk.hear(&subscribed(stream, recovered));
    }
    for frame in says {
        assert_eq!(desk.app.back_online(), None, "not before everything is here");
        desk.hear(frame);
    }
    desk.hear(&live(99));
}

#[test]
fn back_online_it_says_what_was_caught_up() {
    let goal = || result(96, 44, (2, 2), "LIVE", &[], NOW);
    let moved = || fixture_47(97, "2022-12-02T19:30:00Z", "SCHEDULED");
    let gone = || removed(98, 2, "withdrawn");
    let known = || result(95, 44, (2, 1), "LIVE", &[], NOW);
    for (why, recovered, says, note) in [
        ("nothing happened", true, vec![], "Back online: nothing missed"),
        ("one", true, vec![goal()], "Back online: 1 change caught up"),
        ("of each kind", true, vec![goal(), moved(), gone()], "Back online: 3 changes caught up"),
        ("what was known is no news", true, vec![known(), goal()], "Back online: 1 change caught up"),
        ("state is no change", true, vec![board(96, "E", &[])], "Back online: nothing missed"),
        ("something may be missing", false, vec![goal()], "Back online: shown anew"),
    ] {
        let mut desk = Desk::of_the_evening();
        assert_eq!(desk.app.back_online(), None, "not at the first connection");
        come_back(&mut desk, recovered, &says);
        assert_eq!(desk.app.back_online(), Some(note), "{why}");
        assert!(seen(&desk).contains(note));
        desk.wait(4);
        assert_eq!(desk.app.back_online(), Some(note));
        desk.wait(1);
        assert_eq!(desk.app.back_online(), None, "for five seconds");
    }

    let mut desk = Desk::of_the_evening();
    come_back(&mut desk, true, &[]);
    desk.lose("reset", 1, 1);
    assert_eq!(desk.app.back_online(), None, "and lost again");
}

#[test]
fn another_log_is_shown_anew() {
    let mut desk = Desk::of_the_evening();
    desk.lose("reset", 1, 1);
    desk.open(Transport::WebSocket);
    desk.hear(&connected("e2"));
    desk.hear(&live(3));
    assert_eq!(desk.app.back_online(), Some("Back online: shown anew"));
}

#[test]
fn a_silence_that_ends_by_itself_is_told_too() {
    let mut desk = Desk::of_the_evening();
    desk.wait(14);
    desk.hear(&result(96, 44, (2, 2), "LIVE", &[], NOW));
    desk.hear(&removed(97, 2, "withdrawn"));
    assert_eq!(desk.app.back_online(), Some("Back online: 2 changes caught up"));
    desk.wait(1);
    desk.hear(&result(98, 44, (3, 2), "LIVE", &[], NOW));
    assert_eq!(desk.app.back_online(), Some("Back online: 2 changes caught up"), "this one is new");
}

#[test]
fn clocks_and_waits_stop_with_the_news() {
    let mut desk = Desk::of_the_evening();
    let line = |desk: &Desk, of: &str| seen(desk).lines().find(|line| line.contains(of)).map(str::to_owned);
    let waits = |desk: &Desk| line(desk, "GHA v URU").unwrap();
    assert!(waits(&desk).contains("in 18h31m"));
    desk.wait(11);
    assert!(waits(&desk).contains("in 18h20m"), "at sixty times the speed");
    desk.wait(1);
    assert!(waits(&desk).contains("in 18h31m"), "as of the last word");
    desk.wait(300);
    assert!(waits(&desk).contains("in 18h31m"));
    assert!(seen(&desk).contains("23:28 +03"));
}

#[test]
fn a_row_that_has_changed_stands_out_for_a_while() {
    let mut desk = Desk::of_the_evening();
    let changed = |desk: &Desk| -> Vec<String> {
        let (_, board) = desk.app.board().unwrap();
        let changed = board.rows.iter().filter(|row| board.has_just_changed(row.team_id, desk.now));
        changed.map(|row| row.team_name.clone()).collect()
    };
    assert_eq!(changed(&desk), [""; 0], "a table that is seen for the first time has not changed");
    let now_second = [
        row(1, 5, "Japan", [3, 2, 0, 1, 4, 3], 1),
        row(2, 6, "Spain", [3, 1, 1, 1, 9, 3], 1),
        row(3, 3, "Costa Rica", [3, 1, 1, 1, 3, 8], 1),
        row(4, 4, "Germany", [3, 0, 1, 2, 3, 6], 1),
    ];
    desk.hear(&board(96, "E", &now_second));
    assert_eq!(changed(&desk), ["Spain", "Costa Rica"], "place or points; not the goals alone");
    desk.wait(20);
    desk.hear(&board(97, "E", &now_second));
    assert_eq!(changed(&desk), ["Spain", "Costa Rica"], "told again it has not changed again");
    desk.wait(10);
    assert_eq!(changed(&desk), [""; 0]);
}

#[test]
fn an_urgent_announcement_takes_half_the_screen_for_a_while() {
    let mut desk = Desk::of_the_evening();
    let urgent = |pos, title: &str| announcement(pos, 8, "WEATHER", "URGENT", title, None);
    let title = |desk: &Desk| desk.app.just_urgent().map(|announcement| announcement.title.clone());
    assert_eq!(title(&desk), None);
    desk.hear(&urgent(96, "Storm"));
    desk.wait(19);
    assert_eq!(title(&desk).as_deref(), Some("Storm"));
    desk.wait(1);
    assert_eq!(title(&desk), None);
    assert!(seen(&desk).contains("!! URGENT Storm"), "it stays in the banner");
    desk.hear(&urgent(96, "Storm"));
    assert_eq!(title(&desk), None, "a copy is no news");
    desk.hear(&urgent(97, "Storm at nine"));
    assert_eq!(title(&desk).as_deref(), Some("Storm at nine"), "an edit is");
    desk.hear(&removed(98, 8, "withdrawn"));
    assert_eq!(title(&desk), None);
    assert!(!seen(&desk).contains("Storm"));
}

#[test]
fn the_banner_has_the_normal_ones_in_turn_when_nothing_is_louder() {
    let mut desk = Desk::of_the_evening();
    let banner = |desk: &Desk| seen(desk).lines().nth(1).unwrap_or_default().trim_matches(['"', ' ']).to_owned();
    assert!(banner(&desk).starts_with("! HIGH Gate 4 is closed"));
    desk.hear(&removed(96, 2, "withdrawn"));
    assert!(banner(&desk).starts_with("INFO Tram 3 runs every 6 minutes: Please use Gate 6"));
    desk.hear(&announcement(97, 9, "SCHEDULE", "NORMAL", "Ceremony at nine", None));
    desk.hear(&announcement(98, 10, "GENERAL", "LOW", "Lost umbrella", None));
    let mut turns = Vec::new();
    for _ in 0..3 {
        turns.push(banner(&desk));
        desk.wait(8);
        desk.hear(&status(NOW, 60.0));
    }
    assert!(turns[0].starts_with("SCHEDULE Ceremony at nine") && turns[0].ends_with("[1/2]"), "{turns:?}");
    assert!(turns[1].starts_with("INFO Tram 3") && turns[1].ends_with("[2/2]"), "{turns:?}");
    assert_eq!(turns[2], turns[0]);
    assert!(seen(&desk).contains("Lost umbrella"), "among the latest, where the quiet ones are");
}

#[test]
fn an_emergency_is_shown_in_every_state_of_the_connection() {
    let emergency = || announcement(96, 7, "EMERGENCY", "URGENT", "Leave the hall by exits A and C", None);
    let states: [(&str, Step); 4] = [
        ("STALE 0:30", |desk| desk.wait(30)),
        ("RECONNECTING in 5s", |desk| desk.lose("reset", 1, 5)),
        ("LIVE ws", |_| {}),
        ("ENDED", |desk| {
            desk.update(Message::Live(Live::Ended { reason: "gone".into() }));
        }),
    ];
    for (words, state) in states {
        let mut desk = Desk::of_the_evening();
        desk.hear(&emergency());
        state(&mut desk);
        let shown = seen(&desk);
        assert!(shown.contains("!! EMERGENCY") && shown.contains(words), "{words} in\n{shown}");
        desk.press(KeyCode::Char('e'));
        assert!(seen(&desk).contains("EMERGENCY going on") && !seen(&desk).contains("look behind"), "{words}");
    }
}

#[test]
fn an_announcement_ends_by_the_clock_of_the_server_also_when_that_is_silent() {
    let mut desk = Desk::of_the_evening();
    assert!(seen(&desk).contains("Gate 4 is closed"), "until 23:45 by a clock of sixty times the speed");
    desk.wait(16);
    assert!(seen(&desk).contains("Gate 4 is closed"));
    desk.wait(1);
    assert!(!seen(&desk).contains("Gate 4 is closed") && seen(&desk).contains("STALE"));
}

#[test]
fn what_is_put_off_stands_among_what_is_to_come() {
    let mut desk = Desk::of_the_evening();
    desk.hear(&fixture_47(99, "2022-12-02T19:00:00Z", "POSTPONED"));
    let shown = seen(&desk);
    let line = shown.lines().find(|line| line.contains("Fri 02 22:00  CMR v BRA")).unwrap();
    assert!(line.contains("POSTPONED") && !line.contains("in 22h"), "{line}");
}

#[test]
fn a_table_is_unofficial_and_its_teams_are_marked_from_the_kick_off() {
    let mut desk = Desk::new();
    desk.open(Transport::WebSocket);
    desk.hear(&connected("e1"));
    desk.hear(&board(80, "E", &[row(1, 5, "Japan", [2, 1, 0, 1, 2, 2], 0), row(2, 9, "Ghana", [2, 1, 0, 1, 2, 2], 0)]));
    assert!(seen(&desk).contains("Group E OFFICIAL ") && !seen(&desk).contains("Japan*"));
    desk.hear(&schedule(90));
    let shown = seen(&desk);
    assert!(shown.contains("Group E UNOFFICIAL, 2 live") && shown.contains("Japan*"), "{shown}");
    assert!(!shown.contains("Ghana*"), "its fixture is to come");
}
