//! Text in cells: cutting and padding, names, times. The one gate for words from outside.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::buffer::CellWidth as _;
use ratatui::style::Style;
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

/// Fewer cells of a place that was cut say nothing.
const PLACE_CELLS_MIN: usize = 4;
/// Stands for what cannot be shown.
const UNSHOWN: char = '\u{fffd}';

/// Words from outside, made safe for the terminal, and for the words beside them: every letter takes a
/// cell, and none joins with what stands before or after.
pub(crate) fn safe(text: &str) -> String {
    let text = display_safe(text).into_owned();
    if text.is_ascii() {
        return text;
    }
    let mut alone = String::with_capacity(text.len());
    each_letter(&text, |letter| {
        if letter.cell_width() == 0 {
            alone.push(UNSHOWN);
        } else {
            alone.push_str(letter);
        }
        true
    });
    let between = format!(" {alone} ");
    let (mut first, mut last) = (None, String::new());
    each_letter(&between, |letter| {
        first.get_or_insert_with(|| letter.to_owned());
        letter.clone_into(&mut last);
        true
    });
    if first.as_deref() != Some(" ") {
        alone = std::iter::once(UNSHOWN).chain(alone.chars().skip(1)).collect();
    }
    if last != " " {
        alone.pop();
        alone.push(UNSHOWN);
    }
    alone
}

/// Gives the letters of the text, marks included, as they will take their cells, until told to stop.
fn each_letter(text: &str, mut take: impl FnMut(&str) -> bool) {
    for letter in Span::raw(text).styled_graphemes(Style::new()) {
        if !take(letter.symbol) {
            return;
        }
    }
}

/// Cells that the text takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut cells = 0;
    each_letter(text, |letter| {
        cells += usize::from(letter.cell_width());
        true
    });
    cells
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
    each_letter(text, |letter| {
        used += usize::from(letter.cell_width());
        let has_room = used < cells;
        if has_room {
            kept.push_str(letter);
        }
        has_room
    });
    kept.push('~');
    kept
}

/// Two names with something between them that is never cut: the names give way, the longer one first.
fn between(home: &str, middle: &str, away: &str, cells: usize) -> String {
    let Some(room) = cells.checked_sub(width(middle) + 2) else {
        return cut(middle.trim(), cells);
    };
    let half = room / 2;
    let (home_cells, away_cells) = (width(home), width(away));
    let home_room = if away_cells <= half { room - away_cells } else { home_cells.min(half) };
    let home = cut(home, home_room);
    let away = cut(away, room - width(&home).min(room));
    format!("{home} {middle} {away}")
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

/// Where it is played, in at most `cells` cells: `Al Bayt Stadium, Al Khor`, else `Al Bayt Stadium`, else
/// `Al Bayt`: as many words as there is room for, perhaps none.
pub(crate) fn place(fixture: &ScheduleItem, cells: usize) -> String {
    let full = fixture.venue.name.as_deref().map(safe).unwrap_or_default();
    if width(&full) <= cells { full } else { short_place(full.split(',').next().unwrap_or_default(), cells) }
}

fn short_place(name: &str, cells: usize) -> String {
    let mut words = name;
    while width(words) > cells {
        let (before, last) = words.rsplit_once(' ').unwrap_or_default();
        if last.contains(|c: char| c.is_ascii_digit()) || last.chars().count() == 1 {
            // `Court 12` and `Hall B` are told apart by their ends: `Co~12`.
            let room = cells.saturating_sub(width(last));
            return if room > 1 { format!("{}{last}", cut(&format!("{before} "), room)) } else { String::new() };
        }
        words = before;
    }
    // "Al" is no place.
    if width(words) < PLACE_CELLS_MIN { String::new() } else { words.trim_end().to_owned() }
}

/// `Spain v Japan`
pub(crate) fn pairing(fixture: &ScheduleItem, names: Names) -> String {
    let (home, away) = sides(fixture, names);
    format!("{home} v {away}")
}

/// `Spain v Japan`, `ESP v JPN`, or as much of it as there is room for.
pub(crate) fn pairing_in(fixture: &ScheduleItem, cells: usize) -> String {
    let full = pairing(fixture, Names::Full);
    if width(&full) <= cells {
        return full;
    }
    let (home, away) = sides(fixture, Names::Short);
    between(&home, "v", &away, cells)
}

/// `Japan 2-1 Spain`, `Argentina 3-3 (4-2 p) France`
pub(crate) fn outcome(fixture: &ScheduleItem, result: &FixtureResult, score: Score, names: Names) -> String {
    let (home, away) = sides(fixture, names);
    format!("{home} {score}{} {away}", decided(result))
}

/// `Japan 2-1 Spain`, `JPN 2-1 ESP`, or as much of the names as there is room for beside the score.
pub(crate) fn outcome_in(fixture: &ScheduleItem, result: &FixtureResult, score: Score, cells: usize) -> String {
    let full = outcome(fixture, result, score, Names::Full);
    if width(&full) <= cells {
        return full;
    }
    let (home, away) = sides(fixture, Names::Short);
    between(&home, &format!("{score}{}", decided(result)), &away, cells)
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

/// `70' Vargas`: the last word of a name is what it is called by, most often.
pub(crate) fn short_goal(of: &Goal) -> String {
    let player = of.player.as_deref().and_then(|player| player.split_whitespace().last()).map(str::to_owned);
    goal(&Goal { player, ..of.clone() })
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
        let is_near = app.shown_time().is_none_or(|now| at.duration_since(now).as_hours() < 20);
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
        for (text, alone) in [
            ("Ritsu Dōan", "Ritsu Dōan"),
            ("", ""),
            ("\u{301}a", "\u{fffd}a"),
            ("a\u{ad}b", "a\u{fffd}b"),
            ("\u{93e}a", "\u{fffd}a"),
            ("a\u{600}", "a\u{fffd}"),
            ("\u{1f3fb}", "\u{fffd}"),
        ] {
            assert_eq!(safe(text), alone, "{text:?} joins with nothing beside it");
        }
        for (cells, words) in [(16, "Costa~ 2-1 Spain"), (15, "Cost~ 2-1 Spain"), (11, "Co~ 2-1 Sp~"), (3, "2-1")] {
            assert_eq!(between("Costa Rica", "2-1", "Spain", cells), words);
            assert!(width(words) <= cells);
        }
        for (name, cells, words) in [
            ("Education City Stadium", 22, "Education City Stadium"),
            ("Education City Stadium", 21, "Education City"),
            ("Education City Stadium", 9, "Education"),
            ("Education City Stadium", 8, ""),
            ("Al Bayt Stadium", 6, ""),
            ("Stadium 974", 9, "Stadi~974"),
            ("Court 12", 5, "Co~12"),
            ("Court 12", 3, ""),
            ("Hall B", 5, "Hal~B"),
        ] {
            assert_eq!(short_place(name, cells), words);
            assert!(width(words) <= cells);
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
