//! What can be set when a server starts: flag, environment variable, default and unit of each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `timely serve`; the demo takes the same with its own data directory.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Directory of the data file `timely.db` and the owner token
    #[arg(long, env = "TIMELY_DATA", default_value = "./timely-data", value_name = "DIR")]
    pub data: PathBuf,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "TIMELY_LISTEN", default_value = "127.0.0.1:8000", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// Listen on every network of this computer, so that phones in the hall can connect
    #[arg(long)]
    pub lan: bool,

    /// Address under which people reach the server, if a proxy stands in front
    #[arg(long, env = "TIMELY_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,

    /// Other web origins whose pages may read the API and the streams; repeatable
    #[arg(long, env = "TIMELY_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,

    /// Most connections at a time; a few more are kept for those who are signed in [default: 60000, or
    /// what the system allows]
    #[arg(long, env = "TIMELY_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,

    /// Whether the owner's `timely` finds the server by itself; off inside tests
    #[arg(skip = true)]
    pub findable: bool,

    /// Lift per-address and rate limits for a load test; loopback only
    #[arg(long)]
    pub load_test: bool,
}

impl Config {
    /// The address to bind: `--lan` means every interface on the port of `--listen`.
    pub fn address(&self) -> SocketAddr {
        if self.lan { SocketAddr::from(([0, 0, 0, 0], self.listen.port())) } else { self.listen }
    }
}

/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest body of an import, in bytes.
pub const IMPORT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest time the head of a request may take to arrive, and longest pause between two requests of
/// a connection.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time a body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long streams and requests may take to end after the server was told to stop.
pub const DRAIN: Duration = Duration::from_secs(5);
