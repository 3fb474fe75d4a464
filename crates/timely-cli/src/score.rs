//! Scores and tables in words, as every reply prints them.

use jiff::tz::TimeZone;
use timely_core::body::{Board, Leaderboard};
use timely_core::event::Count;
use timely_core::fixture::{FixtureStatus, ScheduleItem};
use timely_core::id::TeamId;
use timely_core::result::{FixtureResult, ResultState};

use crate::when;

/// `#12  Eagles 2-1 Hawks  FINAL, unofficial   14:32 +02:00`
pub(crate) fn line(fixture: &ScheduleItem, result: &FixtureResult, zone: &TimeZone) -> String {
    let at = when::clock(result.updated_at, zone);
    format!("{}  {}   {at}", played(fixture, result), state(result))
}

/// `#12  Eagles 2-1 Hawks`
pub(crate) fn played(fixture: &ScheduleItem, result: &FixtureResult) -> String {
    let (home, away) = (&fixture.home_team.name, &fixture.away_team.name);
    match score(result) {
        Some(score) => format!("#{}  {home} {score} {away}", fixture.number),
        None => format!("#{}  {home} v {away}", fixture.number),
    }
}

/// `2-1`, `3-3 a.e.t. (4-2 p)`; nothing for a removed result.
pub(crate) fn score(result: &FixtureResult) -> Option<String> {
    let score = result.score()?;
    let extra_time = if result.ft_home.is_some() { " a.e.t." } else { "" };
    Some(match (result.pen_home, result.pen_away) {
        (Some(home), Some(away)) => format!("{score}{extra_time} ({home}-{away} p)"),
        _ => format!("{score}{extra_time}"),
    })
}

/// Where the result stands, in the words of every screen.
pub(crate) fn state(result: &FixtureResult) -> String {
    match (result.state, result.minute) {
        (ResultState::Live, Some(minute)) => format!("LIVE {minute}'"),
        (ResultState::Live, None) => "LIVE".to_owned(),
        (ResultState::Provisional, _) if result.verified_at.is_some() => "FINAL, unofficial, checked".to_owned(),
        (ResultState::Provisional, _) => "FINAL, unofficial".to_owned(),
        (ResultState::Official, _) => "FINAL, OFFICIAL".to_owned(),
        (ResultState::Annulled, _) => "ANNULLED".to_owned(),
    }
}

/// `#12  Eagles v Hawks  Sat 2026-07-18 15:30 +01:00  Pitch 2  SCHEDULED`
pub(crate) fn fixture_line(fixture: &ScheduleItem, zone: &TimeZone) -> String {
    let mut parts = vec![
        format!("#{}", fixture.number),
        format!("{} v {}", fixture.home_team.name, fixture.away_team.name),
        when::spelled(fixture.start_at, zone),
    ];
    parts.extend(place(fixture));
    parts.push(status(fixture.status).to_owned());
    parts.join("  ")
}

/// `Harbour School, Pitch 2`
pub(crate) fn place(fixture: &ScheduleItem) -> Option<String> {
    match (&fixture.venue.name, &fixture.area) {
        (Some(venue), Some(area)) => Some(format!("{venue}, {area}")),
        (Some(place), None) | (None, Some(place)) => Some(place.clone()),
        (None, None) => None,
    }
}

pub(crate) const fn status(status: FixtureStatus) -> &'static str {
    status.as_str()
}

/// `Group A`, `Table` in an event without groups.
pub(crate) fn heading(group: Option<&str>) -> String {
    group.map_or_else(|| "Table".to_owned(), |group| format!("Group {group}"))
}

/// The tables that a result of the fixture moves, on a line each: `Group A  1 ▲2 Eagles 4   2 ▼1 Hawks 3`.
/// Arrows compare with `before`.
pub(crate) fn table_lines(fixture: &ScheduleItem, before: &Leaderboard, after: &Leaderboard) -> Vec<String> {
    let concerns = |board: &&Board| {
        board.group == fixture.group && board.leaderboard.iter().any(|row| Some(row.team_id) == fixture.home_team.id)
    };
    let old = |board: &Board, team: TeamId| {
        before
            .boards
            .iter()
            .find(|old| old.group == board.group)
            .and_then(|old| old.leaderboard.iter().find(|row| row.team_id == team))
            .map(|row| row.position)
    };
    let boards = after.boards.iter().filter(concerns);
    boards
        .map(|board| {
            let rows = board.leaderboard.iter().map(|row| {
                let moved = moved(old(board, row.team_id), row.position);
                format!("{} {moved} {} {}", row.position, row.team_name, row.points)
            });
            format!("{}  {}", heading(board.group.as_deref()), rows.collect::<Vec<_>>().join("   "))
        })
        .collect()
}

/// `▲2`, `▼1`, `=`.
fn moved(before: Option<u32>, now: u32) -> String {
    match before {
        Some(before) if before > now => format!("▲{}", before - now),
        Some(before) if before < now => format!("▼{}", now - before),
        _ => "=".to_owned(),
    }
}

/// Which results count, in words.
pub(crate) const fn count(count: Count) -> &'static str {
    match count {
        Count::Live => "as it stands, live scores included",
        Count::Entered => "finished fixtures",
        Count::Official => "official results only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(change: &serde_json::Value) -> FixtureResult {
        let mut value = json!({
            "result_id": 1, "fixture_id": 112, "number": 12, "home_team_id": 1, "away_team_id": 2,
            "home_score": 2, "away_score": 1, "ft_home": null, "ft_away": null, "pen_home": null, "pen_away": null,
            "winner_id": 1, "is_draw": false, "state": "PROVISIONAL", "minute": null, "goals": [], "group": "A",
            "finalized_at": null, "verified_at": null, "created": true, "updated_at": "2026-07-18T12:32:00Z", "version": 1,
        });
        for (name, field) in change.as_object().unwrap() {
            value[name] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn fixture() -> ScheduleItem {
        serde_json::from_value(json!({
            "fixture_id": 112, "number": 12, "home_team": {"id": 1, "name": "Eagles", "code": "EAG"},
            "away_team": {"id": 2, "name": "Hawks", "code": "HAW"}, "home_slot": null, "away_slot": null,
            "start_at": "2026-07-18T12:00:00Z", "venue": {"id": 1, "name": "Harbour School"}, "area": "Pitch 2",
            "status": "FINISHED", "round": null, "phase": "RR", "group": "A", "version": 3,
        }))
        .unwrap()
    }

    #[test]
    fn a_result_is_said_with_both_names_its_state_and_its_time() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (change, says) in [
            (json!({}), "#12  Eagles 2-1 Hawks  FINAL, unofficial   14:32 +02:00"),
            (json!({"state": "LIVE", "minute": 23}), "#12  Eagles 2-1 Hawks  LIVE 23'   14:32 +02:00"),
            (json!({"state": "OFFICIAL"}), "#12  Eagles 2-1 Hawks  FINAL, OFFICIAL   14:32 +02:00"),
            (
                json!({"home_score": 3, "away_score": 3, "ft_home": 2, "ft_away": 2, "pen_home": 4, "pen_away": 2}),
                "#12  Eagles 3-3 a.e.t. (4-2 p) Hawks  FINAL, unofficial   14:32 +02:00",
            ),
            (
                json!({"state": "ANNULLED", "home_score": null, "away_score": null}),
                "#12  Eagles v Hawks  ANNULLED   14:32 +02:00",
            ),
        ] {
            assert_eq!(line(&fixture(), &result(&change), &zone), says);
        }
    }

    #[test]
    fn the_table_of_the_group_shows_who_moved() {
        let row = |position: u32, team_id: i64, name: &str, points: i64| {
            json!({"position": position, "team_id": team_id, "team_name": name, "points": points, "played": 1, "won": 0,
                "drawn": 0, "lost": 0, "gf": 0, "ga": 0, "gd": 0, "live": 0, "provisional": 0, "decided_by": null, "shared": false})
        };
        let board = |rows: serde_json::Value| -> Leaderboard {
            serde_json::from_value(json!({"event_id": 1, "pos": 7, "boards": [
                {"group": "A", "leaderboard": rows},
                {"group": "B", "leaderboard": [row(1, 9, "Terns", 3)]},
            ]}))
            .unwrap()
        };
        let before = board(json!([row(1, 2, "Hawks", 3), row(2, 3, "Owls", 3), row(3, 1, "Eagles", 1)]));
        let after = board(json!([row(1, 1, "Eagles", 4), row(2, 2, "Hawks", 3), row(3, 3, "Owls", 3)]));
        assert_eq!(table_lines(&fixture(), &before, &after), ["Group A  1 ▲2 Eagles 4   2 ▼1 Hawks 3   3 ▼1 Owls 3"]);
    }
}
