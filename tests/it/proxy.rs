//! A network in the middle, that a test can cut, silence or make hostile to WebSockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the network behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Everything passes.
    Open,
    /// Nobody answers: connections stay as they are and carry nothing, new ones are not answered. As
    /// with a cable that was pulled: neither side is told.
    Silent,
    /// Connections end at once, and so does every new one.
    Down,
}

/// What becomes of a request for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebSockets {
    Pass,
    /// Answered by the proxy itself, as some firewalls do: `403 Forbidden` and a page of its own.
    Refuse,
    /// Never answered.
    Swallow,
    /// The connection is reset when the request is seen.
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct State {
    network: Network,
    websockets: WebSockets,
    upstream: SocketAddr,
}

/// Asked for each new connection: after how many bytes to the client it is cut, whatever they are in
/// the middle of; `None` never.
type Cuts = Box<dyn FnMut() -> Option<usize> + Send>;

/// Listens on a port of its own and passes everything on to a server. Dropping it ends every
/// connection.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    cuts: Arc<Mutex<Cuts>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State { network: Network::Open, websockets: WebSockets::Pass, upstream });
        let never: Cuts = Box::new(|| None);
        let cuts = Arc::new(Mutex::new(never));
        let accepting = tokio::spawn(accept(listener, seen, Arc::clone(&cuts)));
        Self { address, state, cuts, accepting }
    }

    /// Changes the network, open connections included.
    pub(crate) fn network(&self, network: Network) {
        self.state.send_modify(|state| state.network = network);
    }

    /// Changes what becomes of WebSockets that are asked for from now on.
    pub(crate) fn websockets(&self, websockets: WebSockets) {
        self.state.send_modify(|state| state.websockets = websockets);
    }

    /// The server is somewhere else now: new connections go there.
    pub(crate) fn moved_to(&self, upstream: SocketAddr) {
        self.state.send_modify(|state| state.upstream = upstream);
    }

    /// Cuts connections that are made from now on, each where `next` says: after so many bytes to the
    /// client, or never.
    pub(crate) fn cuts(&self, next: impl FnMut() -> Option<usize> + Send + 'static) {
        *self.cuts.lock().unwrap() = Box::new(next);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, cuts: Arc<Mutex<Cuts>>) {
    // Owned here: they end with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("the proxy accepts");
        let cut_after_bytes = (*cuts.lock().unwrap())();
        connections.spawn(carry(client, state.clone(), cut_after_bytes));
        while connections.try_join_next().is_some() {}
    }
}

/// Carries one connection until a side ends it, it is cut, or the network is down.
async fn carry(client: TcpStream, mut state: watch::Receiver<State>, cut_after_bytes: Option<usize>) {
    let mut down = state.clone();
    tokio::select! {
        _ = down.wait_for(|state| state.network == Network::Down) => {}
        () = talk(client, &mut state, cut_after_bytes) => {}
    }
}

async fn talk(mut client: TcpStream, state: &mut watch::Receiver<State>, cut_after_bytes: Option<usize>) {
    let mut head = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&chunk[..read]),
        }
    }
    let Ok(state_now) = state.wait_for(|state| state.network == Network::Open).await.map(|state| *state) else {
        return;
    };
    let asks_for_websocket = String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket");
    if asks_for_websocket {
        match state_now.websockets {
            WebSockets::Pass => {}
            WebSockets::Refuse => {
                let page = "<html>blocked</html>";
                let answer = format!(
                    "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                    page.len()
                );
                // Who has gone needs no answer.
                let _ = client.write_all(answer.as_bytes()).await;
                return;
            }
            WebSockets::Swallow => return std::future::pending().await,
            WebSockets::Reset => {
                client.set_zero_linger().expect("a socket resets when it is closed");
                return;
            }
        }
    }
    let Ok(mut server) = TcpStream::connect(state_now.upstream).await else { return };
    for side in [&client, &server] {
        side.set_nodelay(true).expect("small frames pass at once");
    }
    if server.write_all(&head).await.is_err() {
        return;
    }
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let up = pass(client_read, server_write, state.clone(), None);
    let down = pass(server_read, client_write, state.clone(), cut_after_bytes);
    // When either side ends or is cut, both do.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Passes bytes on while the network is open, at most `bytes_max` of them; while it is silent they
/// wait here.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    bytes_max: Option<usize>,
) {
    let mut left = bytes_max.unwrap_or(usize::MAX);
    let mut chunk = vec![0; 16 * 1024];
    while left > 0 {
        let Ok(read) = from.read(&mut chunk).await else { return };
        if state.wait_for(|state| state.network == Network::Open).await.is_err() {
            return;
        }
        let passed = read.min(left);
        left -= passed;
        if read == 0 || to.write_all(&chunk[..passed]).await.is_err() {
            return;
        }
    }
}

/// How long a network cut lasts in a test: long enough to be noticed, or what
/// `TIMELY_CUT_SECONDS` says.
pub(crate) fn cut_length() -> Duration {
    let seconds = std::env::var("TIMELY_CUT_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}
