//! A planted secret appears in no log line, no error, no `Debug` and no page.

#![cfg(all(feature = "http", feature = "tracing", feature = "serde"))]

mod common;

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::full_report;
use pool_metrics::{
    Endpoint, PoolRecorder, RegisterError, Registry, Report, Source, log_report, prometheus_text,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const CANARY: &str = "c4n4ry-s3cr3t";

/// A pool whose connections were opened with the secret, as an owner would hold it.
struct Guarded {
    recorder: PoolRecorder,
    _password: &'static str,
}

impl Source for Guarded {
    fn collect(&self, now: Instant, report: &mut Report) {
        *report = full_report("orders");
        let mut pool = report.pools.remove(0);
        self.recorder.add_to(&mut pool, now);
        report.push_pool(pool);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("a string takes everything");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        panic!("this crate opens no span")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().expect("no line panics");
        write!(log, "{} ", event.metadata().target()).expect("a string takes everything");
        event.record(&mut Line(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "only differences between dates count"
)]
fn a_secret_is_shown_nowhere() {
    let now = Instant::now();
    let source = Guarded {
        recorder: PoolRecorder::new(now),
        _password: CANARY,
    };
    let registry = Registry::new();
    let registration = registry.register(Arc::new(source)).unwrap();
    let report = registry.collect(now);

    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || log_report(&report));
    let lines = log.0.lock().unwrap().clone();
    assert!(
        lines.starts_with("pool::metrics ") && lines.contains("pool=orders"),
        "{lines}"
    );

    let endpoint = Endpoint::loopback(0).token(CANARY);
    assert!(
        format!("{endpoint:?}").contains("***"),
        "the token is set, and hidden"
    );
    for shown in [
        lines,
        prometheus_text(&report),
        serde_json::to_string(&report).unwrap(),
        format!("{endpoint:?} {registry:?} {registration:?} {report:?}"),
        format!("{} {:?}", RegisterError::Full, RegisterError::Full),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}
