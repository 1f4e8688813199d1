//! Runs experiments: those on different servers side by side, those on one in turn.

use std::collections::BTreeSet;
use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testkit::postgres::Version;
use tokio::sync::RwLock;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::finding::Finding;
use crate::plan::{EXPERIMENTS, Experiment, Place};
use crate::report::say;
use crate::server::Server;
use crate::time::Instant;

/// Runs the experiments that are `wanted`, on each version, and collects what they find.
pub(crate) async fn all(wanted: impl Fn(&Experiment) -> bool) -> Vec<Finding> {
    let silence = Arc::new(RwLock::new(()));
    let mut groups = JoinSet::new();
    for version in Version::ALL {
        for place in Place::ALL {
            let here = EXPERIMENTS
                .iter()
                .filter(|it| it.place == place && wanted(it));
            let here: Vec<_> = here.copied().collect();
            if !here.is_empty() {
                groups.spawn(group(version, place, here, silence.clone()));
            }
        }
    }
    let mut findings = groups.join_all().await.concat();
    // In the order of the plan, whoever was first.
    let order: Vec<_> = EXPERIMENTS.iter().flat_map(|it| it.rows).collect();
    findings.sort_by_key(|it| {
        (
            order.iter().position(|row| **row == it.row),
            it.server.clone(),
        )
    });
    findings
}

async fn group(
    version: Version,
    place: Place,
    experiments: Vec<Experiment>,
    silence: Arc<RwLock<()>>,
) -> Vec<Finding> {
    let apart = matches!(place, Place::Apart | Place::Walled);
    let server = if apart {
        None
    } else {
        Some(start(version, place).await)
    };
    let mut findings = Vec::new();
    for experiment in experiments {
        let begun;
        let found = {
            let (_read, _write);
            if experiment.alone {
                _write = silence.write().await;
            } else {
                _read = silence.read().await;
            }
            begun = Instant::now();
            match &server {
                Some(Ok(server)) => named(&experiment, server).await,
                Some(Err(error)) => Err(anyhow::anyhow!("no server: {error:#}")),
                None => elsewhere(&experiment, version).await,
            }
        };
        let found = found.unwrap_or_else(|error| broken(&experiment, version, &error));
        let missed = found
            .iter()
            .filter(|it| it.verdict == crate::finding::Verdict::Missed);
        say(&format!(
            "{version:?} {}: {} measured, {} missed, {:.1} s",
            experiment.name,
            found.len(),
            missed.count(),
            begun.elapsed().as_secs_f64(),
        ));
        findings.extend(found);
    }
    findings
}

/// Starts the server that experiments of this place need.
async fn start(version: Version, place: Place) -> Result<Server> {
    use testkit::postgres::Auth;
    let server = Server::start(version, |builder| match place {
        Place::Shared => builder
            .auth(Auth::Scram("correct-horse".into()))
            .max_connections(100),
        Place::Small => builder.max_connections(33),
        Place::Rough | Place::Replicated | Place::Apart | Place::Walled => builder,
    });
    server.await
}

async fn named(experiment: &Experiment, server: &Server) -> Result<Vec<Finding>> {
    // In a task of its own, so that a panic ends this experiment alone.
    let mut task = tokio::spawn((experiment.run)(server.clone()));
    let Ok(ended) = timeout(LIMIT, &mut task).await else {
        task.abort();
        bail!("not done within {LIMIT:?}");
    };
    let mut found = ended.context("it panicked")??;
    for finding in &mut found {
        finding.server.clone_from(&server.name);
    }
    let rows: BTreeSet<_> = found.iter().map(|it| it.row.as_str()).collect();
    let promised: BTreeSet<_> = experiment.rows.iter().copied().collect();
    anyhow::ensure!(
        rows == promised,
        "says something about {rows:?}, not {promised:?}"
    );
    Ok(found)
}

/// An experiment that did not come to its end proves nothing.
fn broken(experiment: &Experiment, version: Version, error: &anyhow::Error) -> Vec<Finding> {
    let rows = experiment.rows.iter();
    rows.map(|row| {
        let promise = format!("experiment `{}` can be carried out", experiment.name);
        let mut finding = Finding::new(row, promise, format!("{error:#}"), false);
        finding.server = format!("PostgreSQL ({version:?})");
        finding
    })
    .collect()
}

/// Runs one in a process of its own, walled in if it asks for that.
async fn elsewhere(experiment: &Experiment, version: Version) -> Result<Vec<Finding>> {
    let walled = experiment.place == Place::Walled;
    if walled && !spawn_blocking(can_wall).await? {
        let unknown = |row: &&str| {
            let mut finding = Finding::unknown(row, &walled_promise(experiment), NO_WALL);
            finding.server = format!("PostgreSQL ({version:?})");
            finding
        };
        return Ok(experiment.rows.iter().map(unknown).collect());
    }
    let program = env::current_exe()?;
    let name = experiment.name;
    let child = spawn_blocking(move || {
        let mut command = if walled {
            let mut command = Command::new("unshare");
            command
                .args(["--net", "--mount", "sh", "-c", WALL, "wall"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(["inside", name, &format!("{version:?}")])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
    });
    let output = child.await??;
    anyhow::ensure!(
        output.status.success(),
        "its process ended with {}",
        output.status
    );
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let found = found.as_array().context("it prints a list")?;
    found
        .iter()
        .map(|it| Finding::from_json(it).context("it prints findings"))
        .collect()
}

/// The other side of [`elsewhere`].
pub(crate) async fn inside(name: &str, version: &str) -> Result<()> {
    let experiment = EXPERIMENTS
        .iter()
        .find(|it| it.name == name)
        .context("an experiment")?;
    let mut versions = Version::ALL.into_iter();
    let version = versions
        .find(|it| format!("{it:?}") == version)
        .context("a version")?;
    let server = start(version, experiment.place).await?;
    let found = named(experiment, &server).await?;
    let found: Vec<_> = found.iter().map(Finding::to_json).collect();
    Ok(writeln!(std::io::stdout(), "{}", Value::from(found))?)
}

fn can_wall() -> bool {
    let probe = "ip link set lo up && nft list ruleset && mount --bind /dev/null /etc/resolv.conf";
    Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", probe])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn walled_promise(experiment: &Experiment) -> String {
    format!("experiment `{}`", experiment.name)
}

/// A resolver on loopback, which the firewall can silence; `$1` is this program.
const WALL: &str = "
    file=$(mktemp) &&
    echo 'nameserver 127.0.0.1\noptions timeout:1 attempts:1' > \"$file\" &&
    mount --bind \"$file\" /etc/resolv.conf && rm \"$file\" &&
    ip link set lo up && exec \"$@\"";
const NO_WALL: &str = "needs root, unshare, ip and nft";
const LIMIT: Duration = Duration::from_secs(150);
