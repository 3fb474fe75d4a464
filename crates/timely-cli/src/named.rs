//! What people call teams and fixtures on the command line.
//!
//! Exact codes, numbers, names and unique prefixes lead to a thing; near misses are only suggested:
//! a result of the wrong team changes the table. Pure: the lists come in.

use timely_core::event::Event;
use timely_core::fixture::{FixtureStatus, ScheduleItem, TeamLabel};
use timely_core::id::TeamId;
use timely_core::reference::{Found, Named, find};
use timely_core::result::Score;
use timely_core::team::Team;
use timely_core::text::folded;
use timely_core::venue::Venue;

use crate::error::CliError;

/// Below this likeness nothing is suggested, 1 being the same.
const LIKENESS_MIN: f64 = 0.6;
/// Most suggestions.
const SUGGESTIONS_MAX: usize = 3;
/// Most fixtures that are listed when several fit.
const LISTED_MAX: usize = 8;

/// The one team that `text` names.
///
/// # Errors
/// Not found, with suggestions; or several fit.
pub(crate) fn team<'a>(teams: &'a [Team], text: &str, event: &Event) -> Result<&'a Team, CliError> {
    named(teams, text, "team", event)
}

/// The one venue that `text` names.
///
/// # Errors
/// As [`team`].
pub(crate) fn venue<'a>(venues: &'a [Venue], text: &str, event: &Event) -> Result<&'a Venue, CliError> {
    named(venues, text, "venue", event)
}

fn named<'a, T: Named>(all: &'a [T], text: &str, what: &str, event: &Event) -> Result<&'a T, CliError> {
    match find(all, text) {
        Found::One(item) => Ok(item),
        Found::Several(items) => Err(CliError::ambiguous(format!("{} {what}s fit \"{text}\"", items.len()))
            .candidates(items.into_iter().take(LISTED_MAX).map(label))
            .hint("Write its code or whole name")),
        Found::None => {
            let near = near_misses(all, text);
            let mut error = CliError::not_found(format!("no {what} \"{text}\" in {}", event.name))
                .candidates(near.iter().map(|item| label(*item)))
                .hint(format!("Nothing was guessed or sent. All of them: timely {what} list"));
            if let [only] = near[..] {
                let meant = only.code().unwrap_or(only.name()).to_owned();
                error.meant = Some(Box::new(crate::error::Meant { typed: text.to_owned(), meant }));
            }
            Err(error)
        }
    }
}

/// `EAG (Eagles)`
fn label(item: &impl Named) -> String {
    match item.code() {
        Some(code) => format!("{code} ({})", item.name()),
        None => item.name().to_owned(),
    }
}

fn near_misses<'a, T: Named>(all: &'a [T], text: &str) -> Vec<&'a T> {
    let wanted = folded(text);
    let likeness = |item: &T| {
        let of = |name: &str| strsim::jaro_winkler(&wanted, &folded(name));
        item.code().map_or(0.0, of).max(of(item.name()))
    };
    let mut near: Vec<(f64, &T)> = all.iter().map(|item| (likeness(item), item)).collect();
    near.retain(|(likeness, _)| *likeness >= LIKENESS_MIN);
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    // What is far behind the best is noise beside it.
    let best = near.first().map_or(0.0, |(likeness, _)| *likeness);
    near.into_iter()
        .filter(|(likeness, _)| best - likeness < 0.15)
        .take(SUGGESTIONS_MAX)
        .map(|(_, item)| item)
        .collect()
}

/// A fixture that was named, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meant<'a> {
    pub fixture: &'a ScheduleItem,
    /// The away side was named first.
    pub is_swapped: bool,
}

/// What a name is looked up in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub event: &'a Event,
    pub teams: &'a [Team],
    pub fixtures: &'a [ScheduleItem],
}

impl<'a> Known<'a> {
    /// The one fixture that `text` names: `12`, `#12`, `EAG-HAW`, `EAG v HAW`, `eagles hawks`,
    /// `@court1` (live there, else next).
    ///
    /// # Errors
    /// Not found, with suggestions; or several fit.
    pub(crate) fn fixture(self, text: &str) -> Result<Meant<'a>, CliError> {
        let typed = text.trim();
        let number = typed.strip_prefix('#').unwrap_or(typed);
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.numbered(number);
        }
        if let Some(place) = typed.strip_prefix('@') {
            return self.at_place(place);
        }
        match self.sides(typed) {
            Some((one, other)) => self.between(one, other),
            None => Err(self.unknown(typed)),
        }
    }

    /// The fixture between two teams, in the order they were named.
    ///
    /// # Errors
    /// As [`Known::fixture`].
    pub(crate) fn fixture_of(self, one: &str, other: &str) -> Result<Meant<'a>, CliError> {
        let (one, other) = (team(self.teams, one, self.event)?, team(self.teams, other, self.event)?);
        self.between(one, other)
    }

    fn numbered(self, number: &str) -> Result<Meant<'a>, CliError> {
        let wanted: Option<u32> = number.parse().ok();
        match self.fixtures.iter().find(|fixture| Some(fixture.number) == wanted) {
            Some(fixture) => Ok(Meant { fixture, is_swapped: false }),
            None => Err(CliError::not_found(format!("no fixture #{number} in {}", self.event.name))
                .hint("All of them: timely fixture list")),
        }
    }

    /// What is live at a venue or area, else what is next there.
    fn at_place(self, place: &str) -> Result<Meant<'a>, CliError> {
        let squeezed = |text: &str| folded(text).replace(' ', "");
        let wanted = squeezed(place);
        let is_there = |name: &Option<String>| name.as_ref().is_some_and(|name| squeezed(name) == wanted);
        let there: Vec<_> = self.fixtures.iter().filter(|f| is_there(&f.area) || is_there(&f.venue.name)).collect();
        let is_live = |f: &&&ScheduleItem| matches!(f.status, FixtureStatus::Live | FixtureStatus::Paused);
        let live: Vec<_> = there.iter().filter(is_live).copied().collect();
        match live[..] {
            [fixture] => return Ok(Meant { fixture, is_swapped: false }),
            [] => {}
            _ => return Err(several(&live, &format!("@{place}"))),
        }
        there
            .into_iter()
            .filter(|f| f.status == FixtureStatus::Scheduled)
            .min_by_key(|f| (f.start_at, f.number))
            .map(|fixture| Meant { fixture, is_swapped: false })
            .ok_or_else(|| {
                CliError::not_found(format!("nothing is live or to come at \"{place}\""))
                    .hint("Places are the venues and areas of: timely fixture list")
            })
    }

    fn between(self, one: &Team, other: &Team) -> Result<Meant<'a>, CliError> {
        if one.id == other.id {
            return Err(CliError::usage(format!("{} cannot play itself; name two teams", one.name)));
        }
        let (one_id, other_id) = (Some(one.id), Some(other.id));
        let found: Vec<&ScheduleItem> = self
            .fixtures
            .iter()
            .filter(|fixture| {
                let sides = (fixture.home_team.id, fixture.away_team.id);
                sides == (one_id, other_id) || sides == (other_id, one_id)
            })
            .collect();
        match found[..] {
            [fixture] => Ok(Meant { fixture, is_swapped: fixture.home_team.id == other_id }),
            [] => Err(CliError::not_found(format!(
                "{} and {} have no fixture in {}",
                one.name, other.name, self.event.name
            ))
            .candidates(self.of_either(one.id, other.id))
            .hint("Nothing was guessed or sent")),
            _ => Err(several(&found, &format!("{} v {}", one.name, other.name))),
        }
    }

    fn of_either(self, one: TeamId, other: TeamId) -> impl Iterator<Item = String> {
        let plays = move |team: &TeamLabel| team.id == Some(one) || team.id == Some(other);
        let fixtures = self.fixtures.iter().filter(move |f| plays(&f.home_team) || plays(&f.away_team));
        fixtures.take(LISTED_MAX).map(short)
    }

    /// Divides a text into two teams, wherever both parts name one.
    fn sides(self, text: &str) -> Option<(&'a Team, &'a Team)> {
        let one = |text: &str| match find(self.teams, text) {
            Found::One(team) => Some(team),
            Found::Several(_) | Found::None => None,
        };
        separations(text).find_map(|(first, second)| one(first).zip(one(second)))
    }

    /// Why a text names no fixture: most likely one of two teams is misspelt.
    fn unknown(self, text: &str) -> CliError {
        let sides = separations(text).find_map(|(first, second)| {
            let known = [first, second].map(|side| matches!(find(self.teams, side), Found::One(_)));
            (known[0] || known[1]).then_some(if known[0] { second } else { first })
        });
        match sides.map(|side| team(self.teams, side, self.event)) {
            Some(Err(error)) => error,
            Some(Ok(_)) | None => CliError::not_found(format!("no fixture \"{text}\" in {}", self.event.name))
                .hint("Write its number (12), or its teams (EAG-HAW). All of them: timely fixture list"),
        }
    }
}

fn several(found: &[&ScheduleItem], text: &str) -> CliError {
    CliError::ambiguous(format!("{} fixtures fit \"{text}\", use the number", found.len()))
        .candidates(found.iter().take(LISTED_MAX).map(|fixture| short(fixture)))
}

/// `#12 Eagles v Hawks`
pub(crate) fn short(fixture: &ScheduleItem) -> String {
    format!("#{} {} v {}", fixture.number, fixture.home_team.name, fixture.away_team.name)
}

/// Every way to divide a text into two names: at `v`, `vs`, a dash, else at a space.
fn separations(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let at = move |separator: &'static str| {
        text.match_indices(separator).map(move |(at, _)| (text[..at].trim(), text[at + separator.len()..].trim()))
    };
    [" v ", " vs ", " - ", "-", " "]
        .into_iter()
        .flat_map(at)
        .filter(|(one, other)| !one.is_empty() && !other.is_empty())
}

/// A score with the sides it belongs to, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sides {
    /// A fixture by itself; the score is home first, or in the order its teams are named.
    Fixture(String),
    /// Two teams; the score is in their order.
    Teams(String, String),
}

/// Reads `EAG 2-1 HAW`, `12 2-1`, `EAG-HAW 2-1` or `EAG=2 HAW=1`. Names may have spaces, quoted or
/// not.
///
/// # Errors
/// Words without a score, or without anybody it belongs to.
pub(crate) fn score_line(words: &[String]) -> Result<(Sides, Score), CliError> {
    let words: Vec<&str> = match words {
        [line] => line.split_whitespace().collect(),
        _ => words.iter().map(String::as_str).collect(),
    };
    let usage = |what: String| {
        CliError::usage(what).hint("Write it like: timely result add EAG 2-1 HAW, or: timely result add 12 2-1")
    };
    if let [one, other] = words[..]
        && let (Some((one, home)), Some((other, away))) = (one.split_once('='), other.split_once('='))
    {
        let score: Score = format!("{}-{}", home.trim(), away.trim())
            .parse()
            .map_err(|error: timely_core::result::InvalidScore| usage(error.to_string()))?;
        return Ok((Sides::Teams(one.to_owned(), other.to_owned()), score));
    }
    let Some(at) = words.iter().position(|word| word.parse::<Score>().is_ok()) else {
        // What looks like a score but is none deserves its own words.
        let looks_like =
            words.iter().find(|word| word.contains(['-', ':']) && word.contains(|c: char| c.is_ascii_digit()));
        return Err(match looks_like.map(|word| word.parse::<Score>()) {
            Some(Err(error)) => usage(error.to_string()),
            _ => usage("there is no score in it".to_owned()),
        });
    };
    let score = words[at].parse().map_err(|error: timely_core::result::InvalidScore| usage(error.to_string()))?;
    match (words[..at].join(" "), words[at + 1..].join(" ")) {
        (one, other) if !one.is_empty() && !other.is_empty() => Ok((Sides::Teams(one, other), score)),
        (fixture, other) if !fixture.is_empty() && other.is_empty() => Ok((Sides::Fixture(fixture), score)),
        _ => Err(usage("the score belongs to nobody".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely_core::fixture::{Phase, VenueLabel};
    use timely_core::id::{EventId, FixtureId};

    fn event() -> Event {
        serde_json::from_value(serde_json::json!({
            "id": 1, "name": "Harbour Cup", "starts_on": "2026-07-18", "ends_on": "2026-07-18", "timezone": "Europe/London",
            "visibility": "PUBLIC", "status": "UPCOMING", "rules": "3-1-0", "count": "LIVE",
        }))
        .unwrap()
    }

    fn teams() -> Vec<Team> {
        [
            (1, "Eagles", "EAG"),
            (2, "Hawks", "HAW"),
            (3, "Costa Rica", "CRC"),
            (4, "Al-Nassr", "NAS"),
            (5, "Kites", "KIT"),
        ]
        .map(|(id, name, code)| Team {
            id: TeamId(id),
            event_id: EventId(1),
            name: name.into(),
            code: Some(code.into()),
            group: None,
        })
        .into()
    }

    fn fixture(number: u32, home: i64, away: i64, area: &str, status: FixtureStatus) -> ScheduleItem {
        let label = |id: i64| {
            let team = teams().into_iter().find(|team| team.id == TeamId(id)).unwrap();
            TeamLabel { id: Some(team.id), name: team.name, code: team.code }
        };
        ScheduleItem {
            fixture_id: FixtureId(i64::from(number) + 100),
            number,
            home_team: label(home),
            away_team: label(away),
            home_slot: None,
            away_slot: None,
            start_at: "2026-07-18T12:00:00Z".parse().unwrap(),
            venue: VenueLabel::default(),
            area: Some(area.into()),
            status,
            round: None,
            phase: Phase::RoundRobin,
            group: None,
            version: 1,
        }
    }

    fn fixtures() -> Vec<ScheduleItem> {
        use FixtureStatus::{Finished, Live, Scheduled};
        vec![
            fixture(11, 1, 2, "Pitch 1", Live),
            fixture(12, 3, 1, "Pitch 2", Finished),
            fixture(13, 4, 5, "Pitch 2", Scheduled),
            fixture(14, 5, 4, "Pitch 3", Scheduled),
            fixture(15, 4, 1, "Pitch 2", Scheduled),
        ]
    }

    #[test]
    fn fixtures_go_by_number_by_teams_in_either_order_and_by_place() {
        let (event, teams, fixtures) = (event(), teams(), fixtures());
        let known = Known { event: &event, teams: &teams, fixtures: &fixtures };
        for (text, number, is_swapped) in [
            ("12", 12, false),
            ("#12", 12, false),
            ("EAG-HAW", 11, false),
            ("HAW-EAG", 11, true),
            ("EAG v HAW", 11, false),
            ("hawks vs eagles", 11, true),
            ("eagles hawks", 11, false),
            ("costa rica eagles", 12, false),
            ("eag cos", 12, true),
            ("Al-Nassr-Eagles", 15, false),
            ("EAG v Al-Nassr", 15, true),
            ("@pitch1", 11, false),
            ("@Pitch 2", 13, false),
        ] {
            let meant = known.fixture(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((meant.fixture.number, meant.is_swapped), (number, is_swapped), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_or_not_one_is_never_guessed() {
        let (event, teams, fixtures) = (event(), teams(), fixtures());
        let known = Known { event: &event, teams: &teams, fixtures: &fixtures };
        for (text, code, says) in [
            ("99", "not_found", "no fixture #99 in Harbour Cup"),
            ("99999999999999", "not_found", "no fixture #99999999999999"),
            ("EGL-HAW", "not_found", "EAG (Eagles)"),
            ("HAW v Eegles", "not_found", "EAG (Eagles)"),
            ("EAG-KIT", "not_found", "#11 Eagles v Hawks"),
            ("EAG-EAG", "usage", "cannot play itself"),
            ("KIT-NAS", "ambiguous", "#13 Al-Nassr v Kites, #14 Kites v Al-Nassr"),
            ("whatever", "not_found", "no fixture \"whatever\""),
            ("", "not_found", "no fixture"),
            ("@moon", "not_found", "nothing is live or to come"),
        ] {
            let error = known.fixture(text).unwrap_err();
            assert_eq!(error.code, code, "{text}: {error}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_the_command_can_be_said_again() {
        let error = team(&teams(), "EGL", &event()).unwrap_err();
        let meant = error.meant.unwrap();
        assert_eq!((meant.typed.as_str(), meant.meant.as_str()), ("EGL", "EAG"));
        let error = team(&teams(), "xyz", &event()).unwrap_err();
        assert_eq!((error.candidates.len(), error.meant), (0, None));
    }

    #[test]
    fn a_score_stands_between_teams_or_behind_a_fixture() {
        let teams = |one: &str, other: &str| Sides::Teams(one.into(), other.into());
        for (words, sides, score) in [
            (&["EAG", "2-1", "HAW"][..], teams("EAG", "HAW"), "2-1"),
            (&["EAG 2-1 HAW"], teams("EAG", "HAW"), "2-1"),
            (&["Costa Rica", "2-4", "Germany"], teams("Costa Rica", "Germany"), "2-4"),
            (&["Costa", "Rica", "2:4", "Germany"], teams("Costa Rica", "Germany"), "2-4"),
            (&["EAG=2", "HAW=1"], teams("EAG", "HAW"), "2-1"),
            (&["12", "2-1"], Sides::Fixture("12".into()), "2-1"),
            (&["#12 2-1"], Sides::Fixture("#12".into()), "2-1"),
            (&["EAG-HAW", "2-1"], Sides::Fixture("EAG-HAW".into()), "2-1"),
        ] {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(score_line(&words), Ok((sides, score.parse().unwrap())), "{words:?}");
        }
        for (words, says) in [
            (&["EAG", "HAW"][..], "no score"),
            (&["EAG", "2-x", "HAW"], "`2-x` is not a score"),
            (&["12", "1000-0"], "0 to 999"),
            (&["2-1"], "belongs to nobody"),
            (&["2-1", "HAW"], "belongs to nobody"),
            (&["EAG=2", "HAW=x"], "is not a score"),
            (&[], "no score"),
        ] {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let error = score_line(&words).unwrap_err();
            assert!(error.message.contains(says), "{words:?}: {error}");
        }
    }
}
