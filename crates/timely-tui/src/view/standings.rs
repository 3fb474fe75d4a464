//! The tables: that of one group in full, those of others below it where there is room. Position,
//! team and points always, the rest as the width allows.

use ratatui::style::Style;
use ratatui::text::Line;
use timely_core::standings::Row;

use crate::app::{App, Board, Group};
use crate::view::text::{Names, cut, fit, safe, width};
use crate::view::theme::Theme;

/// Cells a name should have before it gives way to the code.
const NAME_CELLS: usize = 13;
/// Cells of a code, with the mark of a team that plays.
const CODE_CELLS: usize = 5;
/// Cells of the position, without the space behind it.
const POSITION_CELLS: usize = 3;
/// Cells of what decided the position, the gap before it included.
const DECIDED_CELLS: usize = 26;
/// What the mark in the rows means.
const LEGEND: &str = " * playing now";

/// A column of numbers: heading, cells at least, and how it reads.
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

/// Lines the pane takes with its borders for the table of the chosen group.
pub(crate) fn height(app: &App) -> u16 {
    let rows = app.board().map_or(1, |(_, board)| board.rows.len() + 1);
    let legend = usize::from(app.board().is_some_and(|(_, board)| has_marks(app, board)));
    u16::try_from(rows + legend + 2).unwrap_or(u16::MAX)
}

/// The same with as many tables of other groups as fit whole into so many lines.
pub(crate) fn height_within(app: &App, most: u16) -> u16 {
    let tables: Vec<usize> = app.other_boards().map(|(_, board)| board.rows.len() + 1).collect();
    let (chosen, most) = (usize::from(height(app)), usize::from(most));
    let with_gaps = chosen + tables.iter().sum::<usize>() + tables.len();
    let mut height = chosen;
    if with_gaps <= most {
        height = with_gaps;
    } else {
        for (at, lines) in tables.iter().enumerate() {
            // A line says how many are left out, if any are.
            let more = usize::from(at + 1 < tables.len());
            if height + lines + more > most {
                height += usize::from(at > 0);
                break;
            }
            height += lines;
        }
    }
    u16::try_from(height).unwrap_or(u16::MAX)
}

fn has_marks(app: &App, board: &Board) -> bool {
    board.rows.iter().any(|row| is_playing(app, row))
}

/// Before the first score only the schedule knows that a team is playing.
fn is_playing(app: &App, row: &Row) -> bool {
    row.live > 0 || app.is_playing(row.team_id)
}

/// `Standings: Group E UNOFFICIAL, 2 live`, in at most `cells` cells; how far it can be relied on is
/// the last to go.
pub(crate) fn title(app: &App, cells: usize, lines: u16) -> String {
    let Some((group, board)) = app.board() else {
        return "Standings".to_owned();
    };
    let (word, live) = standing(app, group, board);
    let live = if live > 0 { format!(", {live} live") } else { String::new() };
    let fits = usize::from(lines.saturating_sub(1));
    let mut title = match group {
        None if word.is_empty() => "Standings".to_owned(),
        None => format!("Standings: {word}{live}"),
        Some(_) => {
            let name = cut(&name(group), cells.saturating_sub(width(word) + 1));
            let title = format!("{name} {word}{live}").trim_end().to_owned();
            if width("Standings: ") + width(&title) <= cells { format!("Standings: {title}") } else { title }
        }
    };
    for part in [
        (board.rows.len() > fits).then(|| format!(", top {fits} of {}", board.rows.len())),
        (!app.is_group_automatic() && app.has_groups()).then(|| ", chosen".to_owned()),
    ]
    .into_iter()
    .flatten()
    {
        if width(&title) + width(&part) <= cells {
            title.push_str(&part);
        }
    }
    title
}

/// `Group E`
fn name(group: &Group) -> String {
    group.as_deref().map_or_else(|| "Standings".to_owned(), |group| format!("Group {}", safe(group)))
}

/// How far the table can be relied on, and how many fixtures of the group are being played; nothing
/// before the first of them.
fn standing(app: &App, group: &Group, board: &Board) -> (&'static str, usize) {
    let is_any = |count: fn(&Row) -> u32| board.rows.iter().any(|row| count(row) > 0);
    match app.live_in(group) {
        0 if is_any(|row| row.live) || is_any(|row| row.provisional) => ("UNOFFICIAL", 0),
        0 if is_any(|row| row.played) => ("OFFICIAL", 0),
        0 => ("", 0),
        live => ("UNOFFICIAL", live),
    }
}

/// How the tables are written in the room they have: the same for all, so that they line up.
struct Plan {
    position_cells: usize,
    names: Names,
    team_cells: usize,
    /// With their cells.
    columns: Vec<(Column, usize)>,
    is_decided_shown: bool,
}

impl Plan {
    fn of<'a>(boards: impl Iterator<Item = &'a Board>, cells: usize) -> Self {
        let rows: Vec<&Row> = boards.flat_map(|board| &board.rows).collect();
        let longest = |text: &dyn Fn(&Row) -> String| rows.iter().map(|row| width(&text(row))).max().unwrap_or(0);
        let position_cells = 1 + longest(&|row| position(row)).max(POSITION_CELLS);
        let name_cells = longest(&|row| safe(&row.team_name)) + 1;
        let sized = |columns: &[Column]| -> Vec<(Column, usize)> {
            columns.iter().map(|column| (*column, column.1.max(1 + longest(&|row| (column.2)(row))))).collect()
        };
        let sets: Vec<Vec<(Column, usize)>> = SETS.iter().map(|columns| sized(columns)).collect();
        let total = |columns: &[(Column, usize)]| columns.iter().map(|(_, cells)| cells).sum::<usize>();
        let fits = |name: usize| sets.iter().find(|columns| position_cells + name + total(columns) <= cells);
        let (columns, names) = match fits(name_cells.min(NAME_CELLS)) {
            // Names are worth more than the numbers between team and points, codes more than none of them.
            Some(columns) if columns.len() > 1 => (columns.clone(), Names::Full),
            _ => (fits(CODE_CELLS).cloned().unwrap_or_else(|| sized(&[POINTS])), Names::Short),
        };
        let rest = cells.saturating_sub(position_cells + total(&columns));
        let is_decided_shown = names == Names::Full
            && rest >= name_cells + DECIDED_CELLS
            && rows.iter().any(|row| row.decided_by.is_some());
        let team_cells = if is_decided_shown { rest - DECIDED_CELLS } else { rest };
        Self { position_cells, names, team_cells, columns, is_decided_shown }
    }

    fn numbers(&self, words: impl Fn(&Column) -> String) -> String {
        self.columns.iter().fold(String::new(), |line, (column, cells)| line + &format!("{:>cells$}", words(column)))
    }

    fn decided(&self, words: &str) -> String {
        if self.is_decided_shown { fit(&format!("  {words}"), DECIDED_CELLS) } else { String::new() }
    }

    fn heading(&self, theme: Theme) -> Line<'static> {
        let line = format!(
            "{}{}{}{}",
            fit("  #", self.position_cells),
            fit("Team", self.team_cells),
            self.numbers(|column| column.0.to_owned()),
            self.decided("Decided by")
        );
        Line::styled(line, theme.faint())
    }

    fn row(&self, app: &App, theme: Theme, board: &Board, row: &Row) -> Line<'static> {
        let name = match self.names {
            Names::Full => &row.team_name,
            Names::Short => app.code_of(row).unwrap_or(&row.team_name),
        };
        // A team that is playing now.
        let mark = if is_playing(app, row) { "*" } else { "" };
        let name = format!("{}{mark}", cut(&safe(name), self.team_cells.saturating_sub(mark.len())));
        let line = format!(
            "{:>2$} {}{3}{4}",
            position(row),
            fit(&name, self.team_cells),
            self.position_cells - 1,
            self.numbers(|column| (column.2)(row)),
            self.decided(&safe(row.decided_by.as_deref().unwrap_or_default())),
        );
        let style = if board.has_just_changed(row.team_id, app.now) { theme.strong() } else { Style::new() };
        Line::styled(line, style)
    }
}

/// `1`, or `2=` where it is shared.
fn position(row: &Row) -> String {
    format!("{}{}", row.position, if row.shared { "=" } else { "" })
}

/// The table of the chosen group with its heading, then those of other groups, whole ones only, as
/// many as there is room for.
pub(crate) fn lines(app: &App, theme: Theme, cells: u16, lines: u16) -> Vec<Line<'static>> {
    let Some((_, board)) = app.board() else {
        return vec![Line::raw(" No table yet")];
    };
    let room = usize::from(lines);
    let others: Vec<(&Group, &Board)> = app.other_boards().collect();
    let all = others.iter().map(|(_, board)| *board).chain([board]);
    let plan = Plan::of(all, usize::from(cells));
    let mut drawn = vec![plan.heading(theme)];
    drawn.extend(board.rows.iter().map(|row| plan.row(app, theme, board, row)));
    drawn.truncate(room);
    let legend = usize::from(has_marks(app, board));
    if drawn.len() + legend <= room {
        let left = room - drawn.len() - legend;
        draw_others(app, theme, &plan, &others, left, &mut drawn);
        if legend > 0 {
            drawn.push(Line::styled(LEGEND, theme.faint()));
        }
    }
    drawn
}

fn draw_others(
    app: &App,
    theme: Theme,
    plan: &Plan,
    others: &[(&Group, &Board)],
    room: usize,
    drawn: &mut Vec<Line<'static>>,
) {
    let table = |(_, board): &(&Group, &Board)| board.rows.len() + 1;
    let all: usize = others.iter().map(table).sum();
    let gap = usize::from(all + others.len() <= room);
    let mut left = room;
    for (at, other) in others.iter().enumerate() {
        let after = others.len() - at - 1;
        // The last line says how many are left out.
        if table(other) + gap + usize::from(after > 0) > left {
            if at > 0 && left > 0 {
                let tables = if after == 0 { "group" } else { "groups" };
                drawn.push(Line::styled(format!(" {} more {tables}: Tab", after + 1), theme.faint()));
            }
            return;
        }
        let (group, board) = other;
        if gap > 0 {
            drawn.push(Line::default());
        }
        let title = format!(" {} {}", name(group), standing(app, group, board).0);
        drawn.push(Line::styled(cut(title.trim_end(), plan_cells(plan)), theme.strong()));
        drawn.extend(board.rows.iter().map(|row| plan.row(app, theme, board, row)));
        left -= table(other) + gap;
    }
}

fn plan_cells(plan: &Plan) -> usize {
    let numbers: usize = plan.columns.iter().map(|(_, cells)| cells).sum();
    plan.position_cells + plan.team_cells + numbers
}
