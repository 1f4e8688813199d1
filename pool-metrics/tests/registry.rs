//! Sources come and go while reports are made.

#![expect(
    clippy::disallowed_methods,
    reason = "only differences between dates count"
)]

use std::sync::Arc;
use std::time::Instant;

use pool_metrics::{PoolSnapshot, RegisterError, Registry, Report, Source};

struct Named(&'static str, Registry);

impl Source for Named {
    fn collect(&self, _now: Instant, report: &mut Report) {
        report.push_pool(PoolSnapshot::new(self.0, "test"));
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Would wait for ever if a source were dropped under the registry's lock.
        assert!(format!("{:?}", self.1).contains("sources"));
    }
}

#[test]
fn a_source_is_asked_until_its_registration_is_dropped() {
    let registry = Registry::new();
    let first = registry
        .register(Arc::new(Named("first", registry.clone())))
        .unwrap();
    let _second = registry
        .register(Arc::new(Named("second", Registry::new())))
        .unwrap();
    let names = |registry: &Registry| -> Vec<_> {
        registry
            .collect(Instant::now())
            .pools
            .into_iter()
            .map(|pool| pool.name)
            .collect()
    };
    assert_eq!(names(&registry), ["first", "second"]);
    drop(first);
    assert_eq!(names(&registry), ["second"]);
}

#[test]
fn a_full_registry_refuses_and_has_room_again_after_a_drop() {
    let registry = Registry::new();
    let source: Arc<Named> = Arc::new(Named("one", Registry::new()));
    let mut registrations: Vec<_> = (0..Registry::MAX_SOURCES)
        .map(|_| registry.register(source.clone()).unwrap())
        .collect();
    assert_eq!(
        registry.register(source.clone()).unwrap_err(),
        RegisterError::Full
    );
    registrations.pop();
    assert!(registry.register(source).is_ok());
}

struct Broken;

impl Source for Broken {
    fn collect(&self, _now: Instant, _report: &mut Report) {
        panic!("a source of a test")
    }
}

#[test]
fn a_source_that_panics_costs_its_own_numbers_alone() {
    let registry = Registry::new();
    let _broken = registry.register(Arc::new(Broken)).unwrap();
    let _well = registry
        .register(Arc::new(Named("well", Registry::new())))
        .unwrap();
    let report = registry.collect(Instant::now());
    assert_eq!((report.pools.len(), report.dropped), (1, 1));
}
