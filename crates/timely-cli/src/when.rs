//! Times as people type them: `15:30`, `tomorrow 15:30`, `sat 15:30`, `2026-07-19 15:30`, RFC 3339,
//! `+20m`, `now`.
//!
//! A time without an offset is one of the event's zone. What the zone skips or has twice is refused:
//! an hour too early or too late is worse than a second try. Pure: what time it is comes in.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp, ToSpan as _, Zoned};

/// The forms that work, for every refusal.
const FORMS: &str = "write 15:30, tomorrow 15:30, sat 15:30, 2026-07-19 15:30, 2026-07-19T15:30:00+02:00, +20m or now";

/// What typed times refer to.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The event's.
    pub zone: TimeZone,
    pub now: Timestamp,
    /// The day of a bare `15:30`.
    pub day: Date,
    /// What `+20m` is added to.
    pub base: Timestamp,
}

/// A text that is no time here, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {why}")]
pub(crate) struct InvalidTime {
    pub text: String,
    pub why: String,
}

impl Frame {
    /// The frame of an event: bare times are of today, or of its nearest day when today is none of
    /// it.
    pub(crate) fn of_event(zone: TimeZone, now: Timestamp, starts_on: Date, ends_on: Date) -> Self {
        let today = now.to_zoned(zone.clone()).date();
        let day = if today < starts_on {
            starts_on
        } else if today > ends_on {
            ends_on
        } else {
            today
        };
        Self { zone, now, day, base: now }
    }

    /// The same about a fixture: bare times are of its day, `+20m` moves its start.
    #[must_use]
    pub(crate) fn about(self, start_at: Timestamp) -> Self {
        let day = start_at.to_zoned(self.zone.clone()).date();
        Self { day, base: start_at, ..self }
    }
}

/// Reads a time.
///
/// # Errors
/// Text that is no time, is one only by guessing (`3/4`), or does not exist just once in the zone.
pub(crate) fn time(text: &str, frame: &Frame) -> Result<Timestamp, InvalidTime> {
    let invalid = |why: &str| InvalidTime { text: text.to_owned(), why: why.to_owned() };
    let unknown = || invalid(&format!("is not a time; {FORMS}"));
    let typed = text.trim();
    if typed.eq_ignore_ascii_case("now") {
        return Ok(frame.now);
    }
    if typed.contains('/') {
        return Err(invalid("can be read as two dates; write the date like 2026-07-19"));
    }
    if let Some((sign, rest)) = signed(typed) {
        return span(rest).and_then(|span| add(frame.base, span * sign, &frame.zone)).ok_or_else(unknown);
    }
    let (local, offset) = split_offset(typed);
    let (day, clock) = match local.split_once([' ', 'T', 't']) {
        // `sat` and `tomorrow` have a `t` as well: only digits stand before one that divides.
        Some((day, clock)) if day.starts_with(|c: char| c.is_ascii_digit()) => (date(day), clock),
        _ => match local.split_once(' ') {
            Some((word, clock)) => (day_of_word(word, frame), clock),
            None => (Some(frame.day), local),
        },
    };
    let at =
        day.zip(clock_time(clock.trim())).map(|(day, clock)| DateTime::from_parts(day, clock)).ok_or_else(unknown)?;
    match offset {
        Some(offset) => offset.to_timestamp(at).map_err(|_| unknown()),
        None => in_zone(at, &frame.zone).map_err(|why| invalid(&why)),
    }
}

/// The end of something that begins now: as [`time`], but a bare span (`30m`) is from now and a bare
/// time (`18:00`) is today's, whatever day the event is.
///
/// # Errors
/// As [`time`].
pub(crate) fn time_ahead(text: &str, frame: &Frame) -> Result<Timestamp, InvalidTime> {
    match span(text.trim()).and_then(|span| add(frame.now, span, &frame.zone)) {
        Some(at) => Ok(at),
        None => time(text, &frame.clone().about(frame.now)),
    }
}

/// `Sat 2026-07-18 15:30 +02:00`: nobody has to guess.
pub(crate) fn spelled(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string()
}

/// `15:30 +02:00`, where the day is plain.
pub(crate) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M %:z").to_string()
}

/// Divides `+20m` and `-1h5m` into sign and span.
fn signed(text: &str) -> Option<(i64, &str)> {
    text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| text.strip_prefix('-').map(|rest| (-1, rest)))
}

/// `20m`, `1h20m`, `2 days`. Only positive: the sign stands before it.
fn span(text: &str) -> Option<Span> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.contains(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let span: Span = text.parse().ok()?;
    (!span.is_negative()).then_some(span)
}

fn add(to: Timestamp, span: Span, zone: &TimeZone) -> Option<Timestamp> {
    to.to_zoned(zone.clone()).checked_add(span).ok().map(|zoned: Zoned| zoned.timestamp())
}

/// `…Z`, `…+02:00`, with or without a space before it.
fn split_offset(text: &str) -> (&str, Option<Offset>) {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return (local.trim_end(), Some(Offset::UTC));
    }
    let at = text.len().saturating_sub(6);
    if text.is_char_boundary(at) {
        let (local, tail) = text.split_at(at);
        let bytes = tail.as_bytes();
        if local.contains(':')
            && let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = bytes
            && let (Some(hours), Some(minutes)) = (two_digits(*h1, *h2), two_digits(*m1, *m2))
            && minutes < 60
        {
            let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
            let offset = Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds });
            if let Ok(offset) = offset {
                return (local.trim_end(), Some(offset));
            }
        }
    }
    (text, None)
}

fn two_digits(first: u8, second: u8) -> Option<u8> {
    (first.is_ascii_digit() && second.is_ascii_digit()).then(|| (first - b'0') * 10 + (second - b'0'))
}

/// `2026-07-19` and nothing else.
fn date(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

/// `9:30`, `15:30`, `15:30:05`.
fn clock_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let number = |part: &str| -> Option<i8> {
        let plain = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten()
    };
    let hour = number(parts.next()?)?;
    let minute = parts.next().filter(|part| part.len() == 2).and_then(number)?;
    let second = match parts.next() {
        Some(part) => number(part)?,
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

fn day_of_word(word: &str, frame: &Frame) -> Option<Date> {
    let today = frame.now.to_zoned(frame.zone.clone()).date();
    match word.to_lowercase().as_str() {
        "today" => Some(today),
        "tomorrow" => today.tomorrow().ok(),
        "yesterday" => today.yesterday().ok(),
        word => {
            let wanted = weekday(word)?;
            // The day of the event or fixture itself counts, then the days after it.
            (0..7).find_map(|days| frame.day.checked_add(days.days()).ok().filter(|day| day.weekday() == wanted))
        }
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    const NAMES: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    NAMES.iter().find(|(name, _)| word.len() >= 3 && name.starts_with(word)).map(|(_, day)| *day)
}

fn in_zone(at: DateTime, zone: &TimeZone) -> Result<Timestamp, String> {
    let name = zone.iana_name().unwrap_or("this zone");
    let ambiguous = zone.to_ambiguous_timestamp(at);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            ambiguous.unambiguous().map_err(|_| "is out of the range of times".to_owned())
        }
        AmbiguousOffset::Gap { .. } => {
            Err(format!("does not exist in {name}: clocks go forward over it; take an hour later"))
        }
        AmbiguousOffset::Fold { before, after } => Err(format!(
            "is there twice in {name}, as clocks go back; write {} or {}",
            with_offset(at, before),
            with_offset(at, after)
        )),
    }
}

fn with_offset(at: DateTime, offset: Offset) -> String {
    let local = at.strftime("%Y-%m-%dT%H:%M");
    // `+02` of the library is not what people write in RFC 3339.
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{local}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday noon in Berlin; the fixture is on Sunday 2026-07-19 at 14:00.
    fn frame() -> Frame {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-07-18T10:00:00Z".parse().unwrap();
        Frame::of_event(zone, now, "2026-07-18".parse().unwrap(), "2026-07-20".parse().unwrap())
    }

    fn fixture() -> Frame {
        frame().about("2026-07-19T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn times_are_read_as_people_type_them() {
        for (why, text, frame, at) in [
            ("bare: today of the event", "15:30", frame(), "2026-07-18T13:30:00Z"),
            ("one digit", "9:05", frame(), "2026-07-18T07:05:00Z"),
            ("seconds", "15:30:05", frame(), "2026-07-18T13:30:05Z"),
            ("bare: the fixture's day", "15:30", fixture(), "2026-07-19T13:30:00Z"),
            ("today is today even of a fixture", "today 15:30", fixture(), "2026-07-18T13:30:00Z"),
            ("tomorrow", "tomorrow 15:30", frame(), "2026-07-19T13:30:00Z"),
            ("tomorrow is from now, not from the fixture", "Tomorrow 15:30", fixture(), "2026-07-19T13:30:00Z"),
            ("this weekday is today", "sat 15:30", frame(), "2026-07-18T13:30:00Z"),
            ("the next one", "Mon 15:30", frame(), "2026-07-20T13:30:00Z"),
            ("in full", "Sunday 10:00", frame(), "2026-07-19T08:00:00Z"),
            ("tuesday has a t", "tue 10:00", frame(), "2026-07-21T08:00:00Z"),
            ("date", "2026-07-19 15:30", frame(), "2026-07-19T13:30:00Z"),
            ("date with T", "2026-07-19T15:30", frame(), "2026-07-19T13:30:00Z"),
            ("RFC 3339", "2026-07-19T15:30:00+00:00", frame(), "2026-07-19T15:30:00Z"),
            ("UTC", "2026-07-19T15:30:00Z", frame(), "2026-07-19T15:30:00Z"),
            ("offset", "2026-07-19 15:30 -03:00", frame(), "2026-07-19T18:30:00Z"),
            ("bare with offset", "15:30+05:30", frame(), "2026-07-18T10:00:00Z"),
            ("later than now", "+20m", frame(), "2026-07-18T10:20:00Z"),
            ("later than the fixture was", "+20m", fixture(), "2026-07-19T12:20:00Z"),
            ("earlier", "-5m", fixture(), "2026-07-19T11:55:00Z"),
            ("friendly", "+1h20m", fixture(), "2026-07-19T13:20:00Z"),
            ("a day", "+1d", fixture(), "2026-07-20T12:00:00Z"),
            ("now", "now", fixture(), "2026-07-18T10:00:00Z"),
            ("a year with room", " 2026-12-01 00:00 ", frame(), "2026-11-30T23:00:00Z"),
        ] {
            assert_eq!(time(text, &frame).map(|at| at.to_string()), Ok(at.to_owned()), "{why}: {text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_none_is_refused_with_what_would_be_right() {
        for (why, text, says) in [
            ("two readings", "3/4", "2026-07-19"),
            ("two readings", "3/4 15:30", "2026-07-19"),
            ("nothing", "", "15:30"),
            ("word", "soon", "15:30"),
            ("no minutes", "15", "15:30"),
            ("no such hour", "25:00", "15:30"),
            ("no such minute", "15:60", "15:30"),
            ("one digit of minutes", "15:3", "15:30"),
            ("day alone", "2026-07-19", "15:30"),
            ("no such day", "2026-02-30 15:30", "15:30"),
            ("two letters", "sa 15:30", "15:30"),
            ("afternoon", "3:30pm", "15:30"),
            ("span without sign", "20m", "+20m"),
            ("no unit", "+20", "+20m"),
            ("two signs", "+-20m", "+20m"),
            ("far away", "+99999999h", "15:30"),
            ("no such offset", "15:30+99:00", "15:30"),
            ("not ASCII", "15：30", "15:30"),
        ] {
            let error = time(text, &frame()).expect_err(why).to_string();
            assert!(error.contains(says), "{why}: {text}: {error}");
        }
    }

    #[test]
    fn daylight_saving_is_never_guessed() {
        let gap = time("2026-03-29 02:30", &frame()).unwrap_err().to_string();
        assert!(gap.contains("does not exist in Europe/Berlin"), "{gap}");
        let fold = time("2026-10-25 02:30", &frame()).unwrap_err().to_string();
        assert!(fold.contains("2026-10-25T02:30+02:00 or 2026-10-25T02:30+01:00"), "{fold}");
        assert_eq!(time("2026-10-25T02:30+01:00", &frame()).unwrap().to_string(), "2026-10-25T01:30:00Z");
        // A span counts hours that pass; a day keeps the clock.
        let before = frame().about("2026-10-24T10:00:00Z".parse().unwrap());
        assert_eq!(time("+1d", &before).unwrap().to_string(), "2026-10-25T11:00:00Z");
        assert_eq!(time("+24h", &before).unwrap().to_string(), "2026-10-25T10:00:00Z");
    }

    #[test]
    fn an_event_that_is_not_today_lends_its_nearest_day() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (now, at) in [
            ("2026-05-01T10:00:00Z", "2026-07-18T13:30:00Z"),
            ("2026-09-01T10:00:00Z", "2026-07-20T13:30:00Z"),
            // 22:30 UTC is already the next day in Berlin.
            ("2026-07-18T22:30:00Z", "2026-07-19T13:30:00Z"),
        ] {
            let (starts_on, ends_on) = ("2026-07-18".parse().unwrap(), "2026-07-20".parse().unwrap());
            let frame = Frame::of_event(zone.clone(), now.parse().unwrap(), starts_on, ends_on);
            assert_eq!(time("15:30", &frame).unwrap().to_string(), at);
        }
    }

    #[test]
    fn an_end_is_a_span_from_now_or_a_time() {
        for (text, at) in [
            ("30m", "2026-07-18T10:30:00Z"),
            ("1h20m", "2026-07-18T11:20:00Z"),
            ("18:00", "2026-07-18T16:00:00Z"),
            ("+30m", "2026-07-18T10:30:00Z"),
        ] {
            assert_eq!(time_ahead(text, &fixture()).unwrap().to_string(), at, "{text}");
        }
        assert!(time_ahead("30", &frame()).is_err());
    }

    #[test]
    fn a_time_is_repeated_with_its_day_and_offset() {
        let at = "2026-07-18T13:30:00Z".parse().unwrap();
        assert_eq!(spelled(at, &frame().zone), "Sat 2026-07-18 15:30 +02:00");
        assert_eq!(clock(at, &frame().zone), "15:30 +02:00");
    }
}
