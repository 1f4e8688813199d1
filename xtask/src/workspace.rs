//! The packages of this workspace, as cargo sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::shell::Shell;

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) dir: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: Vec<String>,
    /// The files in `tests/`, without their ending.
    pub(crate) tests: Vec<String>,
    pub(crate) examples: Vec<Example>,
    pub(crate) has_library: bool,
    pub(crate) has_benches: bool,
}

/// An example, and the features that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
}

/// What a member depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) for_tests: bool,
}

impl Workspace {
    pub(crate) fn load(shell: &Shell) -> Result<Self> {
        let mut cargo = Command::new("cargo");
        cargo.args(["metadata", "--no-deps", "--format-version=1"]);
        let metadata: Value = serde_json::from_str(&shell.read(&mut cargo)?)?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let packages = list(&metadata, "packages");
        let packages = packages
            .map(|package| Package::read(package, &root))
            .collect::<Result<_>>()?;
        let target = PathBuf::from(text(&metadata, "target_directory")?);
        Ok(Self {
            root,
            target,
            packages,
        })
    }
}

impl Package {
    /// One that others build on: no tool of this repository.
    pub(crate) fn is_library(&self) -> bool {
        !self.dir.starts_with("testkit") && self.has_library
    }

    /// Those that users may turn on.
    pub(crate) fn public_features(&self) -> Vec<&str> {
        let features = self.features.iter().map(String::as_str);
        features.filter(|it| !SPECIAL.contains(it)).collect()
    }

    fn read(package: &Value, root: &Path) -> Result<Self> {
        let manifest = Path::new(text(package, "manifest_path")?);
        let dir = manifest
            .parent()
            .context("a manifest lies in a folder")?
            .strip_prefix(root)?;
        let targets = |kind: &'static str| {
            list(package, "targets").filter(move |target| list(target, "kind").any(|it| it == kind))
        };
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            dir: dir.to_owned(),
            dependencies: list(package, "dependencies")
                .map(|it| {
                    let for_tests = it["kind"] == "dev";
                    Ok(Dependency {
                        name: text(it, "name")?.to_owned(),
                        for_tests,
                    })
                })
                .collect::<Result<_>>()?,
            features: package["features"]
                .as_object()
                .into_iter()
                .flat_map(|it| it.keys().cloned())
                .collect(),
            tests: targets("test")
                .map(|it| Ok(text(it, "name")?.to_owned()))
                .collect::<Result<_>>()?,
            examples: targets("example")
                .map(Example::read)
                .collect::<Result<_>>()?,
            has_library: targets("lib").next().is_some(),
            has_benches: targets("bench").next().is_some(),
        })
    }
}

impl Example {
    fn read(target: &Value) -> Result<Self> {
        let features = list(target, "required-features").filter_map(Value::as_str);
        Ok(Self {
            name: text(target, "name")?.to_owned(),
            features: features.map(str::to_owned).collect(),
        })
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("cargo metadata has no `{key}`"))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// On anyway, or for the model checkers alone.
const SPECIAL: [&str; 3] = ["default", "loom", "shuttle"];
