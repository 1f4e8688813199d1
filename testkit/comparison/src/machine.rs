//! Where and with what it was measured.

use std::fs;
use std::process::Command;

/// The machine and the versions.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) commit: String,
    pub(crate) date: String,
    /// Name and version of every contender.
    pub(crate) versions: Vec<(String, String)>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory
            .split(' ')
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or_default();
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: say("rustc", &["--version"]),
            commit: say("git", &["describe", "--always", "--dirty"]),
            date: say("date", &["--utc", "+%F %R UTC"]),
            versions: versions(include_str!("../../../Cargo.lock")),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            cpu,
            cores,
            memory_gib,
            kernel,
            rustc,
            commit,
            date,
            ..
        } = self;
        format!(
            "{date}, commit {commit}\n{cpu}, {cores} cores, {memory_gib} GiB, Linux {kernel}\n{rustc}"
        )
    }
}

fn say(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    output.unwrap_or_default()
}

/// The contenders' versions as locked.
fn versions(lock: &str) -> Vec<(String, String)> {
    let value = |line: Option<&str>, key: &str| {
        let rest = line?.strip_prefix(key)?.strip_prefix(" = \"")?;
        Some(rest.strip_suffix('"')?.to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    let named = packages.filter_map(|package| {
        let mut lines = package.trim().lines();
        let name = value(lines.next(), "name")?;
        let version = value(lines.next(), "version")?;
        let foreign = package.contains("\nsource = ");
        (foreign && CONTENDERS.contains(&name.as_str())).then_some((name, version))
    });
    named.collect()
}

const CONTENDERS: [&str; 20] = [
    "backon",
    "bb8",
    "breaker",
    "circuitbreaker-rs",
    "crossbeam-queue",
    "deadpool",
    "deadpool-postgres",
    "bb8-postgres",
    "exponential-backoff",
    "failsafe",
    "fast_pool",
    "mobc",
    "r2d2",
    "recloser",
    "sqlx-core",
    "tokio",
    "tokio-postgres",
    "tokio-retry",
    "tokio-retry2",
    "tower-resilience-circuitbreaker",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_others_crates() {
        let lock = "[[package]]\nname = \"breaker\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \
                    \"breaker\"\nversion = \"2.0.2\"\nsource = \"registry\"\n";
        let expected = [("breaker".to_owned(), "2.0.2".to_owned())];
        assert_eq!(versions(lock), expected);
    }
}
