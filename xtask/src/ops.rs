//! What an operator is given: generated from the table of metrics, tested with promtool.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell::Shell;
use crate::workspace::Workspace;

/// Writes `ops/`, or with `check` only compares it.
pub(crate) fn generate(shell: &Shell, check: bool) -> Result<()> {
    let mut generator = generator();
    if check {
        generator.args(["--", "--check"]);
    }
    shell.run(&mut generator)
}

/// Runs promtool on a page that has every metric, on the alert rules, and on their tests.
pub(crate) fn test(shell: &Shell) -> Result<()> {
    shell
        .read(Command::new("promtool").arg("--version"))
        .context("promtool is in the Debian package `prometheus`: apt-get install prometheus")?;
    let page = shell.read(generator().args(["--", "--page"]))?;
    shell.say("$ promtool check metrics < page");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdin = promtool.stdin.take().context("stdin is piped")?;
    stdin.write_all(page.as_bytes())?;
    drop(stdin);
    if !promtool.wait()?.success() {
        bail!("promtool refuses the page that `{GENERATOR} -- --page` prints");
    }
    let root = Workspace::load(shell)?.root;
    for job in [["check", "rules", RULES], ["test", "rules", TESTS]] {
        shell.run(Command::new("promtool").args(job).current_dir(&root))?;
    }
    Ok(())
}

fn generator() -> Command {
    let mut words = GENERATOR.split(' ');
    let mut command = Command::new(words.next().expect("the line is not empty"));
    command.args(words);
    command
}

const GENERATOR: &str = "cargo run --quiet --package pool-metrics --example gen";
const RULES: &str = "ops/prometheus/pool.rules.yml";
const TESTS: &str = "ops/prometheus/pool.rules.test.yml";
