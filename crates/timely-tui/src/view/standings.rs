//! The table of one group: position, team and points always, the rest as there is room.

use ratatui::text::Line;
use timely_core::standings::Row;

use crate::app::{App, Board, Group};
use crate::view::text::{Names, fit, safe, width};
use crate::view::theme::Theme;

/// Cells a name should have before it gives way to the code.
const NAME_CELLS: usize = 13;
/// Cells of a code, with the mark of a team that plays.
const CODE_CELLS: usize = 5;

/// A column of numbers: heading, cells, and how it reads.
type Column = (&'static str, usize, fn(&Row) -> String);

const PLAYED: Column = ("P", 3, |row| row.played.to_string());
const WON: Column = ("W", 3, |row| row.won.to_string());
const DRAWN: Column = ("D", 3, |row| row.drawn.to_string());
const LOST: Column = ("L", 3, |row| row.lost.to_string());
const FOR: Column = ("GF", 4, |row| row.gf.to_string());
const AGAINST: Column = ("GA", 4, |row| row.ga.to_string());
const DIFFERENCE: Column = ("GD", 5, |row| if row.gd == 0 { "0".to_owned() } else { format!("{:+}", row.gd) });
const POINTS: Column = ("Pts", 5, |row| row.points.to_string());

/// Sets of columns, the widest first.
const SETS: &[&[Column]] = &[
    &[PLAYED, WON, DRAWN, LOST, FOR, AGAINST, DIFFERENCE, POINTS],
    &[PLAYED, WON, DRAWN, LOST, DIFFERENCE, POINTS],
    &[PLAYED, WON, DRAWN, LOST, POINTS],
    &[PLAYED, POINTS],
    &[POINTS],
];
/// Cells of the position.
const POSITION_CELLS: usize = 4;
/// Cells of what decided the position, the gap before it included.
const DECIDED_CELLS: usize = 26;

/// Lines the pane takes with its borders.
pub(crate) fn height(app: &App) -> u16 {
    let rows = app.board().map_or(1, |(_, board)| board.rows.len() + 1);
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2)
}

/// `Group E: UNOFFICIAL, 2 live`
pub(crate) fn title(app: &App, lines: u16) -> String {
    let Some((group, board)) = app.board() else {
        return "Standings".to_owned();
    };
    let fits = usize::from(lines.saturating_sub(1));
    let cut = if board.rows.len() > fits { format!(", top {fits} of {}", board.rows.len()) } else { String::new() };
    let chosen = if app.is_group_automatic() || !app.has_groups() { "" } else { ", chosen" };
    let count = standing(board);
    let count = if count.is_empty() { String::new() } else { format!(": {count}") };
    format!("{}{count}{cut}{chosen}", name(group))
}

/// `Group E`
pub(crate) fn name(group: &Group) -> String {
    group.as_deref().map_or_else(|| "Standings".to_owned(), |group| format!("Group {}", safe(group)))
}

/// `UNOFFICIAL, 2 live`; empty before the first result.
fn standing(board: &Board) -> String {
    let sum = |count: fn(&Row) -> u32| board.rows.iter().map(count).sum::<u32>();
    // Each fixture stands in the rows of both its teams.
    match (sum(|row| row.live) / 2, sum(|row| row.provisional), sum(|row| row.played)) {
        (_, _, 0) => String::new(),
        (0, 0, _) => "OFFICIAL".to_owned(),
        (0, _, _) => "UNOFFICIAL".to_owned(),
        (live, _, _) => format!("UNOFFICIAL, {live} live"),
    }
}

/// Heading and rows, as many as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let Some((_, board)) = app.board() else {
        return vec![Line::raw(" No table yet")];
    };
    let cells = usize::from(cells);
    let longest = board.rows.iter().map(|row| width(&safe(&row.team_name)) + 1).max().unwrap_or(0);
    let columns_cells = |columns: &[Column]| columns.iter().map(|(_, cells, _)| cells).sum::<usize>();
    let fits =
        |name: usize| SETS.iter().copied().find(move |columns| POSITION_CELLS + name + columns_cells(columns) <= cells);
    let (columns, names) = match fits(longest.min(NAME_CELLS)) {
        // Names are worth more than the numbers between team and points, codes more than none of them.
        Some(columns) if columns.len() > 1 => (columns, Names::Full),
        _ => fits(CODE_CELLS).map_or((&[POINTS][..], Names::Short), |columns| (columns, Names::Short)),
    };
    let rest = cells.saturating_sub(POSITION_CELLS + columns_cells(columns));
    let is_decided_shown = names == Names::Full && rest >= longest + DECIDED_CELLS;
    let team_cells = if is_decided_shown { rest - DECIDED_CELLS } else { rest };
    let numbers = |words: &dyn Fn(&Column) -> String| {
        columns.iter().fold(String::new(), |line, column| line + &format!("{:>1$}", words(column), column.1))
    };
    let decided =
        |words: &str| if is_decided_shown { fit(&format!("  {words}"), DECIDED_CELLS) } else { String::new() };
    let heading = format!(
        "{}{}{}{}",
        fit("  #", POSITION_CELLS),
        fit("Team", team_cells),
        numbers(&|column| column.0.to_owned()),
        decided("Decided by")
    );
    let rows = board.rows.iter().map(|row| {
        let name = match names {
            Names::Full => &row.team_name,
            Names::Short => app.code_of(row).unwrap_or(&row.team_name),
        };
        // A team that is playing now.
        let mark = if row.live > 0 { "*" } else { "" };
        let line = format!(
            "{:>3} {}{}{}",
            format!("{}{}", row.position, if row.shared { "=" } else { "" }),
            fit(&format!("{}{mark}", safe(name)), team_cells),
            numbers(&|column| (column.2)(row)),
            decided(&safe(row.decided_by.as_deref().unwrap_or_default())),
        );
        Line::styled(line, if row.live > 0 { theme.strong() } else { ratatui::style::Style::new() })
    });
    std::iter::once(Line::styled(heading, theme.faint())).chain(rows).take(usize::from(lines)).collect()
}
