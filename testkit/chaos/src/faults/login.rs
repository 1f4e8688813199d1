//! Logins that cannot succeed.

use std::error::Error as _;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use pool_core::{Builder, ErrorClass};
use pool_postgres::{PgManager, Pool, SslMode};

use crate::finding::Finding;
use crate::rig::{Diary, Rig};
use crate::server::Server;
use crate::time::{self, Instant, shown};

/// A wrong password, and a server without TLS for a pool that wants it.
pub(crate) async fn refused(server: Server) -> Result<Vec<Finding>> {
    let rig = Rig::new(&server, "login").await?;
    let mut findings = Vec::new();
    let config = rig.config()?.password(CANARY);
    findings.extend(all_at_once("password", Pool::builder(PgManager::new(config)?)).await?);
    let config = rig.config()?.ssl_mode(SslMode::VerifyFull);
    findings.extend(all_at_once("TLS", Pool::builder(PgManager::new(config)?)).await?);

    let log = server.ask(testkit::postgres::Cluster::log).await?;
    let failures = log.matches("password authentication failed").count();
    findings.push(Finding::new(
        "password",
        "secret in no log of the server, which has seen the attempts",
        format!("{failures} refused, {} leaks", log.matches(CANARY).count()),
        failures > 0 && !log.contains(CANARY),
    ));
    Ok(findings)
}

async fn all_at_once(what: &str, builder: Builder<PgManager>) -> Result<Vec<Finding>> {
    let diary = Diary::default();
    let pool = builder.max_size(4).observer(diary.clone()).build()?;
    let begun = Instant::now();
    let errors = join_all((0..WAITERS).map(|_| pool.get())).await;
    let waited = begun.elapsed();
    let errors: Vec<_> = errors.into_iter().filter_map(Result::err).collect();
    let permanent = |class| class == Some(ErrorClass::Permanent);
    let told = errors
        .iter()
        .filter(|it| permanent(it.connect_error_class()))
        .count();
    let mut shown_to_callers = format!("{pool:?} {:?}", diary.events());
    for error in &errors {
        shown_to_callers += &format!("{error} {error:?}");
        let mut cause = error.source();
        while let Some(error) = cause {
            shown_to_callers += &format!("{error} {error:?}");
            cause = error.source();
        }
    }

    // Callers who do not take no for an answer.
    let before = pool.statistics().connects;
    let end = Instant::now() + INSISTENCE;
    let insist = |_| async {
        while Instant::now() < end {
            let _ = pool.get().await;
            time::pause(Duration::from_millis(1)).await;
        }
    };
    join_all((0..WAITERS).map(insist)).await;
    let attempts = pool.statistics().connects - before;
    pool.close(Duration::from_secs(1)).await;
    Ok(vec![
        Finding::new(
            "password",
            format!("{what}: {WAITERS} waiters are told at once"),
            format!("{told} after {}", shown(waited)),
            told == WAITERS && waited < Duration::from_secs(3),
        ),
        Finding::at_most(
            "password",
            &format!("attempts for {WAITERS} callers who insist for 2 s ({what})"),
            attempts,
            20,
        ),
        Finding::at_most(
            "password",
            &format!("secrets in errors, events and debug output ({what})"),
            shown_to_callers.matches(CANARY).count() as u64,
            0,
        ),
    ])
}

/// A password that is wrong and easily found.
const CANARY: &str = "canary-3f9a17";
const WAITERS: usize = 20;
const INSISTENCE: Duration = Duration::from_secs(2);
