//! Finds what the browser tests need and cargo cannot fetch.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Names under which distributions install it.
const CHROMIUM_NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Everything a scenario is run with.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) node: PathBuf,
    pub(super) chromium: PathBuf,
    /// The folder whose `node_modules` hold the packages.
    pub(super) packages: PathBuf,
}

impl Tools {
    /// The tools, or `None` after saying what is missing.
    ///
    /// # Panics
    /// If something is missing while `TIMELY_REQUIRE_TOOLS=1` says that nothing may.
    pub(super) fn find() -> Option<Self> {
        match Self::look() {
            Ok(tools) => Some(tools),
            Err(missing) => {
                let required = std::env::var("TIMELY_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
                assert!(!required, "TIMELY_REQUIRE_TOOLS=1, but {missing}");
                // Not `println!`: of a test that passes, cargo shows nothing printed that way.
                writeln!(std::io::stderr(), "skipped: {missing}").expect("stderr takes a line");
                None
            }
        }
    }

    fn look() -> Result<Self, String> {
        let node = on_path("node").ok_or("node is not installed")?;
        let chromium = CHROMIUM_NAMES.into_iter().find_map(on_path).ok_or("chromium is not installed")?;
        let packages = target().join("browser-tools");
        let pinned = json(&scripts().join("package.json")).ok_or("tests/browser/package.json is not readable")?;
        for (name, version) in
            pinned["dependencies"].as_object().ok_or("tests/browser/package.json names no packages")?
        {
            let installed = json(&packages.join("node_modules").join(name).join("package.json"));
            if installed.is_none_or(|installed| installed["version"] != *version) {
                return Err(format!("{name} {version} is not installed; run tests/browser/install"));
            }
        }
        Ok(Self { node, chromium, packages })
    }
}

/// The folder of the scripts.
pub(super) fn scripts() -> PathBuf {
    workspace().join("tests/browser")
}

/// Where pictures go.
pub(super) fn pictures() -> PathBuf {
    target().join("browser")
}

/// The root of the sources.
pub(super) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder for tests is inside the target folder")
}

/// A program that runs when it is asked for its version.
fn on_path(name: &str) -> Option<PathBuf> {
    let file = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())?;
    let answer =
        Command::new(&file).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    answer.is_ok_and(|status| status.success()).then_some(file)
}

fn json(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}
