//! Load and random faults for minutes, with an eye on everything that could leak.

mod script;
mod vitals;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pool_core::CloseReport;
use pool_postgres::Pool;
use testkit::postgres::Version;
use tokio::runtime::Handle;

use crate::crowd::{Crowd, Manners, Tally};
use crate::finding::{Finding, Verdict};
use crate::report::{say, show};
use crate::rig::{Rig, fill};
use crate::server::Server;
use crate::time::{self, Instant};
use script::{Script, Stage};
use vitals::{Audit, Vitals, descriptors};

/// Runs for so many minutes; says whether everything held.
pub(crate) async fn run(minutes: u64, seed: u64) -> Result<bool> {
    let plan = Plan::of(Duration::from_secs(60 * minutes.max(2)));
    say(&format!(
        "soak of {} s, repeat its faults with: --seed {seed}",
        plan.total().as_secs()
    ));
    let server = Server::start(Version::System, |builder| builder.max_connections(100)).await?;
    let found = soak(&server, plan, seed).await?;
    show(&found)?;
    Ok(found.iter().all(|it| it.verdict == Verdict::Met))
}

/// How long each part takes.
#[derive(Debug, Clone, Copy)]
struct Plan {
    warm_up: Duration,
    baseline: Duration,
    faults: Duration,
    calm: Duration,
}

impl Plan {
    /// The last minute is free of faults, and so is the measure that it is held against.
    fn of(total: Duration) -> Self {
        let (warm_up, baseline) = (Duration::from_secs(10), Duration::from_secs(15));
        let calm = Duration::from_secs(60);
        Self {
            warm_up,
            baseline,
            faults: total - warm_up - baseline - calm,
            calm,
        }
    }

    fn total(&self) -> Duration {
        self.warm_up + self.baseline + self.faults + self.calm
    }
}

async fn soak(server: &Server, plan: Plan, seed: u64) -> Result<Vec<Finding>> {
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let descriptors_before = descriptors()?;
    let rig = Rig::new(server, "soak").await?;
    let pool = rig
        .builder()?
        .max_size(SIZE)
        .min_idle(SIZE / 2)
        .acquire_timeout(Duration::from_secs(1))
        .connect_timeout(Duration::from_secs(1))
        .keepalive(Duration::from_secs(1))
        .build()?;
    fill(&pool).await?;
    let crowd = Crowd::start(&pool, MANNERS);
    let audit = Audit::start(&pool);
    time::pause(plan.warm_up).await;
    let vitals = Vitals::start();
    let baseline = goodput(&crowd, plan.baseline).await;

    let mut script = Script::new(seed, rig);
    let end = Instant::now() + plan.faults;
    let mut faults = 0;
    while Instant::now() < end {
        let stage = script.next(end).await?;
        say(&line(&stage, &crowd, &pool));
        faults += 1;
    }
    let rig = script.heal().await?;
    // The minute counts from the end of the last fault, the recovery included.
    let calm = goodput(&crowd, plan.calm).await;

    let slope = vitals
        .stop()
        .await
        .context("memory is looked at each second")?;
    let (each, all) = crowd.stop().await;
    let audit = audit.stop().await;
    let books = books(&pool, each.len()).await;
    let report = pool.close(Duration::from_secs(5)).await;
    drop(pool);
    let sessions = server.until_sessions(&rig.name, 0).await.is_ok();
    drop(rig);
    let left = settled(tasks_before, descriptors_before).await?;
    let mut found = vec![
        Finding::new("soak", "faults happened", faults.to_string(), faults > 0),
        Finding::new(
            "soak",
            "audit each second finds nothing that stays wrong",
            format!(
                "{} looks, {}",
                audit.looks,
                audit.wrong.as_deref().unwrap_or("all well")
            ),
            audit.looks > 0 && audit.wrong.is_none(),
        ),
    ];
    found.extend(judge(&all, baseline, calm, slope));
    found.extend(ended(books, &report, sessions, left));
    for finding in &mut found {
        finding.server.clone_from(&server.name);
    }
    Ok(found)
}

/// Answers in a second, over this time.
async fn goodput(crowd: &Crowd, span: Duration) -> f64 {
    let (before, begun) = (crowd.answered(), Instant::now());
    time::pause(span).await;
    (crowd.answered() - before) as f64 / begun.elapsed().as_secs_f64()
}

fn line(stage: &Stage, crowd: &Crowd, pool: &Pool) -> String {
    let state = pool.state();
    format!(
        "{:<34} {} answered, {} failed; size {}, waiting {}",
        stage.to_string(),
        crowd.answered(),
        crowd.failed(),
        state.size,
        state.waiting
    )
}

/// Everything can be lent at once when the load is over, and the accounts balance.
async fn books(pool: &Pool, callers: usize) -> Result<(usize, usize)> {
    ensure!(
        callers == MANNERS.tasks,
        "{callers} callers have come to their end"
    );
    fill(pool).await?;
    let gets = (0..SIZE).map(|_| pool.get());
    let lent = futures_util::future::join_all(gets)
        .await
        .into_iter()
        .flatten()
        .count();
    crate::rig::quiet(pool).await?;
    pool.audit_quiescent().map_err(anyhow::Error::msg)?;
    Ok((lent, pool.state().leased))
}

/// Tasks and descriptors that there are more of than at the start, once there is nothing to wait for.
async fn settled(tasks: usize, descriptors_before: usize) -> Result<(usize, usize)> {
    let more = || {
        let tasks = Handle::current()
            .metrics()
            .num_alive_tasks()
            .saturating_sub(tasks);
        let open = descriptors()
            .unwrap_or(usize::MAX)
            .saturating_sub(descriptors_before);
        (tasks, open)
    };
    time::until(Duration::from_secs(5), || more() == (0, 0)).await;
    Ok(more())
}

fn judge(all: &Tally, baseline: f64, calm: f64, slope: f64) -> Vec<Finding> {
    vec![
        Finding::at_most("soak", "wrong replies", all.wrong, 0),
        Finding::new(
            "soak",
            "goodput of the last minute is 95 % of the baseline",
            format!(
                "{calm:.0}/s of {baseline:.0}/s, {:.1} %",
                100.0 * calm / baseline
            ),
            calm >= 0.95 * baseline && baseline > 0.0,
        ),
        Finding::new(
            "soak",
            "memory grows by less than 1 MiB a minute",
            format!("{slope:+.2} MiB/min"),
            slope < 1.0,
        ),
    ]
}

fn ended(
    books: Result<(usize, usize)>,
    report: &CloseReport,
    no_sessions: bool,
    (tasks, open): (usize, usize),
) -> Vec<Finding> {
    let (measured, met) = match books {
        Ok((lent, leaked)) => (
            format!("{lent} of {SIZE} lendable"),
            lent == SIZE && leaked == 0,
        ),
        Err(error) => (format!("{error:#}"), false),
    };
    vec![
        Finding::new("soak", "no permit leaked, accounts balance", measured, met),
        Finding::new(
            "soak",
            "nothing is left after close, by the server's count too",
            format!(
                "{report}, sessions {}",
                if no_sessions { "0" } else { "left" }
            ),
            report.is_clean() && report.aborted == 0 && no_sessions,
        ),
        Finding::new("soak", "no task is left", tasks.to_string(), tasks == 0),
        Finding::new(
            "soak",
            "no file descriptor is left",
            open.to_string(),
            open == 0,
        ),
    ]
}

const SIZE: usize = 16;
const MANNERS: Manners = Manners {
    tasks: 64,
    think: Duration::from_millis(100),
    work: Duration::from_millis(2),
    patience: Some(Duration::from_millis(750)),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_is_calm_and_the_parts_make_up_the_whole() {
        for minutes in [2, 10] {
            let total = Duration::from_secs(60 * minutes);
            let plan = Plan::of(total);
            assert_eq!((plan.total(), plan.calm), (total, Duration::from_secs(60)));
            assert!(plan.faults >= Duration::from_secs(30));
        }
    }
}
