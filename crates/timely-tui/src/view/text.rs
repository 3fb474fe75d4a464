//! Text in cells: cutting and padding, names, times. The one gate for words from outside.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::text::Span;
use timely_core::fixture::{ScheduleItem, TeamLabel};
use timely_core::result::{FixtureResult, Goal, Score};
use timely_core::slot::Slot;
use timely_core::text::display_safe;

use crate::app::App;

/// How names of teams are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Full,
    /// Codes, where teams have them; `W49`, `L61`, `2A` for sides that are open.
    Short,
}

/// Words from outside, made safe for the terminal.
pub(crate) fn safe(text: &str) -> String {
    display_safe(text).into_owned()
}

/// Cells that the text takes.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text in exactly `cells` cells: cut with `~`, or padded.
pub(crate) fn fit(text: &str, cells: usize) -> String {
    let mut fitted = cut(text, cells);
    fitted.extend(std::iter::repeat_n(' ', cells.saturating_sub(width(&fitted))));
    fitted
}

/// The text in at most `cells` cells, with `~` where it was cut.
pub(crate) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for c in text.chars() {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        if used + wide > cells - 1 {
            break;
        }
        kept.push(c);
        used += wide;
    }
    kept.push('~');
    kept
}

/// The text in lines of at most `cells` cells, broken between words; a word that is longer than a
/// line, as every sentence is in some scripts, between letters.
pub(crate) fn wrap(text: &str, cells: u16) -> Vec<String> {
    let cells = usize::from(cells);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= cells => {
                line.push(' ');
                line.push_str(word);
            }
            _ => {
                let mut line = String::new();
                for c in word.chars() {
                    line.push(c);
                    if width(&line) > cells {
                        line.pop();
                        lines.push(std::mem::replace(&mut line, c.to_string()));
                    }
                }
                lines.push(line);
            }
        }
    }
    lines
}

/// `left`, and `right` at the end of the line if there is room for both.
pub(crate) fn ends(left: &str, right: &str, cells: usize) -> String {
    let room = cells.saturating_sub(width(right) + 1);
    if width(left).min(8) > room {
        return cut(left, cells);
    }
    format!("{} {right}", fit(left, room))
}

/// A side of a fixture: the team, or what decides it.
fn side(team: &TeamLabel, slot: Option<&Slot>, names: Names) -> String {
    match (team.id, slot, names) {
        (None, Some(slot), Names::Full) => safe(&slot.to_string()),
        (None, Some(Slot::Winner(number)), Names::Short) => format!("W{number}"),
        (None, Some(Slot::Loser(number)), Names::Short) => format!("L{number}"),
        (None, Some(Slot::Place { place, group }), Names::Short) => format!("{place}{}", safe(group)),
        (_, _, Names::Short) => safe(team.code.as_deref().unwrap_or(&team.name)),
        (_, _, Names::Full) => safe(&team.name),
    }
}

/// Both sides, home side first.
pub(crate) fn sides(fixture: &ScheduleItem, names: Names) -> (String, String) {
    (
        side(&fixture.home_team, fixture.home_slot.as_ref(), names),
        side(&fixture.away_team, fixture.away_slot.as_ref(), names),
    )
}

/// Where it is played, in at most `cells` cells: `Al Bayt Stadium, Al Khor`, else `Al Bayt Stadium`.
pub(crate) fn place(fixture: &ScheduleItem, cells: usize) -> String {
    let full = fixture.venue.name.as_deref().map(safe).unwrap_or_default();
    if width(&full) <= cells {
        return full;
    }
    cut(full.split(',').next().unwrap_or_default(), cells)
}

/// `Spain v Japan`
pub(crate) fn pairing(fixture: &ScheduleItem, names: Names) -> String {
    let (home, away) = sides(fixture, names);
    format!("{home} v {away}")
}

/// `Japan 2-1 Spain`, `Argentina 3-3 (4-2 p) France`
pub(crate) fn outcome(fixture: &ScheduleItem, result: &FixtureResult, score: Score, names: Names) -> String {
    let (home, away) = sides(fixture, names);
    format!("{home} {score}{} {away}", decided(result))
}

/// How it was decided beyond regular time: ` (4-2 p)`, ` a.e.t.`, or nothing.
pub(crate) fn decided(result: &FixtureResult) -> String {
    match (result.pen_home, result.pen_away) {
        (Some(home), Some(away)) => format!(" ({home}-{away} p)"),
        _ if result.ft_home.is_some() => " a.e.t.".to_owned(),
        _ => String::new(),
    }
}

/// `70' Vargas`, `90+4' Messi (p)`
pub(crate) fn goal(goal: &Goal) -> String {
    let how = match (goal.penalty, goal.own_goal) {
        (true, _) => " (p)",
        (false, true) => " (og)",
        (false, false) => "",
    };
    let player = goal.player.as_deref().map_or_else(String::new, |player| format!(" {}", safe(player)));
    format!("{}{player}{how}", minute_of(goal))
}

/// `70'`, `90+4'`
pub(crate) fn minute_of(goal: &Goal) -> String {
    match goal.added {
        Some(added) => format!("{}+{added}'", goal.minute),
        None => format!("{}'", goal.minute),
    }
}

/// `23:28`
pub(crate) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// `23:28` on the day of `now`, else `Thu 01`: six cells.
pub(crate) fn clock_or_day(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    at.strftime(if at.date() == now.date() { "%H:%M " } else { "%a %d" }).to_string()
}

/// `23:28:13`
pub(crate) fn clock_with_seconds(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

/// `Fri 02 18:00`
pub(crate) fn day_and_clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %d %H:%M").to_string()
}

/// `+03`, `+05:30`
pub(crate) fn offset(at: Timestamp, zone: &TimeZone) -> String {
    let text = at.to_zoned(zone.clone()).strftime("%:z").to_string();
    text.strip_suffix(":00").map_or(text.clone(), str::to_owned)
}

/// `until 23:45`, or until somebody takes it back.
pub(crate) fn until(expires_at: Option<Timestamp>, app: &App) -> Option<String> {
    expires_at.map(|at| {
        // An expiry on another day would read as one of today.
        let is_near = app.event_now().is_none_or(|now| at.duration_since(now).as_hours() < 20);
        format!("until {}", if is_near { clock(at, &app.zone) } else { day_and_clock(at, &app.zone) })
    })
}

/// `in 5m`, `in 18h32m`, `in 3d 4h`; `due` once the time has come.
pub(crate) fn countdown(to: Timestamp, now: Timestamp) -> String {
    let minutes = to.duration_since(now).as_mins();
    match minutes {
        ..=0 => "due".to_owned(),
        1..60 => format!("in {minutes}m"),
        60..1440 => format!("in {}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("in {}d {}h", minutes / 1440, minutes % 1440 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_takes_exactly_the_cells_it_is_given() {
        for (text, cells, fitted) in [
            ("Japan", 7, "Japan  "),
            ("Japan", 5, "Japan"),
            ("Japan", 4, "Jap~"),
            ("Japan", 1, "~"),
            ("Japan", 0, ""),
            ("日本代表", 5, "日本~"),
            ("日本代表", 4, "日~ "),
            ("e\u{301}tude", 4, "e\u{301}tu~"),
        ] {
            assert_eq!(fit(text, cells), fitted, "{text} in {cells}");
        }
        assert_eq!(wrap("Leave the hall by exits A and C", 12), ["Leave the", "hall by", "exits A and", "C"]);
        assert_eq!(wrap("日本代表 Unausweichlichkeit", 5), ["日本", "代表", "Unaus", "weich", "lichk", "eit"]);
        assert_eq!(ends("Gate 4 is closed", "[1/2]", 24), "Gate 4 is closed   [1/2]");
        assert_eq!(ends("Gate 4 is closed", "[1/2]", 16), "Gate 4 is~ [1/2]");
        assert_eq!(ends("Gate 4 is closed", "until 23:45", 14), "Gate 4 is clo~", "no room for both");
    }

    #[test]
    fn times_are_those_of_the_event() {
        let at: Timestamp = "2022-12-01T20:28:13Z".parse().unwrap();
        let qatar = TimeZone::get("Asia/Qatar").unwrap();
        assert_eq!((clock(at, &qatar).as_str(), offset(at, &qatar).as_str()), ("23:28", "+03"));
        assert_eq!(day_and_clock(at, &qatar), "Thu 01 23:28");
        let after_midnight: Timestamp = "2022-12-01T21:01:00Z".parse().unwrap();
        assert_eq!(clock_or_day(at, at, &qatar), "23:28 ");
        assert_eq!(clock_or_day(at, after_midnight, &qatar), "Thu 01", "midnight of the event, not of UTC");
        assert_eq!(offset(at, &TimeZone::get("Asia/Kolkata").unwrap()), "+05:30");
        for (to, words) in [
            ("2022-12-01T20:28:00Z", "due"),
            ("2022-12-01T20:33:20Z", "in 5m"),
            ("2022-12-02T15:00:13Z", "in 18h32m"),
            ("2022-12-05T00:28:13Z", "in 3d 4h"),
        ] {
            assert_eq!(countdown(to.parse().unwrap(), at), words);
        }
    }
}
