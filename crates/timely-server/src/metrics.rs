//! What a monitor reads at `/metrics`, in the text form of Prometheus.
//!
//! Figures of the live path and of nothing else: no label names an event, a person or a thing, so
//! that a page which everybody may read tells nobody anything. They are counted once for each frame or
//! change of a connection, never for each viewer of a frame.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use timely_core::topic::LaneKind;

use crate::App;
use crate::error::Error;
use crate::live::session::Wire;

/// The form that [`encode`] writes.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The figures, shared by everything that counts. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    connections: Family<Transport, Gauge>,
    frames_sent: Family<Lane, Counter>,
    closes: Family<Code, Counter>,
    slow: Family<Slow, Counter>,
    outbox_pos: Gauge<u64, AtomicU64>,
}

/// A label's value is one of a few words, so the series are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transport {
    transport: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Slow {
    action: &'static str,
}

/// What became of a viewer whose socket takes too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowAction {
    /// It has something unsent that waits for its socket.
    Blocked,
    /// It took nothing for too long and was given up.
    Cut,
}

impl From<Wire> for Transport {
    fn from(wire: Wire) -> Self {
        let transport = match wire {
            Wire::WebSocket => "ws",
            Wire::Sse | Wire::SseResults => "sse",
        };
        Self { transport }
    }
}

impl Metrics {
    /// A stream was opened.
    pub fn opened(&self, wire: Wire) {
        self.connections.get_or_create(&wire.into()).inc();
    }

    /// Its socket was closed.
    pub fn ended(&self, wire: Wire) {
        self.connections.get_or_create(&wire.into()).dec();
    }

    /// A frame was handed to so many sessions.
    pub fn sent(&self, lane: LaneKind, sessions: u64) {
        let lane = match lane {
            LaneKind::Log => "log",
            LaneKind::State => "state",
        };
        self.frames_sent.get_or_create(&Lane { lane }).inc_by(sessions);
    }

    /// A stream was ended with this code.
    pub fn closed(&self, code: u16) {
        self.closes.get_or_create(&Code { code: code.into() }).inc();
    }

    /// A viewer was too slow.
    pub fn slow(&self, action: SlowAction) {
        let action = match action {
            SlowAction::Blocked => "blocked",
            SlowAction::Cut => "cut",
        };
        self.slow.get_or_create(&Slow { action }).inc();
    }

    /// Everything up to `pos` was handed to the streams.
    pub fn published(&self, pos: u64) {
        self.outbox_pos.set(pos);
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("timely");
        registry.register("connections", "Open streams", self.connections.clone());
        registry.register("frames_sent", "Frames handed to sessions", self.frames_sent.clone());
        registry.register("close", "Streams that ended with a code", self.closes.clone());
        registry.register("slow", "Viewers whose socket takes too little", self.slow.clone());
        registry.register("outbox_pos", "Position up to which changes were published", self.outbox_pos.clone());
        registry
    }
}

/// `GET /metrics`
pub async fn show(State(app): State<App>) -> Result<Response, Error> {
    let metrics = app.live.metrics();
    let mut registry = metrics.registry();
    let audience = *app.live.audience().borrow();
    let gauge = |value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    registry.register("sessions", "Streams that the hub knows", gauge(audience.sessions));
    registry.register("topics", "Topics that somebody follows", gauge(audience.topics));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Error::Internal(format!("metrics cannot be written: {error}")))?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, OPEN_METRICS);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_under_the_names_that_monitors_know() {
        let metrics = Metrics::default();
        metrics.opened(Wire::WebSocket);
        metrics.opened(Wire::SseResults);
        metrics.ended(Wire::SseResults);
        metrics.sent(LaneKind::Log, 3);
        metrics.closed(4200);
        metrics.slow(SlowAction::Cut);
        metrics.published(17);
        let mut text = String::new();
        encode(&mut text, &metrics.registry()).unwrap();
        for line in [
            "timely_connections{transport=\"ws\"} 1",
            "timely_connections{transport=\"sse\"} 0",
            "timely_frames_sent_total{lane=\"log\"} 3",
            "timely_close_total{code=\"4200\"} 1",
            "timely_slow_total{action=\"cut\"} 1",
            "timely_outbox_pos 17",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
