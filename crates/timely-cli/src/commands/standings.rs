//! `timely standings`: the tables as they stand.

use timely_core::body::{Board, Leaderboard};
use timely_core::event::Count;
use timely_core::slot::strip_group_word;
use timely_core::text::folded;

use crate::context::Context;
use crate::discovery::Need;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::score;

/// Show the table of each group
#[derive(clap::Args, Debug)]
#[command(
    visible_alias = "leaderboard",
    before_help = "Examples:
  timely standings
  timely standings \"Group A\"
  timely standings A --count official --json"
)]
pub(crate) struct StandingsArgs {
    /// Only this group: `A`, `Group A`, `Pool A`
    group: Option<String>,

    /// Which results count: live, entered or official [default: as the event is set]
    #[arg(long)]
    count: Option<Count>,
}

pub(crate) async fn run(args: StandingsArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let client = context.client(Need::Read, out).await?;
    let event = context.event(&client, out).await?;
    let mut leaderboard = client.leaderboard(event.id, args.count).await?;
    if let Some(group) = &args.group {
        only(&mut leaderboard, group)?;
    }
    if out.is_json() {
        return out.json(&leaderboard);
    }
    if out.is_terminal() {
        out.note(&format!("{}: {}", event.name, score::count(args.count.unwrap_or(event.count))))?;
        for board in &leaderboard.boards {
            out.line(&score::heading(board.group.as_deref()))?;
            out.table(&drawn(board))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["group", "pos", "team", "p", "w", "d", "l", "gf", "ga", "gd", "pts"]);
    for board in &leaderboard.boards {
        for row in &board.leaderboard {
            table.row([
                board.group.clone().unwrap_or_default(),
                row.position.to_string(),
                row.team_name.clone(),
                row.played.to_string(),
                row.won.to_string(),
                row.drawn.to_string(),
                row.lost.to_string(),
                row.gf.to_string(),
                row.ga.to_string(),
                row.gd.to_string(),
                row.points.to_string(),
            ]);
        }
    }
    out.table(&table)
}

fn only(leaderboard: &mut Leaderboard, group: &str) -> Result<(), CliError> {
    let wanted = folded(strip_group_word(group));
    let is_wanted = |board: &Board| board.group.as_deref().is_some_and(|group| folded(group) == wanted);
    let groups: Vec<String> = leaderboard.boards.iter().filter_map(|board| board.group.clone()).collect();
    leaderboard.boards.retain(is_wanted);
    if leaderboard.boards.is_empty() {
        let error = CliError::not_found(format!("no group \"{group}\""));
        return Err(if groups.is_empty() {
            error.hint("The event has one table and no groups: timely standings")
        } else {
            error.candidates(groups)
        });
    }
    Ok(())
}

fn drawn(board: &Board) -> Table {
    let mut table = Table::new(&[">#", "Team", ">P", ">W", ">D", ">L", ">GF", ">GA", ">GD", ">Pts", ""]);
    for row in &board.leaderboard {
        let remark = match (row.live, row.provisional) {
            (0, 0) => "",
            (0, _) => "UNOFFICIAL",
            _ => "LIVE",
        };
        table.row([
            row.position.to_string(),
            row.team_name.clone(),
            row.played.to_string(),
            row.won.to_string(),
            row.drawn.to_string(),
            row.lost.to_string(),
            row.gf.to_string(),
            row.ga.to_string(),
            format!("{:+}", row.gd),
            row.points.to_string(),
            remark.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely_core::id::EventId;

    #[test]
    fn a_group_goes_by_its_name_with_or_without_the_word() {
        let all = || Leaderboard {
            event_id: EventId(1),
            pos: 1,
            boards: ["A", "B"].map(|group| Board { group: Some(group.into()), leaderboard: Vec::new() }).into(),
        };
        for text in ["B", "b", "Group B", "pool b"] {
            let mut leaderboard = all();
            only(&mut leaderboard, text).unwrap();
            assert_eq!(leaderboard.boards[0].group.as_deref(), Some("B"), "{text}");
            assert_eq!(leaderboard.boards.len(), 1);
        }
        let error = only(&mut all(), "C").unwrap_err();
        assert_eq!((error.exit as u8, error.candidates.join(" ").as_str()), (3, "A B"));
    }
}
