//! The crates know only what the architecture lets them know.

use std::collections::BTreeSet;
use std::path::Path;

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(manifest);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut inside, mut names) = (false, BTreeSet::new());
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && let Some((name, _)) = line.split_once(['.', '=']) {
            names.insert(name.trim().to_owned());
        }
    }
    assert!(!names.is_empty(), "{manifest} lists no dependencies");
    names
}

#[test]
fn core_is_pure() {
    let allowed = ["jiff", "serde", "serde_json", "thiserror", "unicode-normalization"];
    let found = dependencies("crates/timely-core/Cargo.toml");
    assert!(found.iter().all(|name| allowed.contains(&name.as_str())), "{found:?}");
}

#[test]
fn arrows_point_one_way() {
    for (manifest, forbidden) in [
        ("crates/timely-server/Cargo.toml", &["timely-client", "timely-cli", "timely-tui", "reqwest"][..]),
        ("crates/timely-client/Cargo.toml", &["timely-server", "timely-cli", "timely-tui", "rusqlite", "axum"]),
        ("crates/timely-tui/Cargo.toml", &["timely-server", "timely-cli", "rusqlite", "axum"]),
        ("crates/timely-cli/Cargo.toml", &["rusqlite", "axum", "ratatui"]),
    ] {
        let found = dependencies(manifest);
        for name in forbidden {
            assert!(!found.contains(*name), "{manifest} depends on {name}");
        }
    }
}

/// Which of these words a file of the server may use.
#[test]
fn the_store_never_sees_axum_the_hub_never_reads_tables_and_handlers_never_see_the_hub() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/timely-server/src");
    let mut checked = 0;
    for (folder, forbidden) in [
        ("store", &["axum", "crate::http", "crate::live"][..]),
        ("http", &["rusqlite", "crate::live"]),
        ("page.rs", &["rusqlite", "crate::live"]),
        ("page", &["rusqlite", "crate::live"]),
        ("live/frame.rs", &["rusqlite", "axum", "tokio::", "Store"]),
        ("live/publisher.rs", &["rusqlite", "axum", "tokio::", "Store"]),
        ("live/hub.rs", &["rusqlite", "axum", "tokio::", "Store"]),
        ("live/session.rs", &["rusqlite", "axum", "tokio::", "Store"]),
    ] {
        let path = source.join(folder);
        let files = if path.is_dir() {
            std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect()
        } else {
            vec![path]
        };
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]").enumerate();
            for (number, line) in code.filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for word in forbidden {
                    assert!(!line.contains(word), "{}:{}: {word} in {line}", file.display(), number + 1);
                }
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked} files");
}
