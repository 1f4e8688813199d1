//! A cluster whose members say by the status of their health endpoint what part they play.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use pool_core::{ConnectContext, Manager};
use pool_facade::balance::Role;
use pool_facade::health::{Failure, Report, VaultRole};
use pool_facade::{CallOptions, ErrorKind, Pool, pool_core};
use support::{ms, pass};

/// A member, by what its health endpoint answers.
struct Member(Arc<AtomicU16>);

impl Manager for Member {
    type Connection = Arc<AtomicU16>;
    type Error = Infallible;

    async fn connect(&self, _: ConnectContext) -> Result<Arc<AtomicU16>, Infallible> {
        Ok(self.0.clone())
    }
}

async fn report(status: &AtomicU16) -> Report<Role> {
    match VaultRole::from_status(status.load(Relaxed)) {
        Some(role) => role.report().map_role(Role::from),
        None => Report::down(Failure::Status),
    }
}

/// Where calls go, none of which may fail.
async fn served(pool: &Pool<Member>, options: &CallOptions) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..60 {
        names.insert(pool.get_with(options.clone()).await.unwrap().node().into());
        pass(ms(1)).await;
    }
    names
}

#[tokio::test(start_paused = true)]
async fn a_standby_serves_only_when_no_active_member_does_and_only_if_it_forwards() {
    let members = [200, 429, 473, 503].map(|status| Arc::new(AtomicU16::new(status)));
    let mut builder = Pool::<Member>::builder().probe(|status| Box::pin(report(status)));
    for (member, name) in members.iter().zip(["a", "b", "c", "d"]) {
        builder = builder.node(name, Member(member.clone()));
    }
    let pool = builder.build().unwrap();
    let (write, read) = (CallOptions::new(), CallOptions::new().read_only());
    let names = |names: &str| names.chars().map(String::from).collect::<BTreeSet<_>>();
    let answer = async |status: [u16; 4]| {
        for (member, status) in members.iter().zip(status) {
            member.store(status, Relaxed);
        }
        pass(Duration::from_secs(30)).await;
    };

    pool.warm().await.unwrap();
    answer([200, 429, 473, 503]).await;
    assert_eq!(served(&pool, &write).await, names("a"));
    assert_eq!(served(&pool, &read).await, names("ac"));
    // The active member is sealed: those that hand on are asked to.
    answer([503, 429, 473, 503]).await;
    assert_eq!(served(&pool, &write).await, names("bc"));
    assert_eq!(served(&pool, &read).await, names("c"));
    // Another one becomes active, and a standby is cut off from it.
    answer([474, 474, 473, 200]).await;
    assert_eq!(served(&pool, &write).await, names("d"));
    assert_eq!(served(&pool, &read).await, names("cd"));
    // Who hands on nothing is no help.
    answer([474, 474, 472, 501]).await;
    let error = pool.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoNode, "{error}");
}
