//! `timely demo`: a real tournament, live, on a server of its own.
//!
//! Starts a server on loopback with a throw-away data file and a simulated clock, imports the
//! tournament, and replays it through the commands that an organiser's writes take. [`script`] says
//! what is typed when, [`player`] sends it; here is how fast, from when until when, and the end.

pub mod player;
pub mod script;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use timely_client::Client;
use timely_core::body::{Board, Leaderboard};
use timely_core::fixture::ScheduleItem;
use timely_core::id::EventId;
use timely_core::running::ServerKind;
use timely_core::tournament::{Plan, Tournament};
use timely_server::clock::Clock;
use timely_server::config::Config;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::output::Output;

use self::player::{Played, Player};
use self::script::{Script, Step};

/// The tournament that is replayed, in the format of `data/README.md`.
const WORLD_CUP: &str = include_str!("../../../data/world-cup-2022.toml");
/// The group whose last evening opens the demo.
const GROUP: &str = "E";
/// How many further ports are tried when the wanted one is taken.
const PORTS_TRIED: u16 = 100;

/// Replay the 2022 World Cup, live
///
/// Starts with the last evening of Group E, 60 times faster. Nothing is saved.
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = "Examples:
  timely demo
  timely demo --speed 600 --from 2022-12-18
  timely demo --speed max --no-tui --until end")]
pub struct DemoArgs {
    /// Times faster than the clock on the wall, or `max`
    #[arg(long, default_value = "60", value_name = "N|max")]
    pub speed: Speed,

    /// Start here: `2022-12-01 21:59`, `2022-12-18`, or RFC 3339 [default: the evening of Group E]
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,

    /// Play until here and exit: a time, or `end`
    #[arg(long, value_name = "end|TIME")]
    pub until: Option<Until>,

    /// Start again when it is over
    #[arg(long = "loop")]
    pub repeat: bool,

    /// Do not open the dashboard
    #[arg(long)]
    pub no_tui: bool,

    /// Address and port to listen on; a taken port is followed by the next free one
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
}

/// How fast event time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    Times(f64),
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        match text.trim_end_matches('x').parse::<f64>() {
            Ok(times) if (0.1..=100_000.0).contains(&times) => Ok(Self::Times(times)),
            _ => Err("a speed is a number from 0.1 to 100000, or `max`".to_owned()),
        }
    }
}

/// A time as it is typed: with an offset, or local in the zone of the tournament.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    Exact(Timestamp),
    Local(DateTime),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(exact) = text.parse::<Timestamp>() {
            Ok(Self::Exact(exact))
        } else if let Ok(day) = text.parse::<Date>() {
            Ok(Self::Local(day.to_datetime(jiff::civil::Time::midnight())))
        } else {
            text.parse::<DateTime>()
                .map(Self::Local)
                .map_err(|_| "write a time like `2022-12-01 21:59`, a day like `2022-12-18`, or RFC 3339".to_owned())
        }
    }
}

impl Moment {
    fn in_zone(self, zone: &TimeZone) -> anyhow::Result<Timestamp> {
        match self {
            Self::Exact(exact) => Ok(exact),
            Self::Local(local) => Ok(zone.to_timestamp(local)?),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    End,
    Moment(Moment),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("end") { Ok(Self::End) } else { text.parse().map(Self::Moment) }
    }
}

/// What happens between which moments, and what comes then.
#[derive(Clone, Debug)]
pub struct Programme {
    pub tournament: Tournament,
    pub script: Script,
    pub from: Timestamp,
    pub until: Timestamp,
    /// Whether the demo ends at `until`, or stops its clock and goes on serving.
    pub exits: bool,
}

/// Works out what `args` ask for.
///
/// # Errors
/// When `--until` is not after `--from`.
pub fn programme(args: &DemoArgs) -> anyhow::Result<Programme> {
    let mut tournament: Tournament = toml::from_str(WORLD_CUP).context("the built-in tournament is broken")?;
    let plan: Plan = tournament.check().map_err(|errors| anyhow!("the built-in tournament is broken: {errors:?}"))?;
    let script = script::write(&plan, GROUP).context("the built-in tournament has no evening to show")?;
    let zone = TimeZone::get(&plan.timezone)?;
    let until_end = args.until == Some(Until::End);
    let from = match args.from {
        Some(from) => from.in_zone(&zone)?,
        None if until_end => script.whole.0,
        None => script.evening.0,
    };
    let until = match args.until {
        Some(Until::End) => script.whole.1,
        Some(Until::Moment(until)) => until.in_zone(&zone)?,
        None if from < script.evening.1 => script.evening.1,
        None => script.whole.1,
    };
    if until <= from {
        bail!("--until {} is not after the start {}", until.to_zoned(zone.clone()), from.to_zoned(zone));
    }
    strip(&mut tournament, &script, &zone);
    Ok(Programme { tournament, script, from, until, exits: args.until.is_some() })
}

/// The tournament as it was before anything was played.
fn strip(tournament: &mut Tournament, script: &Script, zone: &TimeZone) {
    for fixture in &mut tournament.fixtures {
        fixture.score = None;
        fixture.half_time = None;
        fixture.full_time = None;
        fixture.shoot_out = None;
        fixture.goals.clear();
        if fixture.number == script.moved.0 {
            fixture.start = script.moved.1.to_zoned(zone.clone()).datetime();
        }
    }
}

/// The state at the end, as printed.
#[derive(Debug, serde::Serialize)]
pub struct End {
    pub fixtures: usize,
    pub groups: Vec<Board>,
    /// Winner of the last fixture, once it is played.
    pub champion: Option<String>,
}

/// A demo that serves.
pub struct Demo {
    pub address: SocketAddr,
    pub client: Client,
    pub event: EventId,
    pub clock: Arc<Clock>,
    /// What is said on stdout once it answers.
    pub started: Started,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
    // Last, so that the file is deleted after the server let go of it.
    _directory: tempfile::TempDir,
}

/// Where a demo answers, as `--json` prints it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Started {
    pub listening: String,
    pub data: PathBuf,
    pub pid: u32,
    pub epoch: String,
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo").field("address", &self.address).field("event", &self.event).finish_non_exhaustive()
    }
}

/// Binds the wanted address or, when it is taken, the next free port.
pub async fn bind(wanted: SocketAddr) -> anyhow::Result<TcpListener> {
    let mut address = wanted;
    for _ in 0..PORTS_TRIED {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && address.port() < u16::MAX => {
                address.set_port(address.port() + 1);
            }
            Err(error) => return Err(anyhow!("cannot listen on {address}: {error}; choose another with --listen")),
        }
    }
    bail!("ports {} to {} are all taken; choose another with --listen", wanted.port(), address.port())
}

impl Demo {
    /// Starts a server on `listener` and imports the tournament of `programme`.
    ///
    /// # Errors
    /// When there is no room for the file, or the server does not start.
    pub async fn start(programme: &Programme, listener: TcpListener) -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("timely-demo-").tempdir().context("cannot make a temporary directory")?;
        let address = listener.local_addr()?;
        let config = Config {
            data: directory.path().to_owned(),
            listen: address,
            lan: false,
            base_url: None,
            allow_origin: Vec::new(),
            max_connections: None,
            findable: true,
            load_test: false,
        };
        let clock = Arc::new(Clock::simulated(programme.from, 0.0));
        let shutdown = CancellationToken::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let (serve_clock, serve_shutdown) = (Arc::clone(&clock), shutdown.clone());
        let server = tokio::spawn(timely_server::serve(
            config,
            listener,
            serve_clock,
            ServerKind::Demo,
            serve_shutdown,
            move |running| {
                let started = Started {
                    listening: format!("http://{}", running.address),
                    data: running.data.clone(),
                    pid: std::process::id(),
                    epoch: running.epoch.to_string(),
                };
                // Nobody waits any more: the demo was interrupted.
                drop(tell.send((started, running.owner_token.clone())));
            },
        ));
        let Ok((started, token)) = told.await else {
            return Err(match server.await? {
                Err(error) => error,
                Ok(()) => anyhow!("the server stopped while it started"),
            });
        };
        let client = Client::new(&format!("http://{address}"), Some(&token))?;
        let event = client.import(&programme.tournament).await.context("cannot import the tournament")?.value.event_id;
        Ok(Self { address, client, event, clock, started, shutdown, server, _directory: directory })
    }

    /// Plays the programme: what lies before its start at once, then at `speed`.
    ///
    /// # Errors
    /// When a step is refused for another reason than that somebody else was there first.
    pub async fn play(&self, programme: &Programme, speed: Speed, told: impl Fn(&Step, &Played)) -> anyhow::Result<()> {
        let mut player = Player::new(self.client.clone(), self.event).await?;
        for step in script::catch_up(&programme.script, programme.from) {
            self.clock.set(step.at, 0.0);
            told(&step, &player.play(&step).await.with_context(|| format!("the replay stopped at {}", step.at))?);
        }
        let rate = match speed {
            Speed::Times(times) => times,
            Speed::Max => 0.0,
        };
        self.clock.set(programme.from, rate);
        let window = programme.from..programme.until;
        for step in programme.script.steps.iter().filter(|step| window.contains(&step.at)) {
            self.reach(step.at, speed).await;
            told(step, &player.play(step).await.with_context(|| format!("the replay stopped at {}", step.at))?);
        }
        self.reach(programme.until, speed).await;
        self.clock.set(programme.until, 0.0);
        Ok(())
    }

    async fn reach(&self, at: Timestamp, speed: Speed) {
        match speed {
            Speed::Max => self.clock.set(at, 0.0),
            Speed::Times(_) => {
                while let Some(wait) = self.clock.until(at).filter(|wait| !wait.is_zero()) {
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// The tables and the champion as they stand.
    ///
    /// # Errors
    /// When the server cannot be read.
    pub async fn end(&self) -> anyhow::Result<End> {
        let Leaderboard { boards, .. } = self.client.leaderboard(self.event, None).await?;
        let fixtures = self.client.fixtures(self.event).await?;
        let champion = match fixtures.iter().max_by_key(|fixture| fixture.number) {
            Some(last) => self.winner(last).await?,
            None => None,
        };
        let results = self.client.results(self.event).await?;
        Ok(End { fixtures: results.iter().filter(|result| result.counts()).count(), groups: boards, champion })
    }

    async fn winner(&self, last: &ScheduleItem) -> anyhow::Result<Option<String>> {
        let result = match self.client.result(last.fixture_id).await {
            Ok(result) => result,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let sides = [&last.home_team, &last.away_team];
        Ok(result
            .winner_id
            .and_then(|winner| sides.into_iter().find(|side| side.id == Some(winner)))
            .map(|side| side.name.clone()))
    }

    /// Stops the server and deletes its file.
    ///
    /// # Errors
    /// When the server did not end well.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.server.await?
    }
}

/// Runs the demo as asked.
///
/// # Errors
/// Options that make no sense together, an address that cannot be had, a replay that was refused.
pub async fn run(args: DemoArgs, out: &mut Output) -> Result<(), CliError> {
    let programme = programme(&args).map_err(|error| CliError::usage(format!("{error:#}")))?;
    let interrupt = Interrupt::listen();
    let shutdown = timely_server::shutdown_on_signal().map_err(failed)?;
    let mut listen = args.listen;
    loop {
        let listener = bind(listen).await.map_err(failed)?;
        // The next round takes the same port again.
        listen = listener.local_addr().map_err(|error| failed(error.into()))?;
        let demo = Demo::start(&programme, listener).await.map_err(failed)?;
        let again = show(&demo, &programme, &args, &shutdown, out).await;
        let stopped = demo.stop().await.map_err(failed);
        match again? {
            Next::Again => stopped?,
            Next::Over => return stopped.and_then(|()| interrupt.ended()),
        }
    }
}

enum Next {
    Again,
    Over,
}

async fn show(
    demo: &Demo,
    programme: &Programme,
    args: &DemoArgs,
    shutdown: &CancellationToken,
    out: &mut Output,
) -> Result<Next, CliError> {
    if out.is_json() {
        out.json(&demo.started)?;
    } else {
        out.verbatim(&format!("Listening on {}", demo.started.listening))?;
    }
    for line in introduction(demo, programme, args.speed) {
        out.note(&line)?;
    }
    let has_screen =
        !args.no_tui && !out.is_json() && std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let kept = std::sync::Mutex::new(Vec::new());
    let playing = async {
        let told = |_: &Step, played: &Played| {
            if let Played::HandsOff { number, why } = played
                && let Ok(mut kept) = kept.lock()
            {
                kept.push(format!("#{number} was changed by hand and is left alone from now on ({why})"));
            }
        };
        demo.play(programme, args.speed, told).await.map_err(failed)?;
        if programme.exits || args.repeat { Ok(()) } else { std::future::pending().await }
    };
    let screen = async {
        if has_screen {
            let event = demo.client.event(demo.event).await?;
            let (client, signs) = (demo.client.clone(), timely_tui::Signs::of_environment());
            let options = timely_tui::WatchOptions { client, event, colour: out.is_coloured(), signs };
            timely_tui::run(options).await.map_err(failed)
        } else {
            std::future::pending().await
        }
    };
    let played: Result<Option<()>, CliError> = tokio::select! {
        played = playing => played.map(Some),
        closed = screen => closed.map(|()| None),
        () = shutdown.cancelled() => Ok(None),
    };
    for line in kept.into_inner().unwrap_or_default() {
        out.note(&line)?;
    }
    match played? {
        None => Ok(Next::Over),
        Some(()) if args.repeat => Ok(Next::Again),
        Some(()) => {
            let end = demo.end().await.map_err(failed)?;
            if out.is_json() {
                out.json(&end)?;
            } else {
                out.verbatim(final_text(&end).trim_end())?;
            }
            Ok(Next::Over)
        }
    }
}

fn introduction(demo: &Demo, programme: &Programme, speed: Speed) -> Vec<String> {
    let (address, event) = (&demo.started.listening, demo.event);
    let speed = match speed {
        Speed::Times(times) => format!("{times}x speed"),
        Speed::Max => "as fast as this computer allows".to_owned(),
    };
    vec![
        format!("DEMO  {}, from {}, {speed}. Nothing is saved.", programme.tournament.event.name, programme.from),
        format!("  page        {address}/e/{event}"),
        format!("  stream      ws://{}/ws/events/{event}/stream/", demo.address),
        format!("  or          {address}/api/events/{event}/stream/results/"),
        "  try it      timely announce \"Gate 4 is closed\" --priority high    (second terminal)".to_owned(),
        "              timely fixture reschedule 64 +30m".to_owned(),
        "              timely tail".to_owned(),
    ]
}

/// A failure with its causes. By value, as `map_err` hands it over.
#[expect(clippy::needless_pass_by_value, reason = "every caller is a map_err")]
fn failed(error: anyhow::Error) -> CliError {
    CliError::failure(format!("{error:#}"))
}

/// The tables and the champion, as text.
pub fn final_text(end: &End) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for board in &end.groups {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Group {}", board.group.as_deref().unwrap_or("-"));
        for row in &board.leaderboard {
            let _ = writeln!(
                text,
                "{:>2} {:<14} {:>2} {:>2} {:>2} {:>2} {:>3} {:>3} {:>+4} {:>3}",
                row.position,
                row.team_name,
                row.played,
                row.won,
                row.drawn,
                row.lost,
                row.gf,
                row.ga,
                row.gd,
                row.points
            );
        }
        text.push('\n');
    }
    if let Some(champion) = &end.champion {
        let _ = writeln!(text, "Champion: {champion}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::script::Action;
    use super::*;

    fn default_programme() -> Programme {
        programme(&args()).unwrap()
    }

    fn args() -> DemoArgs {
        DemoArgs {
            speed: Speed::Times(60.0),
            from: None,
            until: None,
            repeat: false,
            no_tui: true,
            listen: "127.0.0.1:0".parse().unwrap(),
        }
    }

    fn scores(programme: &Programme) -> Vec<(u32, u16, String)> {
        let window = programme.from..programme.until;
        let steps = programme.script.steps.iter().filter(|step| window.contains(&step.at));
        steps
            .filter_map(|step| match &step.action {
                Action::Score(scored) => Some((scored.number, scored.minute?, scored.score.to_string())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_evening_has_nine_goals_at_their_minutes() {
        let programme = default_programme();
        assert_eq!(programme.from.to_string(), "2022-12-01T18:59:00Z");
        let scores = scores(&programme);
        let minutes: Vec<_> = scores.iter().map(|(_, minute, _)| *minute).collect();
        assert_eq!(minutes, [10, 11, 48, 51, 58, 70, 73, 85, 89]);
        assert_eq!(scores[0].2, "0-1", "Gnabry for Germany, away");
        assert_eq!(scores.last().unwrap().2, "2-4");
        let wait = programme.until.duration_since(programme.from);
        assert!(wait.as_mins() < 130, "about two minutes at 60x: {wait}");
    }

    #[test]
    fn one_fixture_is_moved_to_where_it_was_played() {
        let programme = default_programme();
        let (number, before) = programme.script.moved;
        let moves: Vec<_> = programme
            .script
            .steps
            .iter()
            .filter_map(|step| match step.action {
                Action::Reschedule { number, to } => Some((number, to)),
                _ => None,
            })
            .collect();
        assert_eq!(moves.len(), 1);
        assert_eq!(moves[0].0, number);
        let fixture = programme.tournament.fixtures.iter().find(|fixture| fixture.number == number).unwrap();
        assert_eq!(fixture.start.to_string(), "2022-12-02T17:45:00");
        assert_eq!(moves[0].1.duration_since(before).as_mins(), 15);
    }

    #[test]
    fn every_fixture_ends_with_its_score_and_is_confirmed() {
        let programme = default_programme();
        let whole: Tournament = toml::from_str(WORLD_CUP).unwrap();
        let plan = whole.check().unwrap();
        assert_eq!(plan.fixtures.len(), 64);
        let goals: usize = plan.fixtures.iter().map(|fixture| fixture.outcome.as_ref().unwrap().goals.len()).sum();
        assert_eq!(goals, 172);
        for fixture in &plan.fixtures {
            let steps: Vec<_> =
                programme.script.steps.iter().filter(|step| step.action.fixture() == Some(fixture.number)).collect();
            assert!(steps.is_sorted_by_key(|step| step.at));
            let last = steps.iter().rev().find_map(|step| match &step.action {
                Action::Score(scored) => Some(scored),
                _ => None,
            });
            let outcome = fixture.outcome.as_ref().unwrap();
            assert_eq!(
                (last.unwrap().score, last.unwrap().goals.len()),
                (outcome.score, outcome.goals.len()),
                "#{}",
                fixture.number
            );
            assert!(matches!(steps.last().unwrap().action, Action::Finalise { .. }), "#{}", fixture.number);
        }
        assert!(
            programme.tournament.fixtures.iter().all(|fixture| fixture.score.is_none()),
            "nothing is played at the start"
        );
    }

    #[test]
    fn catching_up_leaves_out_what_nobody_will_see() {
        let programme = default_programme();
        let steps = script::catch_up(&programme.script, programme.from);
        let scores = steps.iter().filter(|step| matches!(step.action, Action::Score(_))).count();
        let finals = steps.iter().filter(|step| matches!(step.action, Action::Finalise { .. })).count();
        // Two fixtures of the afternoon are over; the two of the evening have not begun.
        assert_eq!((scores, finals), (42, 42));
        assert!(steps.iter().all(|step| step.at < programme.from));
    }

    #[test]
    fn options_are_read_as_people_write_them() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("60x".parse(), Ok(Speed::Times(60.0)));
        for text in ["0", "-1", "fast", "nan", "inf"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
        assert_eq!(
            "2022-12-18".parse::<Moment>().unwrap().in_zone(&TimeZone::UTC).unwrap().to_string(),
            "2022-12-18T00:00:00Z"
        );
        assert!("yesterday-ish".parse::<Moment>().is_err());
        let late = DemoArgs { until: Some("2022-11-01".parse().unwrap()), ..args() };
        assert!(programme(&late).unwrap_err().to_string().contains("--until"));
    }
}
