//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

use crate::histogram::BOUNDS;
use crate::table::{Kind, Metric, Number, Samples, metrics};
use crate::{Report, TimeSnapshot};

/// The media type of the page.
pub const PROMETHEUS_TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes a report as a page for Prometheus.
pub fn prometheus_text(report: &Report) -> String {
    let mut page = String::with_capacity(8192 + 16384 * report.pools.len());
    for metric in metrics() {
        let start = page.len();
        write_header(&mut page, metric);
        let body = page.len();
        metric.read(
            report,
            &mut Text {
                page: &mut page,
                name: metric.name,
            },
        );
        if page.len() == body {
            page.truncate(start);
        }
    }
    page
}

struct Text<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Text<'_> {
    /// Writes a line up to the value: the name and the labels.
    fn name(&mut self, suffix: &str, labels: &[(&'static str, &str)]) {
        self.page.push_str(self.name);
        self.page.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels {
            self.page.push(separator);
            self.page.push_str(name);
            self.page.push_str("=\"");
            push_escaped(self.page, value);
            self.page.push('"');
            separator = ',';
        }
        self.page
            .push_str(if labels.is_empty() { " " } else { "} " });
    }

    fn line(&mut self, value: Number) {
        match value {
            Number::Count(count) => push_count(self.page, count),
            Number::Real(real) => write!(self.page, "{real}").expect("a string takes everything"),
        }
        self.page.push('\n');
    }
}

impl Samples for Text<'_> {
    fn number(&mut self, labels: &[(&'static str, &str)], value: Number) {
        self.name("", labels);
        self.line(value);
    }

    fn times(&mut self, labels: &[(&'static str, &str)], times: &TimeSnapshot) {
        // The labels of all buckets are alike but for the bound, so they are escaped once.
        let start = self.page.len();
        self.name("_bucket", labels);
        let separator = if labels.is_empty() { "{" } else { "," };
        self.page
            .truncate(self.page.len() - if labels.is_empty() { 1 } else { 2 });
        self.page.push_str(separator);
        self.page.push_str("le=\"");
        let prefix = self.page[start..].to_owned();
        let mut below = 0;
        for (place, (count, bound)) in times.buckets.iter().zip(BOUND_LABELS).enumerate() {
            if place > 0 {
                self.page.push_str(&prefix);
            }
            below += count;
            self.page.push_str(bound);
            self.page.push_str("\"} ");
            self.line(Number::Count(below));
        }
        self.name("_sum", labels);
        self.line(Number::Real(times.sum.as_secs_f64()));
        self.name("_count", labels);
        self.line(Number::Count(below));
    }
}

fn write_header(page: &mut String, metric: &Metric) {
    page.push_str("# HELP ");
    page.push_str(metric.name);
    page.push(' ');
    page.push_str(metric.help);
    page.push_str("\n# TYPE ");
    page.push_str(metric.name);
    page.push_str(match metric.kind {
        Kind::Counter => " counter\n",
        Kind::Gauge => " gauge\n",
        Kind::Histogram => " histogram\n",
    });
}

/// What `write!` does, in half the time: formatting is most of a scrape.
fn push_count(page: &mut String, mut count: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (count % 10) as u8;
        count /= 10;
        if count == 0 {
            break;
        }
    }
    page.push_str(std::str::from_utf8(&digits[start..]).expect("digits are text"));
}

fn push_escaped(page: &mut String, value: &str) {
    if !value
        .bytes()
        .any(|byte| matches!(byte, b'\\' | b'"' | b'\n'))
    {
        page.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            other => page.push(other),
        }
    }
}

const BOUND_LABELS: [&str; BOUNDS.len() + 1] = [
    "0.000001", "0.00001", "0.0001", "0.0005", "0.001", "0.005", "0.01", "0.025", "0.05", "0.1",
    "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_written_as_the_number_that_it_is() {
        for (label, bound) in BOUND_LABELS.iter().zip(BOUNDS) {
            assert_eq!(label.parse(), Ok(bound));
        }
    }

    #[test]
    fn a_count_is_written_as_the_number_that_it_is() {
        for count in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut page = String::new();
            push_count(&mut page, count);
            assert_eq!(page, count.to_string());
        }
    }

    #[test]
    fn no_help_needs_escaping() {
        assert!(metrics().all(|metric| !metric.help.contains(['\\', '\n'])));
    }
}
