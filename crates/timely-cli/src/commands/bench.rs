//! `timely bench`: how many spectators a server carries, and whether each of them gets everything.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use jiff::tz::TimeZone;
use serde_json::Value;
use timely_client::Client;
use timely_core::body::{NewEvent, NewFixture, NewTeam};
use timely_core::event::{Count, Visibility};
use timely_core::fixture::Phase;
use timely_core::id::{EventId, FixtureId};
use tokio_util::sync::CancellationToken;

use crate::args::duration;
use crate::bench::host::{OwnServer, Process, make_room};
use crate::bench::publisher::{Acked, Pace, Published, Publisher, count};
use crate::bench::report::{Percentiles, Report, ms, per, per_million, rounded};
use crate::bench::swarm::{Progress, Swarm, Tally, Target};
use crate::bench::wire::{Load, RESULTS_MAX, Transport};
use crate::context::{Context, real_now};
use crate::discovery::{self, Need};
use crate::error::CliError;
use crate::output::Output;

/// How long nothing may move before what is missing is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether something moved.
const LOOK: Duration = Duration::from_millis(5);
/// Teams of the event that is made; each plays every other once.
const TEAMS: [&str; 4] = ["Reds", "Blues", "Greens", "Golds"];
/// Threads of subscribers at most, unless said otherwise.
const THREADS_DEFAULT_MAX: usize = 4;

/// Measure how many spectators a server carries
///
/// Connects subscribers, publishes, and checks that each of them gets every message once and in
/// order. Uses the server running here, in an event of its own that is deleted afterwards; without
/// one it starts a server for the time of the measurement.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  timely bench
  timely bench --subscribers 10000 --rate 20 --duration 30s
  timely bench --sse --results
  timely bench --subscribers 100 --window 8 --json")]
pub(crate) struct BenchArgs {
    /// How many listen
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=250_000))]
    subscribers: u64,

    /// Messages a second, sent by the clock [default: 10]
    #[arg(long, value_name = "M", conflicts_with = "window", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,

    /// Instead of a rate: always so many on their way, the next when one is acknowledged
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=64))]
    window: Option<u32>,

    /// How long to publish
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    duration: Duration,

    /// Listen over Server-Sent Events instead of WebSocket
    #[arg(long)]
    sse: bool,

    /// Publish announcements; this is the default
    #[arg(long, conflicts_with = "results")]
    announcements: bool,

    /// Publish results, and check the tables they lead to
    #[arg(long)]
    results: bool,

    /// Threads of the subscribers [default: half the processors, at most 4]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
}

impl BenchArgs {
    fn pace(&self) -> Pace {
        match self.window {
            Some(window) => Pace::Window(window),
            None => Pace::Rate(self.rate.unwrap_or(10)),
        }
    }

    const fn load(&self) -> Load {
        if self.results { Load::Results } else { Load::Announcements }
    }

    const fn transport(&self) -> Transport {
        if self.sse { Transport::Sse } else { Transport::WebSocket }
    }

    fn threads(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.map_or_else(|| (processors / 2).clamp(1, THREADS_DEFAULT_MAX), usize::from)
    }
}

pub(crate) async fn run(args: BenchArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    if context.globals.event.is_some() {
        return Err(CliError::usage("bench makes an event of its own and takes no --event"));
    }
    if let Pace::Rate(rate) = args.pace()
        && args.results
        && count(rate, args.duration) > RESULTS_MAX
    {
        return Err(CliError::usage(format!("a score has room for {RESULTS_MAX} results; take a lower rate")));
    }
    make_room(args.subscribers).map_err(|why| {
        CliError::usage(why).hint("Take fewer subscribers, or raise the limit: ulimit -Hn, LimitNOFILE= in systemd")
    })?;
    let stop = timely_server::shutdown_on_signal().map_err(|error| CliError::failure(format!("{error:#}")))?;
    let server = Server::find(context, out).await?;
    let health = server.client.health().await?;
    if !health.load_test {
        out.note("The limits of this server are in force; without them: timely serve --load-test")?;
    }
    let ground = Ground::prepare(&server.client, &args).await?;
    let measured = measure(&args, &server, &ground, health.version, &stop, out).await;
    // Its own server goes with everything in it.
    let cleared = if server.own.is_some() { Ok(()) } else { ground.clear(&server.client).await };
    let report = measured?;
    cleared?;
    if out.is_json() {
        out.json(&report)?;
    } else {
        out.table(&report.table())?;
    }
    report.fault().map_or(Ok(()), |fault| Err(CliError::failure(format!("not everything arrived: {fault}"))))
}

/// The server that is measured.
struct Server {
    client: Client,
    address: SocketAddr,
    /// What the `Host` header says.
    host: String,
    /// Known of a server on this computer.
    process: Option<Process>,
    own: Option<OwnServer>,
}

impl Server {
    async fn find(context: &Context, out: &mut Output) -> Result<Self, CliError> {
        let running = discovery::running(&context.env);
        let is_named = context.globals.server.is_some() || discovery::text(&context.env, "TIMELY_SERVER").is_some();
        if !is_named && running.is_empty() {
            let own = tokio::task::spawn_blocking(OwnServer::start)
                .await
                .map_err(|error| CliError::failure(format!("cannot start a server: {error}")))?
                .map_err(|error| CliError::failure(format!("{error:#}")))?;
            let client = Client::with_timeout(&own.address, Some(&own.token), context.timeout())?;
            let (host, address) = resolve(client.address()).await?;
            return Ok(Self { client, address, host, process: Some(Process::Of(own.pid())), own: Some(own) });
        }
        let chosen = discovery::choose(context.globals.server.as_deref(), &context.env, Need::Write).await?;
        // A key would make one message of all of them.
        let client = Client::with_timeout(&chosen.address, chosen.token.as_deref(), context.timeout())?;
        let (host, address) = resolve(client.address()).await?;
        if !address.ip().is_loopback() {
            let question = format!("{} is not this computer. Put it under load?", client.address());
            context.confirm(&question, out).await?;
        }
        let is_it = |other: &str| other.trim_start_matches("http://").parse() == Ok(address);
        let process = running.iter().find(|server| is_it(&server.address)).map(|server| Process::Of(server.pid));
        Ok(Self { client, address, host, process, own: None })
    }
}

/// Host and socket address of `http://HOST:PORT`.
async fn resolve(url: &str) -> Result<(String, SocketAddr), CliError> {
    let host = url.strip_prefix("http://").filter(|host| !host.contains('/')).ok_or_else(|| {
        CliError::usage(format!("{url} is not a plain http://HOST:PORT, and bench speaks nothing else"))
    })?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
    let addresses = tokio::net::lookup_host(&with_port).await;
    let mut addresses: Vec<SocketAddr> =
        addresses.map_err(|error| CliError::usage(format!("{host} has no address: {error}")))?.collect();
    // `localhost` may be both, and a server mostly listens on the older one.
    addresses.sort_by_key(|address| matches!(address.ip(), IpAddr::V6(_)));
    let address = addresses.first().ok_or_else(|| CliError::usage(format!("{host} has no address")))?;
    Ok((host.to_owned(), *address))
}

/// The event in which it is measured.
struct Ground {
    event: EventId,
    fixtures: Vec<FixtureId>,
}

impl Ground {
    async fn prepare(client: &Client, args: &BenchArgs) -> Result<Self, CliError> {
        let now = real_now();
        let new = NewEvent {
            name: format!("timely bench {now}"),
            starts_on: now.to_zoned(TimeZone::UTC).date(),
            ends_on: None,
            timezone: None,
            // Subscribers are spectators without a token.
            visibility: Visibility::Public,
            rules: None,
            count: Count::Live,
        };
        let event = client.create_event(&new).await?.value.id;
        let mut ground = Self { event, fixtures: Vec::new() };
        if args.results
            && let Err(error) = ground.furnish(client).await
        {
            ground.clear(client).await?;
            return Err(error);
        }
        Ok(ground)
    }

    /// Teams, and a fixture for every two of them.
    async fn furnish(&mut self, client: &Client) -> Result<(), CliError> {
        let mut teams = Vec::new();
        for name in TEAMS {
            let new = NewTeam { name: name.to_owned(), code: None, group: None };
            teams.push(client.create_team(self.event, &new).await?.value.id);
        }
        for (index, home) in teams.iter().enumerate() {
            for away in teams.iter().skip(index + 1) {
                let new = NewFixture {
                    home_team_id: Some(*home),
                    away_team_id: Some(*away),
                    home_slot: None,
                    away_slot: None,
                    start_at: real_now(),
                    venue_id: None,
                    area: None,
                    group: None,
                    round: None,
                    phase: Phase::default(),
                };
                self.fixtures.push(client.create_fixture(self.event, &new).await?.value.fixture_id);
            }
        }
        Ok(())
    }

    async fn clear(&self, client: &Client) -> Result<(), CliError> {
        client.delete_event(self.event).await.map(drop).map_err(|error| {
            let error = CliError::from(error);
            let message = format!("the event of the measurement could not be deleted: {}", error.message);
            CliError { message, ..error }.hint(format!("Delete it: timely event delete {}", self.event))
        })
    }
}

async fn measure(
    args: &BenchArgs,
    server: &Server,
    ground: &Ground,
    version: String,
    stop: &CancellationToken,
    out: &mut Output,
) -> Result<Report, CliError> {
    let origin = Instant::now();
    let (event, topic) = (ground.event, if args.results { "results" } else { "announcements" });
    let path = match args.transport() {
        Transport::WebSocket => format!("/ws/events/{event}/stream/?topics={topic}"),
        Transport::Sse => format!("/api/events/{event}/stream/?topics={topic}"),
    };
    let (transport, load) = (args.transport(), args.load());
    let target = Target { address: server.address, host: server.host.clone(), path, transport, load, origin };

    let resident = || server.process.and_then(Process::resident_bytes);
    let cpu = |process: Option<Process>| process.and_then(Process::cpu_s);
    let subscribers = usize::try_from(args.subscribers).unwrap_or(usize::MAX);
    let resident_idle = resident();
    out.note(&format!("Connecting {subscribers} subscribers to {} …", server.client.address()))?;
    let swarm = connect(&target, args, stop).await?;
    let handshakes_s = origin.elapsed().as_secs_f64();
    let resident_full = resident();

    out.note(&format!("Publishing for {:?} …", args.duration))?;
    let (server_before, own_before) = (cpu(server.process), Process::This.cpu_s());
    let client = server.client.clone();
    let source = Publisher { client, event, fixtures: ground.fixtures.clone(), load, origin };
    let mut published = source.publish(args.pace(), args.duration, stop).await;
    if stop.is_cancelled() {
        return Err(CliError::interrupted());
    }
    let expected = published.acked.len() as u64 * args.subscribers;
    settle(&swarm.progress, stop, |progress| progress.deliveries.load(Ordering::Acquire), expected).await?;
    let (server_after, own_after) = (cpu(server.process), Process::This.cpu_s());
    let wrong_boards = if args.results { Some(boards(&server.client, event, &swarm, args, stop).await?) } else { None };
    let deliveries = swarm.progress.deliveries.load(Ordering::Acquire);
    let closed = swarm.progress.closed.load(Ordering::Relaxed);
    let last_ns = swarm.progress.last_ns.load(Ordering::Relaxed);
    let tally = tokio::task::spawn_blocking(|| swarm.stop())
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| CliError::failure(format!("the subscribers failed: {error}")))?;
    if let Some(error) = published.refusal.take().map(CliError::from) {
        if published.acked.is_empty() {
            return Err(error);
        }
        out.note(&format!("The first refusal: {}", error.message))?;
    }
    if closed > 0 || tally.resyncs > 0 {
        let (closed, resyncs) = (format!("{closed} of {subscribers} connections ended early"), tally.resyncs);
        out.note(&format!("{closed}, {resyncs} resyncs: the load was too much"))?;
    }

    let first_sent = published.acked.iter().map(|acked| acked.sent_ns).min().unwrap_or(0);
    let last_answered = published.acked.iter().map(|acked| acked.answered_ns).max().unwrap_or(0);
    let seconds = |from: u64, to: u64| rounded(Duration::from_nanos(to.saturating_sub(from)).as_secs_f64());
    let used = |before: Option<f64>, after: Option<f64>| Some(rounded(after? - before?));
    let (server_cpu_s, own_cpu_s) = (used(server_before, server_after), used(own_before, own_after));
    let account = Account::of(&published, &tally);
    #[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
    let rate = |count: u64, seconds: f64| if seconds > 0.0 { rounded(count as f64 / seconds) } else { 0.0 };
    let grown = |before: u64, after: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a measure, not a count")]
        per(after.saturating_sub(before) as f64, args.subscribers)
    };
    Ok(Report {
        server: server.client.address().to_owned(),
        version,
        own_server: server.own.is_some(),
        transport: if args.sse { "sse" } else { "websocket" },
        load: topic,
        subscribers: args.subscribers,
        threads: args.threads().min(subscribers),
        rate: if let Pace::Rate(rate) = args.pace() { Some(rate) } else { None },
        window: args.window,
        duration_s: seconds(first_sent, last_answered),
        published: published.acked.len() as u64,
        refused: published.refused,
        deliveries,
        deliveries_per_s: rate(deliveries, seconds(first_sent, last_ns)),
        lost: account.lost,
        doubled: account.doubled,
        reordered: account.reordered,
        wrong_boards,
        resyncs: tally.resyncs,
        closed,
        handshakes_per_s: rate(args.subscribers, handshakes_s),
        ack_ms: Percentiles::of(published.acked.iter().map(|acked| acked.answered_ns - acked.sent_ns).collect()),
        first_ms: Percentiles::of(account.first_ns),
        last_ms: Percentiles::of(account.last_ns),
        behind_ms_max: args.window.is_none().then(|| ms(crate::bench::publisher::nanos(published.behind))),
        server_cpu_s,
        server_cpu_s_per_million: server_cpu_s.and_then(|cpu| per_million(cpu, deliveries)),
        own_cpu_s,
        own_cpu_s_per_million: own_cpu_s.and_then(|cpu| per_million(cpu, deliveries)),
        resident_bytes_idle: resident_idle,
        resident_bytes_per_subscriber: resident_idle.zip(resident_full).and_then(|(idle, full)| grown(idle, full)),
    })
}

/// Connects all subscribers.
///
/// # Errors
/// Ctrl-C, or that not all are connected, with the reason of the first.
async fn connect(target: &Target, args: &BenchArgs, stop: &CancellationToken) -> Result<Swarm, CliError> {
    let subscribers = usize::try_from(args.subscribers).unwrap_or(usize::MAX);
    let swarm = Swarm::start(target, subscribers, args.threads().min(subscribers))
        .map_err(|error| CliError::failure(format!("cannot start the subscribers: {error}")))?;
    let answered =
        |progress: &Progress| progress.ready.load(Ordering::Relaxed) + progress.closed.load(Ordering::Relaxed);
    settle(&swarm.progress, stop, answered, args.subscribers).await?;
    let ready = swarm.progress.ready.load(Ordering::Relaxed);
    if ready < args.subscribers {
        let stuck = || format!("nothing moved for {} s", PATIENCE.as_secs());
        let why = swarm.progress.trouble().unwrap_or_else(stuck);
        return Err(CliError::failure(format!("{ready} of {subscribers} subscribers are connected: {why}")));
    }
    Ok(swarm)
}

/// Waits until `reached` is `goal`, or nothing moves any more; which of both is the caller's to see.
///
/// # Errors
/// Ctrl-C.
async fn settle(
    progress: &Progress,
    stop: &CancellationToken,
    reached: impl Fn(&Progress) -> u64,
    goal: u64,
) -> Result<(), CliError> {
    let (mut last, mut moved) = (reached(progress), Instant::now());
    // A connection that ended cannot get what is missing: the others are waited for just as long.
    while last < goal && moved.elapsed() < PATIENCE {
        tokio::select! {
            () = stop.cancelled() => return Err(CliError::interrupted()),
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = reached(progress);
        if now != last {
            (last, moved) = (now, Instant::now());
        }
    }
    Ok(())
}

/// How many subscribers do not end with the table of the server.
async fn boards(
    client: &Client,
    event: EventId,
    swarm: &Swarm,
    args: &BenchArgs,
    stop: &CancellationToken,
) -> Result<u64, CliError> {
    let leaderboard = client.leaderboard(event, None).await?;
    let rows = leaderboard.boards.first().map(|board| serde_json::to_value(&board.leaderboard)).transpose();
    let rows = rows.map_err(|error| CliError::failure(format!("the table cannot be read: {error}")))?;
    let wanted = swarm.progress.wanted.get_or_init(|| rows.unwrap_or(Value::Null));
    if wanted.is_null() {
        return Err(CliError::failure("the server has no table of the event"));
    }
    settle(&swarm.progress, stop, Progress::right, args.subscribers).await?;
    Ok(args.subscribers - swarm.progress.right())
}

/// What all subscribers together should have had, and what they had.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    lost: u64,
    doubled: u64,
    reordered: u64,
    /// From sending to the first subscriber, of each message.
    first_ns: Vec<u64>,
    last_ns: Vec<u64>,
}

impl Account {
    fn of(published: &Published, tally: &Tally) -> Self {
        // A message whose answer was lost may have been published all the same: then it counts.
        let highest = tally.ledgers.iter().map(crate::bench::ledger::Ledger::highest).max().unwrap_or(0);
        let last = highest.max(published.acked.len() as u64);
        let mut account = Self { doubled: tally.mistaken, ..Self::default() };
        for ledger in &tally.ledgers {
            account.lost += ledger.lost(last);
            account.doubled += ledger.doubled;
            account.reordered += ledger.reordered;
        }
        for Acked { number, sent_ns, .. } in &published.acked {
            let seen = usize::try_from(*number).ok().and_then(|number| tally.seen.get(number));
            if let Some(seen) = seen.filter(|seen| seen.seq > 0) {
                account.first_ns.push(seen.first_ns.saturating_sub(*sent_ns));
                account.last_ns.push(seen.last_ns.saturating_sub(*sent_ns));
            }
        }
        account
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::ledger::{Delivery, Ledger};
    use crate::bench::swarm::Seen;

    use super::*;

    fn ledger(seqs: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        for seq in seqs {
            ledger.take(*seq, Delivery::Live);
        }
        ledger
    }

    fn published(count: u64) -> Published {
        let acked = (0..count).map(|number| Acked { number, sent_ns: number * 100, answered_ns: number * 100 + 50 });
        Published { acked: acked.collect(), ..Published::default() }
    }

    #[test]
    fn the_faults_of_all_subscribers_are_added_up() {
        let counts = |received: &[&[u64]], acked: u64| {
            let tally = Tally { ledgers: received.iter().map(|seqs| ledger(seqs)).collect(), ..Tally::default() };
            let Account { lost, doubled, reordered, .. } = Account::of(&published(acked), &tally);
            (lost, doubled, reordered)
        };
        assert_eq!(counts(&[&[1, 2, 3], &[1, 2, 3]], 3), (0, 0, 0));
        assert_eq!(counts(&[&[1, 2, 3], &[1, 3]], 3), (1, 0, 0));
        assert_eq!(counts(&[&[1, 2, 3], &[]], 3), (3, 0, 0), "one that heard nothing");
        assert_eq!(counts(&[&[1, 2], &[1, 2]], 3), (2, 0, 0), "one that nobody heard");
        assert_eq!(counts(&[&[1, 2, 3, 3], &[2, 1, 3]], 3), (0, 1, 1));
        assert_eq!(counts(&[&[1, 2, 3, 4], &[1, 2, 3]], 3), (1, 0, 0), "published without an answer");
    }

    #[test]
    fn latencies_run_from_sending_to_the_first_and_to_the_last() {
        let seen = |seq, first_ns, last_ns| Seen { seq, first_ns, last_ns };
        let tally = Tally { seen: vec![seen(1, 10, 30), seen(0, u64::MAX, 0), seen(2, 260, 290)], ..Tally::default() };
        let account = Account::of(&published(3), &tally);
        assert_eq!((account.first_ns, account.last_ns), (vec![10, 60], vec![30, 90]), "message 1 was never seen");
    }

    #[tokio::test]
    async fn only_plain_http_is_spoken() {
        assert_eq!(resolve("http://127.0.0.1:8000").await.unwrap().1, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(resolve("http://[::1]:8000").await.unwrap().1, "[::1]:8000".parse().unwrap());
        assert_eq!(resolve("http://127.0.0.1").await.unwrap().1, "127.0.0.1:80".parse().unwrap());
        for url in ["https://127.0.0.1:8000", "http://127.0.0.1:8000/under/a/path"] {
            assert_eq!(resolve(url).await.unwrap_err().exit, crate::error::Exit::Usage, "{url}");
        }
    }
}
