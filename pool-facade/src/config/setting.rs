//! How each kind of setting is written as text, and read back.
//!
//! The invariant: what [`Setting::print`] writes, [`Setting::parse`] reads as an equal value.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use backoff::{Jitter, Ratio};
use breaker::{Mode, OpenTime, Window};
use pool_core::{Check, WhenSuspended};

/// A value that has a text form.
pub(super) trait Setting: Sized {
    /// Reads the text form, or says what it must be.
    fn parse(text: &str) -> Result<Self, &'static str>;

    /// Writes the text form.
    fn print(&self) -> String;

    /// The time that this is, if it is one.
    fn span(&self) -> Option<Duration> {
        None
    }
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(text.to_owned())
    }

    fn print(&self) -> String {
        self.clone()
    }
}

/// Numbers that are written as Rust does.
trait Whole: FromStr + Display {}

impl Whole for u8 {}
impl Whole for u32 {}
impl Whole for u64 {}
impl Whole for usize {}

impl<T: Whole> Setting for T {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "must be a whole number")
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Setting for f64 {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let rule = "must be a number such as 0.25 or 25%";
        let (text, unit) = text.strip_suffix('%').map_or((text, 1.0), |it| (it, 100.0));
        text.parse::<Self>()
            .map(|number| number / unit)
            .map_err(|_| rule)
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, &'static str> {
        humantime::parse_duration(text)
            .map_err(|_| "must be a time with its unit, such as 250ms, 30s or 10m")
    }

    fn print(&self) -> String {
        humantime::format_duration(*self).to_string()
    }

    fn span(&self) -> Option<Duration> {
        Some(*self)
    }
}

impl<T: Setting> Setting for Option<T> {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "none" {
            return Ok(None);
        }
        T::parse(text).map(Some)
    }

    fn print(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), T::print)
    }

    fn span(&self) -> Option<Duration> {
        self.as_ref().and_then(T::span)
    }
}

impl Setting for Ratio {
    fn parse(text: &str) -> Result<Self, &'static str> {
        parse_ratio(text).ok_or("must be a share such as 10%, 0.1 or 1/10")
    }

    fn print(&self) -> String {
        match self.denominator() {
            100 => format!("{}%", self.numerator()),
            _ => self.to_string(),
        }
    }
}

/// Reads `10%`, `1/10` or `0.1`, each without loss.
fn parse_ratio(text: &str) -> Option<Ratio> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse().ok().map(Ratio::percent);
    }
    if let Some((numerator, denominator)) = text.split_once('/') {
        return Some(Ratio::new(
            numerator.parse().ok()?,
            denominator.parse().ok()?,
        ));
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let denominator = 10u32.checked_pow(decimals.len().try_into().ok()?)?;
    let digits: u32 = format!("{whole}{decimals}").parse().ok()?;
    Some(Ratio::new(digits, denominator))
}

impl Setting for Jitter {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "none" => Ok(Self::None),
            "full" => Ok(Self::Full),
            "equal" => Ok(Self::Equal),
            _ => parse_ratio(text)
                .map(Self::PlusMinus)
                .ok_or("must be none, full, equal or a share such as 10%"),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::None => "none".into(),
            Self::Equal => "equal".into(),
            Self::PlusMinus(share) => share.print(),
            _ => "full".into(),
        }
    }
}

impl Setting for Check {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Duration::parse(text)
                .map(Self::IdleFor)
                .map_err(|_| "must be always, never or the idle time after which, such as 30s"),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::IdleFor(idle) => idle.print(),
            Self::Never => "never".into(),
            _ => "always".into(),
        }
    }

    fn span(&self) -> Option<Duration> {
        match self {
            Self::IdleFor(idle) => Some(*idle),
            _ => None,
        }
    }
}

impl Setting for WhenSuspended {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "wait" => Ok(Self::Wait),
            "refuse" => Ok(Self::Refuse),
            _ => Err("must be wait or refuse"),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Refuse => "refuse".into(),
            _ => "wait".into(),
        }
    }
}

impl Setting for Window {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let window = if let Some(calls) = text.strip_suffix("calls") {
            calls.trim().parse().ok().map(|calls| Self::Count { calls })
        } else {
            text.split_once('x').and_then(|(buckets, width)| {
                let buckets = buckets.trim().parse().ok()?;
                let width = Duration::parse(width.trim()).ok()?;
                Some(Self::Time { buckets, width })
            })
        };
        window.ok_or("must be a time such as 10 x 100ms, or a number of calls such as 50 calls")
    }

    fn print(&self) -> String {
        match self {
            Self::Time { buckets, width } => format!("{buckets} x {}", width.print()),
            Self::Count { calls } => format!("{calls} calls"),
            _ => String::new(),
        }
    }
}

impl Setting for OpenTime {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let time = match text.split_once("..") {
            Some((first, max)) => Duration::parse(first.trim()).and_then(|first| {
                Duration::parse(max.trim()).map(|max| Self::Exponential { first, max })
            }),
            None => Duration::parse(text).map(Self::Constant),
        };
        time.map_err(|_| "must be a time such as 30s, or one that doubles such as 250ms..2s")
    }

    fn print(&self) -> String {
        match self {
            Self::Constant(time) => time.print(),
            Self::Exponential { first, max } => format!("{}..{}", first.print(), max.print()),
            _ => String::new(),
        }
    }
}

impl Setting for Mode {
    fn parse(text: &str) -> Result<Self, &'static str> {
        MODES
            .into_iter()
            .find(|mode| mode.to_string() == text)
            .ok_or("must be automatic, forced_open, forced_closed or metrics_only")
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

const MODES: [Mode; 4] = [
    Mode::Automatic,
    Mode::ForcedOpen,
    Mode::ForcedClosed,
    Mode::MetricsOnly,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<T: Setting + PartialEq + std::fmt::Debug>(text: &str, value: T) {
        assert_eq!(T::parse(text).as_ref(), Ok(&value), "{text}");
        assert_eq!(T::parse(&value.print()), Ok(value), "{text}");
    }

    fn refuses<T: Setting + std::fmt::Debug>(text: &str) {
        assert!(T::parse(text).is_err(), "{text}: {:?}", T::parse(text));
    }

    #[test]
    fn a_time_needs_its_unit() {
        reads("250ms", Duration::from_millis(250));
        reads("30s", Duration::from_secs(30));
        reads("10m", Duration::from_secs(600));
        reads("1h 30m", Duration::from_secs(5400));
        reads("584years", Duration::from_secs(584 * 31_557_600));
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1 fortnight",
            "999999999999999999999h",
        ] {
            refuses::<Duration>(text);
        }
    }

    #[test]
    fn nothing_is_said_in_a_word() {
        reads("none", None::<Duration>);
        reads("5", Some(5u32));
        refuses::<Duration>("none");
        refuses::<u32>("none");
        refuses::<Option<u32>>("");
    }

    #[test]
    fn a_share_is_read_without_loss() {
        reads("10%", Ratio::new(10, 100));
        reads("0.1", Ratio::new(1, 10));
        reads("1/3", Ratio::new(1, 3));
        reads("2", Ratio::new(2, 1));
        reads("0.05", 0.05f64);
        reads("70%", 0.7f64);
        for text in ["", "%", "1/", "-1", "0.00000000001", ".", "1e3", "a"] {
            refuses::<Ratio>(text);
        }
    }

    #[test]
    fn each_choice_has_its_words() {
        reads("always", Check::Always);
        reads("never", Check::Never);
        reads("30s", Check::IdleFor(Duration::from_secs(30)));
        reads("wait", WhenSuspended::Wait);
        reads("refuse", WhenSuspended::Refuse);
        reads("none", Jitter::None);
        reads("equal", Jitter::Equal);
        reads("10%", Jitter::PlusMinus(Ratio::percent(10)));
        for mode in MODES {
            reads(&mode.to_string(), mode);
        }
        refuses::<Check>("sometimes");
        refuses::<WhenSuspended>("");
        refuses::<Jitter>("some");
        refuses::<Mode>("on");
    }

    #[test]
    fn windows_and_open_times_are_short() {
        let width = Duration::from_millis(100);
        reads("10 x 100ms", Window::Time { buckets: 10, width });
        reads("10x100ms", Window::Time { buckets: 10, width });
        reads("50 calls", Window::Count { calls: 50 });
        let first = Duration::from_millis(250);
        let max = Duration::from_secs(2);
        reads("250ms..2s", OpenTime::Exponential { first, max });
        reads("30s", OpenTime::Constant(Duration::from_secs(30)));
        for text in ["", "x", "10 x", "calls", "1s"] {
            refuses::<Window>(text);
        }
        for text in ["", "..", "1s..", "..1s", "5"] {
            refuses::<OpenTime>(text);
        }
    }
}
