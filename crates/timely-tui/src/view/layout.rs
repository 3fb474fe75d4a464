//! Which parts of the screen are shown where, by its size alone.
//!
//! No size is refused. From large to small: three columns, two, one, bare lines with the scores
//! first, and at last the scores alone. What a part shows in the room it is given is its own affair.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::app::{App, Pane};
use crate::view::{latest, live, next, standings};

/// From here on there are three columns.
const THREE_COLUMNS: (u16, u16) = (160, 40);
/// From here on two columns share the width evenly; below, the table gets more of it.
const EVEN_COLUMNS_WIDTH: u16 = 100;
/// From here on there are two columns.
const TWO_COLUMNS_WIDTH: u16 = 80;
/// From here on there are panes, below bare lines.
const PANES: (u16, u16) = (60, 16);
/// Lines of the body below which panes would be borders for the most part.
pub(crate) const BODY_HEIGHT_MIN: u16 = 11;
/// From here on bare lines have room for more than the scores.
const LINES: (u16, u16) = (40, 10);
/// Lines a pane needs to say anything: borders, a heading and two lines.
const PANE_HEIGHT_MIN: u16 = 5;
/// Lines with borders that Latest is given before a table of another group.
const LATEST_HEIGHT: u16 = 12;

/// How a screen of some size is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    ThreeColumns,
    TwoColumns,
    /// Two columns with less room for numbers and names.
    TwoCompactColumns,
    OneColumn,
    /// Without borders.
    Lines,
    /// The scores alone.
    Scores,
}

impl Shape {
    pub(crate) const fn of(width: u16, height: u16) -> Self {
        match (width, height) {
            (width, height) if width < LINES.0 || height < LINES.1 => Self::Scores,
            (width, height) if width < PANES.0 || height < PANES.1 => Self::Lines,
            (width, height) if width >= THREE_COLUMNS.0 && height >= THREE_COLUMNS.1 => Self::ThreeColumns,
            (EVEN_COLUMNS_WIDTH.., _) => Self::TwoColumns,
            (TWO_COLUMNS_WIDTH.., _) => Self::TwoCompactColumns,
            _ => Self::OneColumn,
        }
    }

    /// Whether there are panes with borders.
    pub(crate) const fn has_panes(self) -> bool {
        !matches!(self, Self::Lines | Self::Scores)
    }
}

/// Where each pane is shown, and whether others are hidden behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) panes: Vec<(Pane, Rect)>,
    /// Where the line goes that tells of the panes behind; `None` if all of them are shown.
    pub(crate) tabs: Option<Rect>,
}

/// Divides the area among the panes.
pub(crate) fn places(app: &App, shape: Shape, area: Rect) -> Places {
    let columns: &[Constraint] = match shape {
        Shape::ThreeColumns => &[Constraint::Fill(10), Constraint::Fill(11), Constraint::Fill(11)],
        Shape::TwoColumns => &[Constraint::Fill(1), Constraint::Fill(1)],
        Shape::TwoCompactColumns => &[Constraint::Fill(21), Constraint::Fill(19)],
        Shape::OneColumn => return one_column(app, area),
        Shape::Lines | Shape::Scores => return Places { panes: Vec::new(), tabs: None },
    };
    let columns = Layout::horizontal(columns).split(area);
    let panes = match columns.as_ref() {
        [left, middle, right] => {
            let live_height = live::height(app, area.height).min(area.height / 2);
            let (live, next) = split(*middle, live_height);
            vec![(Pane::Standings, *left), (Pane::Live, live), (Pane::Next, next), (Pane::Latest, *right)]
        }
        [left, right] => {
            // The table in any case, then what comes next, then the tables of other groups.
            let most = area.height.saturating_sub(PANE_HEIGHT_MIN);
            let left_over = area.height.saturating_sub(next::height(app));
            let (standings, next) = split(*left, standings::height_within(app, left_over).min(most));
            let most = (area.height / 2).max(area.height.saturating_sub(LATEST_HEIGHT));
            let (live, latest) = split(*right, live::height(app, area.height).min(most));
            vec![(Pane::Standings, standings), (Pane::Live, live), (Pane::Next, next), (Pane::Latest, latest)]
        }
        _ => Vec::new(),
    };
    Places { panes, tabs: None }
}

fn split(area: Rect, upper_height: u16) -> (Rect, Rect) {
    let [upper, lower] = Layout::vertical([Constraint::Length(upper_height), Constraint::Min(0)]).areas(area);
    (upper, lower)
}

/// Lines a pane would like to have.
fn wanted(app: &App, pane: Pane, most: u16) -> u16 {
    let height = match pane {
        Pane::Standings => standings::height(app),
        Pane::Live => live::height(app, most),
        Pane::Next => next::height(app),
        Pane::Latest => latest::height(app),
    };
    height.max(PANE_HEIGHT_MIN)
}

/// All panes if they fit; else the one in front as large as it likes, and the others as they fit.
fn one_column(app: &App, area: Rect) -> Places {
    let height = area.height;
    let in_order = [Pane::Live, Pane::Standings, Pane::Next, Pane::Latest];
    let all: u16 = in_order
        .iter()
        .map(|pane| if *pane == Pane::Latest { LATEST_HEIGHT } else { wanted(app, *pane, height) })
        .fold(0, u16::saturating_add);
    let has_tabs = all > height;
    let (tabs, body) = split(area, u16::from(has_tabs));
    let order: Vec<Pane> = if has_tabs {
        std::iter::once(app.front).chain(in_order.into_iter().filter(|pane| *pane != app.front)).collect()
    } else {
        in_order.to_vec()
    };
    let mut shown: Vec<(Pane, u16)> = Vec::new();
    let mut left = body.height;
    for (at, pane) in order.into_iter().enumerate() {
        if at > 0 && left < PANE_HEIGHT_MIN {
            break;
        }
        let height = wanted(app, pane, body.height).min(left);
        shown.push((pane, height));
        left -= height;
    }
    if let Some((_, height)) = shown.last_mut() {
        *height += left;
    }
    let heights = shown.iter().map(|(_, height)| Constraint::Length(*height));
    let areas = Layout::vertical(heights).split(body);
    let panes = shown.iter().map(|(pane, _)| *pane).zip(areas.iter().copied()).collect();
    Places { panes, tabs: has_tabs.then_some(tabs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Desk;

    #[test]
    fn the_shape_follows_the_size() {
        for (width, height, shape) in [
            (237, 60, Shape::ThreeColumns),
            (160, 40, Shape::ThreeColumns),
            (160, 39, Shape::TwoColumns),
            (159, 60, Shape::TwoColumns),
            (100, 30, Shape::TwoColumns),
            (99, 30, Shape::TwoCompactColumns),
            (80, 24, Shape::TwoCompactColumns),
            (79, 24, Shape::OneColumn),
            (60, 16, Shape::OneColumn),
            (60, 15, Shape::Lines),
            (59, 60, Shape::Lines),
            (40, 10, Shape::Lines),
            (39, 60, Shape::Scores),
            (200, 9, Shape::Scores),
            (0, 0, Shape::Scores),
        ] {
            assert_eq!(Shape::of(width, height), shape, "{width}x{height}");
        }
    }

    #[test]
    fn panes_fill_the_area_without_touching() {
        let app = Desk::of_the_evening().app;
        for (width, height) in [(60, 16), (60, 20), (79, 60), (80, 16), (80, 24), (100, 30), (160, 39), (160, 50)] {
            let area = Rect::new(0, 1, width, height);
            let places = places(&app, Shape::of(width, height), area);
            let panes = places.panes.iter().map(|(_, pane)| *pane);
            let covered: u32 = panes.chain(places.tabs).map(Rect::area).sum();
            assert_eq!(covered, area.area(), "{width}x{height}: {places:?}");
            for (at, (_, pane)) in places.panes.iter().enumerate() {
                assert_eq!(pane.intersection(area), *pane);
                assert!(places.panes[at + 1..].iter().all(|(_, other)| !pane.intersects(*other)), "{places:?}");
            }
            assert_eq!(places.panes.len() < 4, places.tabs.is_some(), "{width}x{height}: {places:?}");
        }
    }

    #[test]
    fn on_a_narrow_screen_each_pane_comes_to_the_front() {
        let mut desk = Desk::of_the_evening();
        for pane in Pane::ALL {
            desk.app.front = pane;
            let places = places(&desk.app, Shape::OneColumn, Rect::new(0, 0, 60, 16));
            assert_eq!(places.panes[0].0, pane);
            assert!(places.tabs.is_some());
        }
    }
}
