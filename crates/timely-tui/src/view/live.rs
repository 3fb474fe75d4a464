//! Fixtures that are being played, with their goals where there is room.
//!
//! No running match clock: the server tells a minute with a score, and the time since cannot be
//! known here (half time, stoppages). What is shown says as of when it is.

use ratatui::text::{Line, Span};
use timely_core::fixture::ScheduleItem;
use timely_core::id::TeamId;

use crate::app::App;
use crate::view::text::{
    Names, cut, decided, fit, goal, minute_of, outcome_in, pairing_in, place, short_goal, sides, width,
};
use crate::view::theme::Theme;

/// How much of a fixture is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Place, sides with goals, where they stand, and a free line.
    Roomy,
    /// Place, and sides with goals.
    Full,
    /// The score.
    Short,
}

impl Detail {
    const fn lines(self) -> usize {
        match self {
            Self::Roomy => 5,
            Self::Full => 3,
            Self::Short => 1,
        }
    }

    /// Lines of so many fixtures. The last one needs no free line below it.
    const fn height(self, fixtures: usize) -> usize {
        let free = if matches!(self, Self::Roomy) && fixtures > 0 { 1 } else { 0 };
        self.lines() * fixtures - free
    }
}

/// Lines the pane takes with its borders, in a column of so many.
pub(crate) fn height(app: &App, column: u16) -> u16 {
    let live = app.live().count();
    let roomy = Detail::Roomy.height(live);
    let inside = if roomy + 2 <= usize::from(column / 3) { roomy } else { Detail::Full.height(live) };
    u16::try_from(inside.max(1) + 2).unwrap_or(u16::MAX)
}

/// As much of each fixture as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let live: Vec<_> = app.live().collect();
    if live.is_empty() {
        return vec![Line::raw(if app.has_schedule() { " Nothing is being played now" } else { "" })];
    }
    let (cells, room) = (usize::from(cells), usize::from(lines));
    let detail = [Detail::Roomy, Detail::Full]
        .into_iter()
        .find(|detail| detail.height(live.len()) <= room)
        .unwrap_or(Detail::Short);
    let name_cells = |fixture: &&ScheduleItem| {
        let (home, away) = sides(fixture, Names::Full);
        width(&home).max(width(&away))
    };
    // The same for all, so that the scores line up.
    let name_cells = live.iter().map(name_cells).max().unwrap_or(0).clamp(4, (cells / 3).clamp(4, 24));
    let mut drawn = Vec::new();
    for fixture in &live {
        if detail == Detail::Short {
            drawn.push(short(app, theme, fixture, cells));
            continue;
        }
        drawn.extend(full(app, theme, fixture, name_cells, cells));
        if detail == Detail::Roomy {
            drawn.extend(as_it_stands(app, fixture).map(|words| Line::raw(cut(&format!("   {words}"), cells))));
            drawn.push(Line::default());
        }
    }
    if detail == Detail::Short && drawn.len() > room && room > 0 {
        let left_out = drawn.len() - (room - 1);
        drawn.truncate(room - 1);
        drawn.push(Line::raw(format!(" and {left_out} more")));
    }
    drawn
}

/// `LIVE Japan 2-1 Spain (51')`
pub(crate) fn short(app: &App, theme: Theme, fixture: &ScheduleItem, cells: usize) -> Line<'static> {
    let word = format!(" {} ", fixture.status);
    let room = cells.saturating_sub(width(&word));
    let words = match app.result_of(fixture.fixture_id) {
        Some((result, score)) => {
            let outcome = outcome_in(fixture, result, score, room);
            let minute = result.minute.map_or_else(String::new, |minute| format!(" ({minute}')"));
            if width(&outcome) + width(&minute) <= room { outcome + &minute } else { outcome }
        }
        None => pairing_in(fixture, room),
    };
    Line::from_iter([Span::styled(word, theme.live()), Span::styled(words, theme.strong())])
}

/// `JPN 2-1 ESP 51'`: what is said where there is no room for anything else.
pub(crate) fn shortest(app: &App, fixture: &ScheduleItem, cells: usize) -> String {
    let Some((result, score)) = app.result_of(fixture.fixture_id) else {
        let (home, away) = sides(fixture, Names::Short);
        return cut(&format!("{home} v {away}"), cells);
    };
    let minute = result.minute.map_or_else(String::new, |minute| format!(" {minute}'"));
    let (home, away) = sides(fixture, Names::Short);
    let score_of = format!("{home} {score}{} {away}", decided(result));
    if width(&score_of) + width(&minute) <= cells {
        return score_of + &minute;
    }
    if width(&score_of) <= cells { score_of } else { outcome_in(fixture, result, score, cells) }
}

fn full(app: &App, theme: Theme, fixture: &ScheduleItem, name_cells: usize, cells: usize) -> [Line<'static>; 3] {
    let result = app.result_of(fixture.fixture_id);
    let minute = result.and_then(|(result, _)| result.minute);
    let as_of = minute.map_or_else(String::new, |minute| format!(" as of {minute}'"));
    let beyond = result.map_or_else(String::new, |(result, _)| decided(result));
    let word = format!(" {}", fixture.status);
    let rest = format!("{beyond}{as_of}  #{}", fixture.number);
    let place = place(fixture, cells.saturating_sub(width(&word) + width(&rest) + 3));
    let rest = cut(&format!("{rest}  {place}"), cells.saturating_sub(width(&word)));
    let (home, away) = sides(fixture, Names::Full);
    let (home_code, away_code) = sides(fixture, Names::Short);
    let side = |name: &str, code: &str, team: Option<TeamId>, points: Option<u16>| {
        let name = if width(name) <= name_cells { name } else { code };
        let points = points.map_or_else(|| "-".to_owned(), |points| points.to_string());
        let start = format!("   {} {points:>3}  ", fit(name, name_cells));
        let room = cells.saturating_sub(width(&start));
        Line::from_iter([Span::styled(start, theme.strong()), Span::raw(goals(app, fixture, team, room))])
    };
    [
        Line::from_iter([Span::styled(word, theme.live()), Span::styled(rest, theme.strong())]),
        side(&home, &home_code, fixture.home_team.id, result.map(|(_, score)| score.home)),
        side(&away, &away_code, fixture.away_team.id, result.map(|(_, score)| score.away)),
    ]
}

/// Goals of a side with as much of the scorers as there is room for: half a name says less than every
/// minute.
fn goals(app: &App, fixture: &ScheduleItem, team: Option<TeamId>, room: usize) -> String {
    let result = app.result_of(fixture.fixture_id);
    let goals = || {
        let goals = result.iter().flat_map(|(result, _)| &result.goals);
        goals.filter(|scored| Some(scored.team_id) == team)
    };
    let forms = [goal, short_goal, minute_of];
    let listed = forms.map(|form| goals().map(form).collect::<Vec<_>>().join(", "));
    let shortest = listed.last().cloned().unwrap_or_default();
    listed.into_iter().find(|words| width(words) <= room).unwrap_or_else(|| cut(&shortest, room))
}

/// `As it stands: Japan 1st, Spain 3rd`
fn as_it_stands(app: &App, fixture: &ScheduleItem) -> Option<String> {
    let position = |team: Option<TeamId>| app.position_of(&fixture.group, team?);
    let (home, away) = sides(fixture, Names::Full);
    let (at_home, at_away) = (position(fixture.home_team.id)?, position(fixture.away_team.id)?);
    Some(format!("As it stands: {home} {}, {away} {}", ordinal(at_home), ordinal(at_away)))
}

/// `1st`, `12th`, `23rd`
fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_table_read_as_people_say_them() {
        for (number, words) in
            [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st")]
        {
            assert_eq!(ordinal(number), words);
        }
    }
}
