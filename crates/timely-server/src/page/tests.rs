//! Pages as text: what may stand in them, and how large they are.

use std::collections::{BTreeSet, HashMap};

use axum::http::{HeaderMap, StatusCode};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::assets::ASSETS;
use super::scoreboard::{Drawing, tables};
use super::*;

/// Most bytes of all scripts: a third of that when compressed, so 20 KiB on the way.
const SCRIPT_BYTES_MAX: usize = 57 * 1024;
/// Most bytes of all assets.
const ASSET_BYTES_MAX: usize = 72 * 1024;

const HOSTILE: &str = "<script>alert(1)</script> \"'&\u{202e}drawkcab\u{200b}\u{7}";

fn fixture(number: u32, status: &str, start_at: &str, home: &str) -> Value {
    json!({
        "fixture_id": number, "number": number, "home_team": {"id": 1, "name": home},
        "away_team": {"id": null, "name": "TBD"}, "home_slot": null, "away_slot": "winner of #7",
        "start_at": start_at, "venue": {"id": 1, "name": home}, "area": home, "status": status, "round": home,
        "phase": "RR", "group": home, "version": 1
    })
}

fn result(fixture: u32, state: &str, player: &str) -> Value {
    let score = if state == "ANNULLED" { Value::Null } else { json!(1) };
    json!({
        "result_id": fixture, "fixture_id": fixture, "number": fixture, "home_team_id": 1, "away_team_id": 2,
        "home_score": score, "away_score": score, "ft_home": 1, "ft_away": 1, "pen_home": 4, "pen_away": 2,
        "winner_id": 1, "is_draw": false, "state": state, "minute": if state == "LIVE" { json!(70) } else { Value::Null },
        "goals": [{"team_id": 1, "minute": 45, "added": 2, "player": player, "penalty": true}], "group": null,
        "finalized_at": null, "verified_at": null, "created": true, "updated_at": "2026-05-02T09:00:00Z", "version": 1
    })
}

fn announcement(id: i64, priority: &str, kind: &str, title: &str, expires_at: Option<&str>) -> Value {
    json!({
        "id": id, "title": title, "message": format!("{title}\nsecond line"), "type": kind, "priority": priority,
        "is_public": true, "team_ids": [], "created_by": {"id": 1, "name": title},
        "created_at": "2026-05-02T08:00:00Z", "expires_at": expires_at, "version": 1
    })
}

fn row(position: u32, name: &str, live: u32, provisional: u32, shared: bool) -> Value {
    json!({
        "position": position, "team_id": position, "team_name": name, "points": 4, "played": 1, "won": 1, "drawn": 0,
        "lost": 0, "gf": 1, "ga": 2, "gd": -1, "live": live, "provisional": provisional, "decided_by": null,
        "shared": shared
    })
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn drawing(schedule: Vec<Value>, results: Vec<Value>) -> Drawing {
    let results: Vec<timely_core::result::FixtureResult> = results.into_iter().map(from).collect();
    Drawing {
        zone: TimeZone::get("Asia/Kolkata").unwrap(),
        now: "2026-05-02T09:30:00Z".parse().unwrap(),
        schedule: schedule.into_iter().map(from).collect(),
        results: results.into_iter().map(|result| (result.fixture_id, result)).collect::<HashMap<_, _>>(),
    }
}

fn page(drawing: &Drawing, name: &str, announcements: Vec<Value>, boards: Value) -> String {
    let announcements: Vec<_> = announcements.into_iter().map(from).collect();
    let event = from(json!({
        "id": 1, "name": name, "starts_on": "2026-05-02", "ends_on": "2026-05-02", "timezone": "Asia/Kolkata",
        "visibility": "PUBLIC", "status": "ONGOING", "rules": "3-1-0", "count": "LIVE"
    }));
    let boards: Vec<timely_core::body::Board> = from(boards);
    let board = drawing.scoreboard(&event, tables(&boards), &announcements, 60.0, true);
    let frame = Frame { assets: "/assets/0", is_demo: true };
    ScoreboardPage { frame, board }.render().unwrap()
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let drawing = drawing(
        vec![
            fixture(1, "LIVE", "2026-05-02T09:00:00Z", HOSTILE),
            fixture(2, "FINISHED", "2026-05-01T09:00:00Z", HOSTILE),
            fixture(3, "SCHEDULED", "2026-05-03T09:00:00Z", HOSTILE),
        ],
        vec![result(1, "LIVE", HOSTILE), result(2, "OFFICIAL", HOSTILE)],
    );
    let announcements = ["URGENT", "HIGH", "NORMAL", "LOW"].into_iter().zip(1..);
    let announcements =
        announcements.map(|(priority, id)| announcement(id, priority, "GENERAL", HOSTILE, None)).collect();
    let boards = json!([{"group": HOSTILE, "leaderboard": [row(1, HOSTILE, 1, 0, false)]}]);
    let html = page(&drawing, HOSTILE, announcements, boards);
    assert!(!html.contains("<script>alert"), "markup came through");
    assert!(!html.contains(['\u{202e}', '\u{200b}', '\u{7}']), "characters that reorder or hide came through");
    // The title, the heading, both sides of everything, boards, announcements and goals: all of them.
    let shown = html.matches("&#60;script&#62;alert(1)&#60;/script&#62;").count();
    assert!(shown >= 20, "{shown} names");

    let events =
        vec![Listed { id: EventId(1), name: display_safe(HOSTILE).into_owned(), dates: String::new(), word: "" }];
    let html = EventsPage { frame: Frame { assets: "/assets/0", is_demo: false }, events }.render().unwrap();
    assert!(html.contains("&#60;script&#62;") && !html.contains("<script>alert") && !html.contains('\u{202e}'));
}

#[test]
fn a_page_has_no_inline_script_or_style_and_loads_what_there_is() {
    let html = page(&drawing(vec![], vec![]), "Cup", vec![], json!([]));
    let list = EventsPage { frame: Frame { assets: "/assets/0", is_demo: false }, events: vec![] }.render().unwrap();
    let refused = RefusedPage { frame: Frame { assets: "/assets/0", is_demo: false }, title: "T", detail: "D" };
    let names: BTreeSet<_> = ASSETS.iter().map(|asset| asset.name).collect();
    for html in [html, list, refused.render().unwrap()] {
        for tag in html.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            assert!(!tag.starts_with("style") && !tag.contains(" style="), "{tag}");
            assert!(!tag.contains(" on"), "a handler in {tag}");
            assert!(!tag.starts_with("script") || tag.contains(" src="), "{tag}");
            for address in tag.split("=\"").filter_map(|part| part.strip_prefix("/assets/0/")) {
                assert!(names.contains(address.split('"').next().unwrap()), "{address} does not exist");
            }
        }
        assert!(!html.contains("http://") && !html.contains("https://"), "something of another site");
        assert!(!html.contains("style=") && html.contains("page.css") && html.contains("theme.js"));
    }
}

#[test]
fn the_policy_allows_nothing_unsafe_and_nobody_else() {
    let directives: HashMap<_, _> =
        POLICY.split(';').filter_map(|directive| directive.trim().split_once(' ')).collect();
    assert_eq!(directives["default-src"], "'none'");
    for name in ["script-src", "style-src", "img-src", "connect-src"] {
        assert_eq!(directives[name], "'self'", "{name}");
    }
    for name in ["base-uri", "form-action", "frame-ancestors"] {
        assert_eq!(directives[name], "'none'", "{name}");
    }
    for word in ["unsafe", "*", "http", "data:", "blob:"] {
        assert!(!POLICY.contains(word), "{word}");
    }
}

#[test]
fn scripts_are_small_make_no_markup_and_import_what_there_is() {
    let scripts = || ASSETS.iter().filter(|asset| asset.kind.starts_with("text/javascript"));
    let bytes: usize = scripts().map(|script| script.text.len()).sum();
    assert!(bytes <= SCRIPT_BYTES_MAX, "{bytes} bytes of script");
    let bytes: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
    assert!(bytes <= ASSET_BYTES_MAX, "{bytes} bytes of assets");
    for script in scripts() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "http://",
            "https://",
        ] {
            assert!(!script.text.contains(word), "{word} in {}", script.name);
        }
        for line in script.text.lines().filter(|line| line.starts_with("import ")) {
            let module = line.split("'./").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
            assert!(ASSETS.iter().any(|asset| asset.name == module), "{module}, imported by {}", script.name);
        }
    }
}

#[test]
fn times_are_the_events_and_days_are_its_days() {
    let drawing = drawing(
        vec![
            // Half past twelve at night over there.
            fixture(1, "SCHEDULED", "2026-05-02T19:00:00Z", "Reds"),
            fixture(2, "SCHEDULED", "2026-05-02T18:00:00Z", "Blues"),
            fixture(3, "CANCELLED", "2026-05-02T17:00:00Z", "Late"),
            fixture(4, "CANCELLED", "2026-05-02T07:00:00Z", "Early"),
            fixture(5, "POSTPONED", "2026-05-02T07:00:00Z", "Golds"),
            fixture(6, "ABANDONED", "2026-05-02T07:30:00Z", "Greens"),
        ],
        vec![],
    );
    let days = |days: scoreboard::Days| -> Vec<String> {
        let all = days.shown.into_iter().chain(days.more);
        all.map(|day| {
            let lines = day.fixtures.iter().map(|line| format!("{} {} {}", line.start.text, line.home, line.word));
            format!("{} {}: {}", day.title, day.offset, lines.collect::<Vec<_>>().join(", "))
        })
        .collect()
    };
    assert_eq!(
        days(drawing.upcoming()),
        [
            "Saturday 2 May 2026 +05:30: 12:30 Golds POSTPONED, 22:30 Late CANCELLED, 23:30 Blues ",
            "Sunday 3 May 2026 +05:30: 00:30 Reds ",
        ]
    );
    assert_eq!(days(drawing.finished()), ["Saturday 2 May 2026 +05:30: 13:00 Greens ABANDONED, 12:30 Early CANCELLED"]);
}

#[test]
fn a_table_says_how_far_it_is_confirmed_and_the_one_being_played_comes_first() {
    let boards: Vec<timely_core::body::Board> = from(json!([
        {"group": "A", "leaderboard": [row(1, "Reds", 0, 0, true), row(1, "Blues", 0, 0, true)]},
        {"group": "B", "leaderboard": [row(1, "Golds", 0, 1, false)]},
        {"group": "C", "leaderboard": [row(1, "Owls", 1, 0, false), row(2, "Kites", 1, 0, false)]},
        {"group": "D", "leaderboard": []},
    ]));
    let tables = tables(&boards);
    let told: Vec<_> =
        tables.iter().map(|table| format!("{} {} {}", table.caption, table.standing, table.rows[0].place)).collect();
    assert_eq!(told, ["Group C UNOFFICIAL, 1 live 1", "Group A OFFICIAL 1=", "Group B UNOFFICIAL 1"]);
    assert_eq!(tables[0].rows[0].difference, "\u{2212}1");
}

#[test]
fn the_loudest_announcement_is_first_and_an_expired_one_is_gone() {
    let announcements = vec![
        announcement(1, "NORMAL", "GENERAL", "calm", None),
        announcement(2, "URGENT", "GENERAL", "urgent", Some("2026-05-02T10:00:00Z")),
        announcement(3, "LOW", "EMERGENCY", "leave", None),
        announcement(4, "HIGH", "WEATHER", "rain", None),
        announcement(5, "URGENT", "GENERAL", "over", Some("2026-05-02T09:30:00Z")),
        announcement(6, "LOW", "GENERAL", "quiet", None),
    ];
    let html = page(&drawing(vec![], vec![]), "Cup", announcements, json!([]));
    let place = |words: &str| html.find(words).unwrap_or_else(|| panic!("{words} is missing"));
    let order = ["<bdi>leave", "<bdi>urgent", "<bdi>rain", "<bdi>calm", "<bdi>quiet"].map(place);
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(html.matches("role=\"alert\"").count(), 2);
    assert!(html.contains("<bdi>calm\nsecond line"), "line breaks stay");
    assert!(!html.contains("over\nsecond line"), "expired");
    assert!(html.contains("until 15:30"), "{html}");
}

#[test]
fn a_card_tells_the_score_the_minute_and_the_goals_and_a_removed_result_nothing() {
    let schedule =
        vec![fixture(1, "LIVE", "2026-05-02T09:00:00Z", "Reds"), fixture(2, "PAUSED", "2026-05-02T09:00:00Z", "Blues")];
    let drawing = drawing(schedule, vec![result(1, "LIVE", "Kim"), result(2, "ANNULLED", "Kim")]);
    let cards = drawing.cards();
    let told: Vec<_> = cards
        .iter()
        .map(|card| {
            format!(
                "{} {}|{} {}|{}|{} {}",
                card.status,
                card.minute,
                card.home.name,
                card.home.score,
                card.home.goals,
                card.away.name,
                card.away.score
            )
        })
        .collect();
    assert_eq!(
        told,
        ["LIVE as of 70'|Reds 1|Kim 45+2' (pen.)|winner of #7 1", "PAUSED |Blues \u{2013}||winner of #7 \u{2013}"]
    );
    assert_eq!(cards[0].beyond, "a.e.t., 4-2 on penalties");
}

#[tokio::test]
async fn an_asset_that_is_known_is_not_sent_again() {
    let version = assets::folder().strip_prefix("/assets/").unwrap().to_owned();
    let ask = async |version: &str, name: &str, known: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
        }
        assets::serve(Ok(axum::extract::Path((version.to_owned(), name.to_owned()))), headers).await
    };
    let tag = format!("\"{version}\"");
    for (why, known, status) in [
        ("nothing known", None, StatusCode::OK),
        ("another", Some("\"0\""), StatusCode::OK),
        ("known", Some(&*tag), StatusCode::NOT_MODIFIED),
        ("weakly known", Some(&*format!("W/{tag}")), StatusCode::NOT_MODIFIED),
        ("one of two", Some(&*format!("\"0\", {tag}")), StatusCode::NOT_MODIFIED),
        ("anything", Some("*"), StatusCode::NOT_MODIFIED),
    ] {
        let response = ask(&version, "page.js", known).await;
        assert_eq!(response.status(), status, "{why}");
        assert_eq!(response.headers()[header::ETAG], tag, "{why}");
        assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"), "{why}");
    }
    let old = ask("0", "page.js", None).await;
    assert_eq!((old.status(), &old.headers()[header::CACHE_CONTROL]), (StatusCode::OK, &"no-cache".parse().unwrap()));
    assert_eq!(ask(&version, "other.js", None).await.status(), StatusCode::NOT_FOUND);
}
