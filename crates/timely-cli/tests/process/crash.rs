//! `kill -9` in the middle of a replay at full speed: what was acknowledged is there.
//!
//! 25 rounds; `TIMELY_CRASH_ROUNDS=200 cargo test -p timely-cli --test process crash` runs more.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde_json::Value;
use timely_cli::demo::player::{Played, Player};
use timely_cli::demo::{DemoArgs, Programme, Speed, Until, programme};
use timely_client::{Client, Error};
use timely_core::id::EventId;
use tokio_tungstenite::tungstenite::Message;

use crate::program::Home;

/// What a client knows when the server is killed.
#[derive(Default)]
struct Acknowledged {
    /// Positions, in the order of their answers.
    positions: Vec<u64>,
    /// Fixture number → version of its result, as answered.
    results: BTreeMap<u32, i64>,
}

#[test]
fn a_killed_server_has_lost_nothing_it_acknowledged() {
    let rounds = match std::env::var("TIMELY_CRASH_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("TIMELY_CRASH_ROUNDS is a number"),
        Err(_) => 25,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = Home::new();
    let mut programme = whole();
    let mut epoch = None;
    let mut cursor: Option<(EventId, String)> = None;
    for round in 0..rounds {
        // Spread the cuts over kick-offs, goals and full times; a seed that failed is run again as it was.
        let cut_after = 3 + usize::try_from(split_mix(round) % 110).unwrap();
        programme.tournament.event.name = format!("World Cup, round {round}");
        let serving = home.serve();
        let token = std::fs::read_to_string(home.path().join("data/owner.token")).unwrap();
        let client = Client::new(&serving.address, Some(token.trim())).unwrap();

        if let Some((event, cursor)) = &cursor {
            let subscribed = runtime.block_on(resume(&serving.address, *event, cursor));
            assert_eq!(subscribed["recovered"], true, "round {round}: {subscribed}");
            assert_eq!(Some(subscribed["epoch"].clone()), epoch, "round {round}: the log is the same one");
        }

        let (event, acknowledged) = runtime.block_on(async {
            let event = client.import(&programme.tournament).await.unwrap().value.event_id;
            let (reached, cut) = tokio::sync::oneshot::channel();
            let playing = tokio::spawn(play(client.clone(), event, programme.clone(), cut_after, reached));
            cut.await.expect("the replay is longer than the cut");
            // The next write is on its way.
            serving.kill();
            (event, playing.await.unwrap())
        });

        check_log(&home, &acknowledged, round);
        let serving = home.serve();
        let client = Client::new(&serving.address, Some(token.trim())).unwrap();
        runtime.block_on(check_results(&client, event, &acknowledged, round));
        let subscribed = runtime.block_on(resume(&serving.address, event, "none.0"));
        let now = subscribed["epoch"].clone();
        assert_eq!(*epoch.get_or_insert_with(|| now.clone()), now, "round {round}: the log is the same one");
        let last = acknowledged.positions.last().copied().unwrap_or(0);
        cursor = Some((event, format!("{}.{last}", now.as_str().unwrap())));
        serving.kill();
    }
}

fn whole() -> Programme {
    programme(&DemoArgs {
        speed: Speed::Max,
        from: None,
        until: Some(Until::End),
        repeat: false,
        no_tui: true,
        listen: "127.0.0.1:0".parse().unwrap(),
    })
    .unwrap()
}

/// Plays until the server is gone; says so when `cut_after` writes were acknowledged.
async fn play(
    client: Client,
    event: EventId,
    programme: Programme,
    cut_after: usize,
    reached: tokio::sync::oneshot::Sender<()>,
) -> Acknowledged {
    let mut player = Player::new(client.clone(), event).await.unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut reached = Some(reached);
    for step in &programme.script.steps {
        match player.play(step).await {
            Ok(Played::Written { pos }) => acknowledged.positions.push(pos),
            Ok(other) => panic!("{step:?}: {other:?}"),
            Err(Error::Unreachable { .. } | Error::OutcomeUnknown { .. }) => break,
            Err(error) => panic!("{step:?}: {error}"),
        }
        acknowledged.results = player.result_versions().clone();
        if acknowledged.positions.len() == cut_after
            && let Some(reached) = reached.take()
        {
            reached.send(()).unwrap();
        }
    }
    acknowledged
}

/// The log in the file: dense, and up to everything acknowledged.
fn check_log(home: &Home, acknowledged: &Acknowledged, round: u64) {
    let connection = rusqlite::Connection::open(home.path().join("data/timely.db")).unwrap();
    let (count, first, last): (u64, u64, u64) = connection
        .query_row("SELECT count(*), min(pos), max(pos) FROM change_log", [], |row| {
            Ok((
                row.get::<_, i64>(0)?.unsigned_abs(),
                row.get::<_, i64>(1)?.unsigned_abs(),
                row.get::<_, i64>(2)?.unsigned_abs(),
            ))
        })
        .unwrap();
    assert_eq!((first, last), (1, count), "round {round}: positions without gap");
    assert!(
        acknowledged.positions.iter().all(|pos| *pos <= last),
        "round {round}: {last} {:?}",
        acknowledged.positions
    );
    assert!(acknowledged.positions.is_sorted(), "round {round}");
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "round {round}");
}

async fn check_results(client: &Client, event: EventId, acknowledged: &Acknowledged, round: u64) {
    let results: BTreeMap<u32, i64> =
        client.results(event).await.unwrap().into_iter().map(|result| (result.number, result.version)).collect();
    for (number, version) in &acknowledged.results {
        let stored = results.get(number).copied();
        // The write in flight may have been committed without its answer.
        assert!(
            stored == Some(*version) || stored == Some(version + 1),
            "round {round}: #{number} acknowledged as version {version}, stored {stored:?}"
        );
    }
}

/// Resumes from `cursor` and answers the `subscribed` message.
async fn resume(address: &str, event: EventId, cursor: &str) -> Value {
    let address = address.replace("http://", "ws://");
    let url = format!("{address}/ws/events/{event}/stream/?v=2&topics=results&since={cursor}");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message.unwrap() {
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == "subscribed" {
                return message;
            }
        }
    }
    panic!("the stream ended before it was subscribed");
}

/// `SplitMix64`: small, seeded, the same everywhere.
fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
