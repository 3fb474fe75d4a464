//! The four panes: standings, live, next, latest.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};
use timely_core::fixture::{FixtureStatus, ScheduleItem};
use timely_core::text::display_safe;

use crate::app::{App, side};

/// Below this inner width the table keeps place, team, games and points only.
const ALL_COLUMNS_FROM: u16 = 40;

/// Scores are dimmed while they may no longer be true.
fn dimmed(app: &App) -> Style {
    if app.is_stale() { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
}

pub(super) fn standings(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let Some(group) = app.group() else {
        let empty = Paragraph::new("No table yet: add teams with `timely team add`")
            .block(Block::bordered().title(" Standings "));
        return frame.render_widget(empty, area);
    };
    let rows = app.boards.get(group).map(Vec::as_slice).unwrap_or_default();
    let unconfirmed = rows.iter().any(|row| row.live + row.provisional > 0);
    let name = if group.is_empty() { String::new() } else { format!(": Group {}", display_safe(group)) };
    let title = format!(" Standings{name} {} ", if unconfirmed { "UNOFFICIAL" } else { "OFFICIAL" });
    let block = Block::bordered().title(title);
    let wide = block.inner(area).width >= ALL_COLUMNS_FROM;
    let header: &[&str] =
        if wide { &["#", "Team", "P", "W", "D", "L", "GF", "GA", "GD", "Pts"] } else { &["#", "Team", "P", "Pts"] };
    let right = |text: String| Cell::from(Line::raw(text).right_aligned());
    let lines = rows.iter().map(|row| {
        let place = if row.shared { format!("{}=", row.position) } else { row.position.to_string() };
        let mut cells =
            vec![right(place), Cell::from(display_safe(&row.team_name).into_owned()), right(row.played.to_string())];
        if wide {
            cells.extend([row.won, row.drawn, row.lost, row.gf, row.ga].map(|count| right(count.to_string())));
            cells.push(right(format!("{:+}", row.gd)));
        }
        cells.push(right(row.points.to_string()));
        let style = if row.live > 0 { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        Row::new(cells).style(style)
    });
    let mut widths = vec![Constraint::Length(3), Constraint::Fill(1), Constraint::Length(2)];
    if wide {
        widths.extend([2, 2, 2, 3, 3, 4].map(Constraint::Length));
    }
    widths.push(Constraint::Length(3));
    let header = header.iter().map(|name| if *name == "Team" { Cell::from(*name) } else { right((*name).to_owned()) });
    let table = Table::new(lines, widths)
        .header(Row::new(header).style(Modifier::UNDERLINED))
        .column_spacing(1)
        .style(dimmed(app))
        .block(block);
    frame.render_widget(table, area);
}

fn score_line(app: &App, item: &ScheduleItem) -> String {
    let result = app.results.get(&item.fixture_id);
    let minute = match (item.status, result.and_then(|result| result.minute)) {
        (FixtureStatus::Paused, _) => "PAUSED".to_owned(),
        (_, Some(minute)) => format!("LIVE {minute}'"),
        (_, None) => "LIVE".to_owned(),
    };
    let score = result.and_then(timely_core::result::FixtureResult::score);
    let score = score.map_or_else(|| "0-0".to_owned(), |score| score.to_string());
    format!("{minute:<9} {} {score} {}", display_safe(side(&item.home_team)), display_safe(side(&item.away_team)))
}

pub(super) fn live(frame: &mut Frame<'_>, area: Rect, app: &App, framed: bool) {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for item in app.playing() {
        lines.push(Line::styled(score_line(app, item), Modifier::BOLD));
        if framed {
            let place = [item.venue.name.as_deref(), item.area.as_deref()];
            let place: Vec<_> = place.into_iter().flatten().map(display_safe).collect();
            lines.push(Line::raw(format!("  #{} {}", item.number, place.join(", "))));
        }
    }
    if lines.is_empty() {
        lines.push(Line::raw("Nothing is being played"));
    }
    let mut paragraph = Paragraph::new(lines).style(dimmed(app));
    if framed {
        paragraph = paragraph.block(Block::bordered().title(" Live "));
    }
    frame.render_widget(paragraph, area);
}

pub(super) fn next(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let zone = app.zone();
    let lines: Vec<Line<'_>> = app
        .coming()
        .take(usize::from(area.height))
        .map(|item| {
            let start = item.start_at.to_zoned(zone.clone()).strftime("%a %H:%M").to_string();
            let name = |team: &timely_core::fixture::TeamLabel, slot: &Option<timely_core::slot::Slot>| match (
                team.id, slot,
            ) {
                (None, Some(slot)) => slot.to_string(),
                _ => side(team).to_owned(),
            };
            let (home, away) = (name(&item.home_team, &item.home_slot), name(&item.away_team, &item.away_slot));
            Line::raw(format!("{start}  #{:<3} {} v {}", item.number, display_safe(&home), display_safe(&away)))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Next (venue time) ")), area);
}

pub(super) fn latest(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let zone = app.zone();
    let lines: Vec<Line<'_>> = app
        .latest
        .iter()
        .take(usize::from(area.height))
        .map(|(at, line)| {
            let at = at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
            Line::raw(format!("{at} {}", display_safe(line)))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Latest ")), area);
}
