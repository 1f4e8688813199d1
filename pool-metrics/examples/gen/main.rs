//! Writes `ops/` from the table of metrics: dashboard, alert rules with their tests, reference.
//!
//! `--check` writes nothing and fails if a file differs from what would be written. `--page`
//! prints a page that has a sample of every metric, for `promtool check metrics`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program that talks to its user")]

mod alerts;
mod dashboard;
mod reference;
mod rules;
mod sample;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pool_metrics::table::metrics;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--page") {
        print!("{}", sample::page());
        return Ok(ExitCode::SUCCESS);
    }
    let is_check = match argument.as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => return Err(format!("unknown argument `{other}`").into()),
    };

    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the crate has no parent")?;
    let mut stale = Vec::new();
    for (path, text) in files() {
        check_names(&path, &text)?;
        let path = root.join(path);
        if fs::read_to_string(&path).is_ok_and(|current| current == text) {
            continue;
        }
        if is_check {
            stale.push(path);
            continue;
        }
        fs::create_dir_all(path.parent().ok_or("the file has no folder")?)?;
        fs::write(&path, text)?;
    }
    check_runbook(&fs::read_to_string(root.join(RUNBOOK))?)?;
    for path in &stale {
        println!("{} is out of date: run `cargo xtask gen`", path.display());
    }
    Ok(if stale.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn files() -> Vec<(PathBuf, String)> {
    vec![
        ("ops/METRICS.md".into(), reference::text()),
        ("ops/grafana/pool.json".into(), dashboard::text()),
        ("ops/prometheus/pool.rules.yml".into(), rules::text()),
        (
            "ops/prometheus/pool.rules.test.yml".into(),
            rules::tests_text(),
        ),
    ]
}

/// Every metric that a generated file names must be in the table.
fn check_names(path: &Path, text: &str) -> Result<(), String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    for word in text.split(|character| !is_part(character)) {
        let is_metric = ["pool_", "breaker_", "health_", "retry_"]
            .iter()
            .any(|p| word.starts_with(p));
        if !is_metric || word.contains(':') || LABEL_VALUES.contains(&word) {
            continue;
        }
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| word.strip_suffix(suffix));
        if !metrics().any(|metric| metric.name == word || Some(metric.name) == base) {
            return Err(format!(
                "{} names `{word}`, which is no metric",
                path.display()
            ));
        }
    }
    Ok(())
}

fn check_runbook(runbook: &str) -> Result<(), String> {
    for alert in alerts::ALERTS {
        if !runbook.contains(&format!("\n## {}\n", alert.name)) {
            return Err(format!("{RUNBOOK} has no section for {}", alert.name));
        }
    }
    Ok(())
}

const RUNBOOK: &str = "docs/operations/runbook.md";
const LABEL_VALUES: [&str; 2] = ["breaker_open", "pool_closed"];
