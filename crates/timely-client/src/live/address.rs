//! Where a stream is. Streams and cursor go with the address, so that one round trip does it all.

use reqwest::Url;
use timely_core::cursor::Cursor;

use crate::client::Client;
use crate::error::Error;
use crate::live::{About, Target, Transport, Version};

/// The address of what is wanted, over one transport, after `since`.
pub(super) fn address(
    client: &Client,
    target: &Target,
    transport: Transport,
    since: Option<&Cursor>,
) -> Result<Url, Error> {
    let mut url = client.url(&match (transport, target.about) {
        (Transport::WebSocket, About::Event(event)) => format!("ws/events/{event}/stream/"),
        (Transport::WebSocket, About::Team(team)) => format!("ws/teams/{team}/"),
        (Transport::Sse, About::Event(event)) => format!("api/events/{event}/stream/"),
        (Transport::Sse, About::Team(team)) => format!("api/teams/{team}/stream/"),
    })?;
    if transport == Transport::WebSocket {
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).map_err(|()| Error::Unusable(format!("{url} cannot be a WebSocket")))?;
    }
    let mut query = Vec::new();
    if target.version == Version::V2 {
        query.push(("v", "2".to_owned()));
    }
    if !target.streams.is_empty() {
        let streams: Vec<_> = target.streams.iter().map(|stream| stream.as_str()).collect();
        query.push(("topics", streams.join(",")));
    }
    if let Some(since) = since {
        query.push(("since", since.to_string()));
    }
    if !query.is_empty() {
        let text: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        url.set_query(Some(&text.join("&")));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use timely_core::id::{EventId, TeamId};
    use timely_core::topic::Stream;

    use super::*;

    #[test]
    fn one_address_says_everything() {
        let client = Client::new("https://cup.example/timely", None).unwrap();
        for (about, streams, since, version, transport, address_) in [
            (
                About::Event(EventId(1)),
                vec![],
                None,
                Version::V1,
                Transport::WebSocket,
                "wss://cup.example/timely/ws/events/1/stream/",
            ),
            (
                About::Team(TeamId(5)),
                vec![Stream::Results, Stream::Announcements],
                Some("k3.7"),
                Version::V2,
                Transport::WebSocket,
                "wss://cup.example/timely/ws/teams/5/?v=2&topics=results,announcements&since=k3.7",
            ),
            (
                About::Event(EventId(1)),
                vec![Stream::Results],
                Some("k3.7"),
                Version::V2,
                Transport::Sse,
                "https://cup.example/timely/api/events/1/stream/?v=2&topics=results&since=k3.7",
            ),
            (
                About::Team(TeamId(5)),
                vec![],
                None,
                Version::V2,
                Transport::Sse,
                "https://cup.example/timely/api/teams/5/stream/?v=2",
            ),
        ] {
            let since: Option<Cursor> = since.map(|text| text.parse().unwrap());
            let target = Target { about, streams, since: since.clone(), version, only: None };
            assert_eq!(address(&client, &target, transport, since.as_ref()).unwrap().as_str(), address_);
        }
    }
}
