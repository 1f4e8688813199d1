//! The model checkers. A test takes part when `loom` or `shuttle` is in its path within the
//! library, or in the name of its file in `tests/`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::Shell;
use crate::workspace::{Package, Workspace};

/// Who explores the schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checker {
    /// All of a small test's.
    Loom,
    /// Many random ones of a larger test's.
    Shuttle,
}

impl Checker {
    /// Runs the tests of `package`, or of every package that has such tests.
    ///
    /// # Errors
    ///
    /// When a test fails, and when a package that should have tests has none: a filter that
    /// matches nothing must not pass for a proof.
    pub(crate) fn run(self, shell: &Shell, package: Option<&str>) -> Result<()> {
        let workspace = Workspace::load(shell)?;
        let chosen: Vec<_> = match package {
            None => workspace
                .packages
                .iter()
                .filter(|it| self.takes(it))
                .collect(),
            Some(name) => match workspace.packages.iter().find(|it| it.name == name) {
                None => bail!("no package is called `{name}`"),
                Some(found) if !self.takes(found) => bail!(
                    "`{name}` has no tests for {0}: it needs {1}",
                    self.name(),
                    match self {
                        Self::Loom => "the dependency `loom`",
                        Self::Shuttle => "the feature `shuttle`",
                    }
                ),
                Some(found) => vec![found],
            },
        };
        chosen
            .into_iter()
            .try_for_each(|package| self.explore(shell, &workspace, package))
    }

    fn explore(self, shell: &Shell, workspace: &Workspace, package: &Package) -> Result<()> {
        let mut count = 0;
        for target in self.targets(package) {
            let cargo = || self.cargo(workspace, package, &target);
            let listing = shell.read(cargo().args(["--", "--list"]))?;
            let tests = listing
                .lines()
                .filter(|line| line.ends_with(": test"))
                .count();
            if tests > 0 {
                shell.run(&mut cargo())?;
            }
            count += tests;
        }
        if count == 0 {
            bail!(
                "`{}` is set up for {1} and has no test with `{1}` in its path",
                package.name,
                self.name()
            );
        }
        Ok(())
    }

    fn takes(self, package: &Package) -> bool {
        match self {
            Self::Loom => package.dependencies.iter().any(|it| it.name == "loom"),
            Self::Shuttle => package.features.iter().any(|it| it == "shuttle"),
        }
    }

    fn targets(self, package: &Package) -> Vec<Vec<String>> {
        let library = vec!["--lib".into(), self.name().into()];
        let files = package
            .tests
            .iter()
            .filter(|name| name.contains(self.name()));
        [library]
            .into_iter()
            .chain(files.map(|name| vec!["--test".into(), name.clone()]))
            .collect()
    }

    /// A target folder of its own, or the flags would rebuild the world twice a day.
    fn cargo(self, workspace: &Workspace, package: &Package, target: &[String]) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--release", "--package", &package.name]);
        if self == Self::Loom {
            cargo
                .env("RUSTFLAGS", "--cfg loom")
                .env("LOOM_MAX_PREEMPTIONS", "2");
        } else {
            cargo.args(["--features", "shuttle"]);
        }
        cargo
            .args(target)
            .env("CARGO_TARGET_DIR", workspace.target.join(self.name()));
        cargo
    }

    fn name(self) -> &'static str {
        match self {
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
        }
    }
}
