//! The network in the middle is itself what a test says it is.

use std::time::Duration;

use serde_json::json;

use crate::proxy::{Network, Proxy, WebSockets};
use crate::server::{Cup, TestServer};
use crate::stream::Socket;

#[tokio::test]
async fn the_network_is_as_bad_as_a_test_wants_it() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    let proxy = Proxy::to(server.address).await;
    let open = || Socket::try_open(proxy.address, &path, None);
    let mut socket = open().await.unwrap();
    socket.until_type("connected").await;

    proxy.network(Network::Silent);
    socket.send(json!({"type": "ping", "timestamp": 1})).await;
    let silence = tokio::time::timeout(Duration::from_millis(200), socket.next_text()).await;
    assert!(silence.is_err(), "nothing passes");
    proxy.network(Network::Open);
    socket.until_type("pong").await;
    proxy.network(Network::Down);
    assert_eq!(socket.closed().await, None, "cut without a word");
    assert!(open().await.is_err());
    proxy.network(Network::Open);

    for (websockets, is_answered) in
        [(WebSockets::Refuse, true), (WebSockets::Reset, true), (WebSockets::Swallow, false)]
    {
        proxy.websockets(websockets);
        let answer = tokio::time::timeout(Duration::from_millis(500), open()).await;
        assert_eq!(answer.is_ok(), is_answered, "{websockets:?}");
        assert!(answer.map_or(true, |socket| socket.is_err()), "{websockets:?}");
    }
    proxy.websockets(WebSockets::Pass);

    let mut is_first = true;
    proxy.cuts(move || std::mem::take(&mut is_first).then_some(40));
    assert!(open().await.is_err(), "cut within the handshake");
    open().await.unwrap().until_type("connected").await;

    let other = TestServer::start().await;
    proxy.moved_to(other.address);
    let moved = open().await;
    assert!(moved.is_err(), "there is no such event on the other server");
}
