//! The page: valid, complete, bounded, and safe from the names that it is given.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::full_report;
use pool_metrics::table::{Kind, metrics};
use pool_metrics::{
    AcquireFailure, BreakerSnapshot, CloseReason, LabelValue, PoolRecorder, PoolSnapshot, Report,
    prometheus_text,
};
use prometheus_parse::{Scrape, Value};

fn parse(page: &str) -> Scrape {
    Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).expect("the page is valid")
}

#[test]
fn a_parser_that_is_not_ours_finds_every_metric_with_its_kind_and_labels() {
    let scrape = parse(&prometheus_text(&full_report("orders")));
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for sample in &scrape.samples {
        let kind = metrics()
            .find(|metric| metric.name == sample.metric)
            .map(|metric| metric.kind);
        match (kind, &sample.value) {
            (Some(Kind::Counter), Value::Counter(_)) | (Some(Kind::Gauge), Value::Gauge(_)) => {}
            (Some(Kind::Histogram), Value::Histogram(_)) => {}
            // Sum and count of a histogram are samples of their own to this parser.
            (None, Value::Untyped(_)) => continue,
            (kind, value) => panic!("{} is {kind:?} and was read as {value:?}", sample.metric),
        }
        let labels = found.entry(sample.metric.clone()).or_default();
        labels.extend(sample.labels.keys().cloned());
    }
    for metric in metrics() {
        let labels: BTreeSet<_> = metric
            .subject()
            .iter()
            .chain(metric.labels)
            .map(|label| (*label).to_owned())
            .collect();
        assert_eq!(found.get(metric.name), Some(&labels), "{}", metric.name);
    }
}

#[test]
fn every_reason_is_there_from_the_start_at_0() {
    let mut report = Report::default();
    report.push_pool(PoolSnapshot::new("p", "test"));
    let page = prometheus_text(&report);
    for reason in CloseReason::ALL {
        let reason = reason.label();
        let line = format!("pool_connections_closed_total{{pool=\"p\",reason=\"{reason}\"}} 0\n");
        assert!(page.contains(&line), "{line}");
    }
    for reason in AcquireFailure::ALL {
        let reason = reason.label();
        let line = format!("pool_acquire_failures_total{{pool=\"p\",reason=\"{reason}\"}} 0\n");
        assert!(page.contains(&line), "{line}");
    }
}

#[test]
fn names_are_an_interface() {
    // A change here breaks dashboards and alerts of users: it needs a major version.
    let names: Vec<_> = metrics().map(|metric| metric.name).collect();
    let golden: Vec<_> = include_str!("golden/names.txt").lines().collect();
    assert_eq!(names, golden);
}

#[test]
fn a_breaker_shows_all_four_states_and_one_of_them_as_1() {
    let mut report = Report::default();
    report.push_breaker(BreakerSnapshot::new("b"));
    let page = prometheus_text(&report);
    let states: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("breaker_state{"))
        .collect();
    assert_eq!(states.len(), 4);
    assert_eq!(
        states.iter().filter(|line| line.ends_with("} 1")).count(),
        1
    );
}

#[test]
fn a_hostile_name_can_neither_break_the_page_nor_forge_a_series() {
    let name = "a\"} 1\npool_connections_max{pool=\"b\\";
    let page = prometheus_text(&full_report(name));
    assert_eq!(
        page.lines().count(),
        prometheus_text(&full_report("orders")).lines().count()
    );
    for line in page
        .lines()
        .filter(|line| line.starts_with("pool_connections_max{"))
    {
        assert_eq!(
            line,
            r#"pool_connections_max{pool="a\"} 1\npool_connections_max{pool=\"b\\"} 20"#
        );
    }
}

#[test]
fn two_of_one_name_get_series_of_their_own() {
    let mut report = Report::default();
    report.push_pool(PoolSnapshot::new("p", "test"));
    report.push_pool(PoolSnapshot::new("p", "test"));
    let page = prometheus_text(&report);
    let series: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    let distinct: BTreeSet<_> = series.iter().collect();
    assert_eq!(series.len(), distinct.len());
    assert!(page.contains("pool_connections_max{pool=\"p-2\"}"));
}

#[test]
fn a_report_is_bounded_and_says_what_it_left_out() {
    let mut report = Report::default();
    for number in 0..Report::MAX_SNAPSHOTS + 7 {
        report.push_breaker(BreakerSnapshot::new(number.to_string()));
    }
    let mut pool = PoolSnapshot::new("p", "test");
    pool.classes = vec![Default::default(); PoolRecorder::MAX_CLASSES + 3];
    report.push_pool(pool);
    assert_eq!(report.breakers.len(), Report::MAX_SNAPSHOTS);
    assert_eq!(report.pools[0].classes.len(), PoolRecorder::MAX_CLASSES);
    assert!(prometheus_text(&report).contains("\npool_metrics_dropped 10\n"));
}

#[cfg(feature = "serde")]
#[test]
fn a_report_survives_json() {
    let report = full_report("orders");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}
