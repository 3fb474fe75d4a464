//! Opening a data directory: what is made, what is continued, what is refused.

use std::fs;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::clock::real_now;
use crate::store::testing::{Ground, open, options};
use crate::store::{OpenError, Store};

#[tokio::test]
async fn the_first_start_makes_an_owner_and_later_ones_keep_it() {
    let ground = Ground::new();
    let token = ground.store.owner_token().unwrap();
    assert!(token.starts_with("tml_") && token.len() == 68, "{token}");
    let owner = ground.store.bearer(&token, real_now()).await.unwrap().unwrap();
    assert_eq!((owner.user.0, owner.role.as_str()), (1, "owner"));
    assert_eq!(ground.store.bearer("tml_0", real_now()).await.unwrap(), None);
    #[cfg(unix)]
    for file in ["owner.token", "timely.db", "timely.db-wal", "timely.high-water"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(ground.dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is for its owner alone");
    }
    let ground = ground.reopened().await;
    assert_eq!(ground.store.owner_token().unwrap(), token);
    // Whoever has the files owns the server: a lost token is replaced.
    ground.store.close().await;
    fs::remove_file(ground.dir.path().join("owner.token")).unwrap();
    let ground = ground.reopened().await;
    let other = ground.store.owner_token().unwrap();
    assert_ne!(other, token);
    assert!(ground.store.bearer(&other, real_now()).await.unwrap().is_some());
}

#[tokio::test]
async fn the_epoch_lasts_until_continuity_cannot_be_proven() {
    let ground = Ground::new();
    let epoch = ground.store.epoch().clone();
    ground.event().await;
    let ground = ground.reopened().await;
    assert_eq!(*ground.store.epoch(), epoch, "opened again");

    ground.store.close().await;
    let data = ground.dir.path().join("timely.db");
    let backup = fs::read(&data).unwrap();
    let ground = ground.reopened().await;
    ground.event().await;
    ground.store.close().await;
    fs::write(&data, &backup).unwrap();
    let ground = ground.reopened().await;
    let restored = ground.store.epoch().clone();
    assert_ne!(restored, epoch, "the log ends before what had been reached");
    let ground = ground.reopened().await;
    assert_eq!(*ground.store.epoch(), restored, "only once");

    ground.store.close().await;
    fs::write(&data, &backup).unwrap();
    let ground = ground.reopened().await;
    assert_ne!(*ground.store.epoch(), restored, "the file of another epoch");

    ground.store.close().await;
    fs::remove_file(ground.dir.path().join("timely.high-water")).unwrap();
    let before = ground.store.epoch().clone();
    let ground = ground.reopened().await;
    assert_ne!(*ground.store.epoch(), before, "a file without its mark came from somewhere else");
}

#[tokio::test]
async fn positions_go_on_where_they_were() {
    let ground = Ground::new();
    ground.event().await;
    let head = ground.head();
    let ground = ground.reopened().await;
    assert_eq!(ground.head(), head);
    ground.event().await;
    assert_eq!(ground.head(), head + 1);
    ground.assert_dense().await;
}

#[tokio::test]
async fn a_second_server_is_told_who_has_the_directory() {
    let ground = Ground::new();
    let refused = Store::open(ground.dir.path(), options()).unwrap_err();
    let pid = format!("process {}", std::process::id());
    assert!(matches!(&refused, OpenError::Locked { holder, .. } if *holder == pid), "{refused}");
    ground.store.set_holder("process 7 at http://127.0.0.1:8000").unwrap();
    let refused = Store::open(ground.dir.path(), options()).unwrap_err().to_string();
    assert!(refused.contains("process 7 at http://127.0.0.1:8000") && refused.contains("--data"), "{refused}");
    ground.store.close().await;
    open(ground.dir.path()).close().await;
}

#[tokio::test]
async fn the_file_of_a_newer_program_is_refused_by_number() {
    let ground = Ground::new();
    ground.store.close().await;
    let conn = Connection::open(ground.dir.path().join("timely.db")).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    drop(conn);
    let refused = Store::open(ground.dir.path(), options()).unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { found: 7, known: 1 }), "{refused}");
    assert!(refused.to_string().contains("newer program"), "{refused}");
}

#[test]
fn what_is_no_data_file_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("timely.db"), "this is a text file, and a long one at that ".repeat(100)).unwrap();
    let refused = Store::open(dir.path(), options()).unwrap_err();
    assert!(matches!(refused, OpenError::Sqlite(_)), "{refused}");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_sudden_end_and_cursors_stay_good() {
    let ground = Ground::new();
    let event = ground.event().await;
    let head = ground.head();
    // The files as a killed process leaves them.
    let crashed = TempDir::new().unwrap();
    for file in ["timely.db", "timely.db-wal", "timely.high-water", "owner.token"] {
        fs::copy(ground.dir.path().join(file), crashed.path().join(file)).unwrap();
    }
    let store = open(crashed.path());
    assert_eq!(store.epoch(), ground.store.epoch());
    assert_eq!(*store.head().borrow(), head);
    assert_eq!(store.event(None, event.id).await.unwrap(), event);
    assert_eq!(store.owner_token().unwrap(), ground.store.owner_token().unwrap());
    store.close().await;
    let damage = crate::store::schema::quick_check(&crashed.path().join("timely.db")).unwrap();
    assert_eq!(damage, None);
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    for (error, words) in [
        (OpenError::OldSqlite { found: "3.40.0" }, "3.51.3"),
        (OpenError::TooNew { found: 2, known: 1 }, "newer program"),
        (Store::open(std::path::Path::new("/proc/no/such/place"), options()).unwrap_err(), "take another with --data"),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
