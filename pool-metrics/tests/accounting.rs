//! Whatever the history, counters equal a naive model's, up to the page.

#![expect(
    clippy::disallowed_methods,
    reason = "only differences between dates count"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pool_metrics::{
    AcquireFailure, AcquirePath, CloseReason, Disposition, LabelValue, PoolRecorder, PoolSnapshot,
    Report, RequestOutcome, Stage, Tally, prometheus_text,
};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Created,
    Closed(CloseReason),
    /// Found idle in the slot of this number.
    Idle(usize),
    Acquired(AcquirePath, u64),
    Released(Disposition),
    Failed(AcquireFailure),
    TimedOut(Stage),
    Request(usize, RequestOutcome, u64),
    Reset,
}

fn any<K: LabelValue>() -> impl Strategy<Value = K> {
    proptest::sample::select(K::ALL)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Created),
        any().prop_map(Event::Closed),
        (0..4_usize).prop_map(Event::Idle),
        (any(), 0..10_000_000_000_u64).prop_map(|(path, time)| Event::Acquired(path, time)),
        any().prop_map(Event::Released),
        any().prop_map(Event::Failed),
        any().prop_map(Event::TimedOut),
        (0..20_usize, any(), 0..1_000_000_u64)
            .prop_map(|(class, outcome, time)| Event::Request(class, outcome, time)),
        Just(Event::Reset),
    ]
}

/// Samples of a page by name and labels.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            (
                series.to_owned(),
                value.parse().expect("the value is a number"),
            )
        })
        .collect()
}

/// Counts each event under the series that must show it.
#[derive(Default)]
struct Model {
    series: BTreeMap<String, f64>,
    classes: Vec<String>,
}

impl Model {
    fn on(&mut self, event: Event) {
        match event {
            Event::Created => self.count("pool_connections_created_total", &[]),
            Event::Closed(reason) => {
                self.count(
                    "pool_connections_closed_total",
                    &[("reason", reason.label())],
                );
            }
            Event::Idle(_) => {
                self.count("pool_connections_acquired_total", &[("path", "idle")]);
            }
            Event::Acquired(path, _) => {
                self.count("pool_connections_acquired_total", &[("path", path.label())]);
                self.count("pool_acquire_duration_seconds_count", &[]);
            }
            Event::Released(how) => {
                self.count(
                    "pool_connections_released_total",
                    &[("disposition", how.label())],
                );
            }
            Event::Failed(reason) => {
                self.count("pool_acquire_failures_total", &[("reason", reason.label())]);
            }
            Event::TimedOut(stage) => {
                self.count("pool_timeouts_total", &[("stage", stage.label())]);
            }
            Event::Request(class, outcome, _) => {
                let mut name = format!("c{class}");
                if !self.classes.contains(&name) {
                    if self.classes.len() + 1 < PoolRecorder::MAX_CLASSES {
                        self.classes.push(name.clone());
                    } else {
                        name = "other".to_owned();
                    }
                }
                let labels = [("class", &*name), ("outcome", outcome.label())];
                self.count("pool_requests_total", &labels);
            }
            // Counters never fall, whatever is reset.
            Event::Reset => {}
        }
    }

    fn count(&mut self, name: &str, labels: &[(&str, &str)]) {
        let labels: String = labels
            .iter()
            .map(|(name, value)| format!(",{name}=\"{value}\""))
            .collect();
        *self
            .series
            .entry(format!("{name}{{pool=\"p\"{labels}}}"))
            .or_default() += 1.0;
    }
}

/// What an owner does when the event happens.
fn tell(recorder: &PoolRecorder, slots: &[Tally; 4], event: Event, now: Instant) {
    match event {
        Event::Created => recorder.created.increment(),
        Event::Closed(reason) => recorder.closed.increment(reason),
        Event::Idle(slot) => _ = slots[slot].increment(),
        Event::Acquired(path, time_ns) => {
            recorder.acquired.increment(path);
            recorder.acquire_time.record(Duration::from_nanos(time_ns));
        }
        Event::Released(disposition) => recorder.released.increment(disposition),
        Event::Failed(reason) => recorder.acquire_failures.increment(reason),
        Event::TimedOut(stage) => recorder.timeouts.increment(stage),
        Event::Request(class, outcome, time_ns) => {
            let class = recorder.class(&format!("c{class}"), now);
            class.record(outcome, Duration::from_nanos(time_ns));
        }
        Event::Reset => recorder.reset(now),
    }
}

proptest! {
    #[test]
    fn the_page_shows_exactly_what_happened(events in prop::collection::vec(event(), 0..300)) {
        let now = Instant::now();
        let recorder = PoolRecorder::new(now);
        let slots: [Tally; 4] = Default::default();
        let mut model = Model::default();
        for event in events {
            tell(&recorder, &slots, event, now);
            model.on(event);
        }

        let mut pool = PoolSnapshot::new("p", "test");
        pool.acquired[AcquirePath::Idle] = slots.iter().map(Tally::value).sum();
        recorder.add_to(&mut pool, now);
        prop_assert_eq!(pool.since(&pool).acquired.total(), 0);
        prop_assert_eq!(pool.since(&pool).acquire_time.count(), 0);

        let mut report = Report::default();
        report.push_pool(pool);
        let page = parse(&prometheus_text(&report));
        for (series, value) in &model.series {
            prop_assert_eq!(page.get(series), Some(value), "{}", series);
        }
        for (series, value) in page.iter().filter(|(series, _)| series.contains("_total{")) {
            if !series.contains("_seconds_total") {
                let counted = model.series.get(series).copied().unwrap_or(0.0);
                prop_assert_eq!(counted, *value, "{}", series);
            }
        }
    }
}
