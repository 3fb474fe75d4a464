//! What came of a measurement: percentiles, the whole as one value, and how it is shown.

use serde::Serialize;

use crate::output::Table;

/// Percentiles of a set of durations, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl Percentiles {
    /// Of durations in nanoseconds, by nearest rank: each is a duration that was measured. `None` of
    /// nothing.
    pub(crate) fn of(mut nanos: Vec<u64>) -> Option<Self> {
        nanos.sort_unstable();
        let max = ms(*nanos.last()?);
        let at = |percent: usize| {
            let rank = (nanos.len() * percent).div_ceil(100).max(1);
            nanos.get(rank - 1).map_or(max, |nanos| ms(*nanos))
        };
        Some(Self { p50: at(50), p90: at(90), p99: at(99), max })
    }
}

/// Nanoseconds as milliseconds with three digits.
pub(crate) fn ms(nanos: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "durations of a measurement are far below 2^53 ns")]
    let ms = nanos as f64 / 1e6;
    rounded(ms)
}

/// To three digits: more is noise.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// `part` for every million of `count`; `None` of none.
pub(crate) fn per_million(part: f64, count: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a measure, not a count")]
    (count > 0).then(|| rounded(part * 1e6 / count as f64))
}

/// `part` for each of `count`; `None` of none.
pub(crate) fn per(part: f64, count: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a measure, not a count")]
    (count > 0).then(|| rounded(part / count as f64))
}

/// One measurement. What could not be measured is null.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub server: String,
    pub version: String,
    /// Whether the server was started for this measurement.
    pub own_server: bool,
    /// `websocket` or `sse`
    pub transport: &'static str,
    /// `announcements` or `results`
    pub load: &'static str,
    pub subscribers: u64,
    pub threads: usize,
    /// Messages a second that were wanted; null in a closed loop.
    pub rate: Option<u32>,
    /// Messages on their way at a time; null in an open loop.
    pub window: Option<u32>,
    /// From the first message sent to the last acknowledged.
    pub duration_s: f64,
    pub published: u64,
    pub refused: u64,
    pub deliveries: u64,
    /// From the first message sent to the last delivery.
    pub deliveries_per_s: f64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    /// Subscribers whose last table is not the server's; null without results.
    pub wrong_boards: Option<u64>,
    pub resyncs: u64,
    /// Connections that ended before the measurement did.
    pub closed: u64,
    pub handshakes_per_s: f64,
    pub ack_ms: Option<Percentiles>,
    /// From sending to the first subscriber that has it.
    pub first_ms: Option<Percentiles>,
    /// From sending to the last subscriber that has it.
    pub last_ms: Option<Percentiles>,
    /// How far sending fell behind its schedule at most; null in a closed loop.
    pub behind_ms_max: Option<f64>,
    pub server_cpu_s: Option<f64>,
    pub server_cpu_s_per_million: Option<f64>,
    pub own_cpu_s: Option<f64>,
    pub own_cpu_s_per_million: Option<f64>,
    pub resident_bytes_idle: Option<u64>,
    pub resident_bytes_per_subscriber: Option<f64>,
}

impl Report {
    /// What went wrong, in words; `None` if every subscriber got everything once and in order.
    pub(crate) fn fault(&self) -> Option<String> {
        let faults = [
            (self.lost, "lost"),
            (self.doubled, "doubled"),
            (self.reordered, "out of order"),
            (self.wrong_boards.unwrap_or(0), "subscribers with a wrong table"),
            (self.refused, "refused by the server"),
            (self.closed, "connections closed by the server"),
        ];
        let said: Vec<String> =
            faults.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// One row for each figure.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(&["what", ">value", "unit"]);
        let mut row = |what: &str, value: String, unit: &str| table.row([what.to_owned(), value, unit.to_owned()]);
        row("server", self.server.clone(), if self.own_server { "started for this" } else { "" });
        row("transport", self.transport.to_owned(), "");
        row("load", self.load.to_owned(), "");
        row("subscribers", self.subscribers.to_string(), "");
        row("handshakes", decimals(self.handshakes_per_s, 0), "/s");
        row("published", self.published.to_string(), "messages");
        row("duration", decimals(self.duration_s, 2), "s");
        row("deliveries", self.deliveries.to_string(), "messages");
        row("deliveries", decimals(self.deliveries_per_s, 0), "/s");
        for (what, count) in [
            ("lost", Some(self.lost)),
            ("doubled", Some(self.doubled)),
            ("reordered", Some(self.reordered)),
            ("wrong tables", self.wrong_boards),
            ("refused", Some(self.refused)),
            ("resyncs", Some(self.resyncs)),
            ("closed", Some(self.closed)),
        ] {
            if let Some(count) = count {
                row(what, count.to_string(), "");
            }
        }
        for (what, percentiles) in
            [("acknowledged", self.ack_ms), ("first subscriber", self.first_ms), ("last subscriber", self.last_ms)]
        {
            let values = percentiles.map(|p| [("p50", p.p50), ("p90", p.p90), ("p99", p.p99), ("max", p.max)]);
            for (name, value) in values.into_iter().flatten() {
                row(&format!("{what} {name}"), decimals(value, 2), "ms");
            }
        }
        for (what, value, unit) in [
            ("behind schedule max", self.behind_ms_max, "ms"),
            ("server CPU", self.server_cpu_s_per_million, "s per million deliveries"),
            ("own CPU", self.own_cpu_s_per_million, "s per million deliveries"),
            ("server memory", self.resident_bytes_per_subscriber.map(|bytes| bytes / 1024.0), "KiB per subscriber"),
        ] {
            row(what, value.map_or_else(|| "-".to_owned(), |value| decimals(value, 2)), unit);
        }
        table
    }
}

fn decimals(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_that_were_measured() {
        let of = |nanos: &[u64]| Percentiles::of(nanos.to_vec()).map(|p| [p.p50, p.p90, p.p99, p.max]);
        let millis = |range: std::ops::RangeInclusive<u64>| range.map(|ms| ms * 1_000_000).rev().collect::<Vec<_>>();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[1_500_000]), Some([1.5; 4]), "one is all of them");
        assert_eq!(of(&millis(1..=2)), Some([1.0, 2.0, 2.0, 2.0]));
        assert_eq!(of(&millis(1..=10)), Some([5.0, 9.0, 10.0, 10.0]));
        assert_eq!(of(&millis(1..=100)), Some([50.0, 90.0, 99.0, 100.0]));
        assert_eq!(of(&millis(1..=1000)), Some([500.0, 900.0, 990.0, 1000.0]));
        assert_eq!(of(&[123_456]), Some([0.123; 4]));
    }

    #[test]
    fn shares_of_nothing_are_unknown() {
        assert_eq!(per_million(2.0, 4_000_000), Some(0.5));
        assert_eq!(per_million(2.0, 0), None);
        assert_eq!(per(10.0, 4), Some(2.5));
    }

    fn perfect() -> Report {
        Report {
            server: "http://127.0.0.1:8000".to_owned(),
            version: "0.1.0".to_owned(),
            own_server: true,
            transport: "websocket",
            load: "results",
            subscribers: 10,
            threads: 1,
            rate: Some(20),
            window: None,
            duration_s: 2.0,
            published: 40,
            refused: 0,
            deliveries: 400,
            deliveries_per_s: 200.0,
            lost: 0,
            doubled: 0,
            reordered: 0,
            wrong_boards: Some(0),
            resyncs: 0,
            closed: 0,
            handshakes_per_s: 100.0,
            ack_ms: Percentiles::of(vec![1_000_000]),
            first_ms: None,
            last_ms: None,
            behind_ms_max: Some(0.5),
            server_cpu_s: None,
            server_cpu_s_per_million: None,
            own_cpu_s: None,
            own_cpu_s_per_million: None,
            resident_bytes_idle: None,
            resident_bytes_per_subscriber: None,
        }
    }

    #[test]
    fn any_fault_is_one_and_is_named() {
        assert_eq!(perfect().fault(), None);
        assert_eq!(Report { wrong_boards: None, resyncs: 3, ..perfect() }.fault(), None, "nothing is missing after it");
        for (report, named) in [
            (Report { lost: 2, ..perfect() }, "2 lost"),
            (Report { doubled: 1, ..perfect() }, "1 doubled"),
            (Report { reordered: 1, ..perfect() }, "1 out of order"),
            (Report { wrong_boards: Some(4), ..perfect() }, "4 subscribers with a wrong table"),
            (Report { refused: 5, ..perfect() }, "5 refused by the server"),
            (Report { closed: 6, lost: 7, ..perfect() }, "7 lost, 6 connections closed by the server"),
        ] {
            assert_eq!(report.fault().as_deref(), Some(named));
        }
    }
}
