//! Configurations that cannot be meant.

use std::time::Duration;

use anyhow::Result;
use pool_core::Check;
use pool_postgres::{Config, PgManager, Pool};

use crate::finding::Finding;
use crate::server::Server;

/// A pool and a manager of which nothing is right.
pub(crate) async fn refused(server: Server) -> Result<Vec<Finding>> {
    let manager = || PgManager::from_url(&server.url());
    let zero = Duration::ZERO;
    let built = Pool::builder(manager()?)
        .max_size(0)
        .min_idle(3)
        .acquire_timeout(zero)
        .wait_timeout(zero)
        .connect_timeout(zero)
        .validate_timeout(zero)
        .reset_timeout(zero)
        .close_timeout(zero)
        .check(Check::IdleFor(zero))
        .keepalive(zero)
        .idle_timeout(zero)
        .max_lifetime(zero)
        .lifetime_jitter(f64::NAN)
        .max_uses(0)
        .max_connecting(0)
        .connect_rate(0)
        .max_waiters(usize::MAX)
        .handoff_grace(zero)
        .sweep_after(0)
        .leak_report(zero)
        .build();
    let errors = built
        .err()
        .map(|errors| errors.violations().to_vec())
        .unwrap_or_default();
    let whole = errors
        .iter()
        .filter(|it| !it.field.is_empty() && !it.value.is_empty() && it.rule.contains("must"));
    let sane = Pool::builder(manager()?).build()?;
    let refused = sane
        .reconfigure(|config| config.connect_timeout = zero)
        .is_err();
    let kept = sane.config().connect_timeout != zero;
    let url = "postgres://app@:0/x?tcp_user_timeout=nonsense&sslmode=maybe&no_such_name=1";
    let named = match Config::from_url(url) {
        Ok(_) => 0,
        Err(errors) => errors.violations().len(),
    };
    Ok(vec![
        Finding::new(
            "config",
            "20 settings, all nonsense, are named at once with value and rule",
            format!("{} named", errors.len()),
            whole.count() == 20 && errors.len() == 20,
        ),
        Finding::new(
            "config",
            "a running pool refuses a zero limit and stays as it was",
            format!("refused {refused}, kept {kept}"),
            refused && kept,
        ),
        Finding::new(
            "config",
            "a URL of nonsense: every mistake at once",
            format!("{named} named"),
            named >= 3,
        ),
    ])
}
