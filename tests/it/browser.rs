//! What people see in a real browser: Chromium, driven by the scripts of `tests/browser/`.
//!
//! Each test plays one script on a stage of its own. They need Chromium, Node and the packages that
//! `tests/browser/install` fetches; without them they are skipped, unless `TIMELY_REQUIRE_TOOLS` is
//! set. Pictures, also of a page that failed, are in `target/browser/`.

#![allow(clippy::print_stdout, reason = "what a script says belongs to the output of its test")]

mod stage;
mod tools;

use stage::play;

#[tokio::test]
async fn the_samples_of_the_guide_work_as_they_are() {
    play("guide").await;
}
