//! What people see in a real browser: Chromium, driven by the scripts of `tests/browser/`.
//!
//! Each test plays one script on a stage of its own. They need Chromium, Node and the packages that
//! `tests/browser/install` fetches; without them they are skipped, unless `TIMELY_REQUIRE_TOOLS` is
//! set. Pictures, also of a page that failed, are in `target/browser/`.

#![allow(clippy::print_stdout, reason = "what a script says belongs to the output of its test")]

mod stage;
mod tools;

use std::process::Command;

use stage::play;
use tools::Tools;

/// The page's state alone: no server sends an early copy at will.
#[test]
fn an_early_copy_of_an_emergency_is_a_preview() {
    let Some(tools) = Tools::find() else { return };
    let state = tools::workspace().join("crates/timely-server/src/page/assets/state.js");
    let answer = Command::new(tools.node).arg(tools::scripts().join("early.mjs")).arg(state).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}

#[tokio::test]
async fn the_samples_of_the_guide_work_as_they_are() {
    play("guide").await;
}

#[tokio::test]
async fn the_page_shows_everything_at_once_and_live() {
    play("page").await;
}

#[tokio::test]
async fn the_badge_tells_the_truth() {
    play("badge").await;
}

#[tokio::test]
async fn without_websockets_the_page_goes_on_by_event_stream() {
    play("blocked").await;
}

#[tokio::test]
async fn a_silent_network_makes_the_page_stale_and_nothing_is_lost() {
    play("cut").await;
}

#[tokio::test]
async fn the_page_comes_back_by_itself_after_the_server_did() {
    play("restart").await;
}

#[tokio::test]
async fn names_are_text_whatever_they_say() {
    play("hostile").await;
}

#[tokio::test]
async fn the_page_fits_a_phone_a_tablet_and_a_wall() {
    play("pictures").await;
}
