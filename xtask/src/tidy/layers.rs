//! Who may know whom: see the map in docs/ARCHITECTURE.md.

use crate::workspace::Package;

/// Checks each package's dependencies on other members of the workspace.
pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages {
        let layer = Layer::of(package);
        for dependency in package
            .dependencies
            .iter()
            .filter(|it| it.name != package.name)
        {
            let Some(other) = packages.iter().find(|it| it.name == dependency.name) else {
                continue;
            };
            if layer.may_know(other, dependency.for_tests) {
                continue;
            }
            findings.push(format!(
                "{}: {} depends on {}, {}\n    fix: let a value or a trait of std's carry what is needed, \
                 or join the two in a higher layer",
                package.dir.join("Cargo.toml").display(),
                package.name,
                other.name,
                layer.rule(),
            ));
        }
    }
    findings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Leaf,
    Adapter,
    Facade,
    /// Serves the tests and must not drag in what is tested.
    Testkit,
    Xtask,
    /// Demo, benchmarks: on top of everything.
    Tool,
}

impl Layer {
    fn of(package: &Package) -> Self {
        match package.name.as_str() {
            "backoff" | "breaker" | "health" | "pool-core" | "pool-metrics" => Self::Leaf,
            "pool-facade" => Self::Facade,
            "testkit" => Self::Testkit,
            "xtask" => Self::Xtask,
            _ if package.dir.starts_with("adapters") => Self::Adapter,
            _ => Self::Tool,
        }
    }

    fn may_know(self, other: &Package, for_tests: bool) -> bool {
        match (self, Self::of(other)) {
            (Self::Tool, _) => true,
            (Self::Adapter | Self::Facade, Self::Testkit) => for_tests,
            (Self::Adapter, _) => other.name == "pool-core",
            (Self::Facade, Self::Leaf) => true,
            (Self::Facade, Self::Adapter) => for_tests,
            _ => false,
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Leaf => "but a leaf knows no other member",
            Self::Adapter => "but an adapter knows pool-core alone, and testkit in its tests",
            Self::Facade => "but the facade knows the leaves alone, and adapters in its tests",
            Self::Testkit => "but testkit knows no other member",
            Self::Xtask => "but xtask must build alone and fast",
            Self::Tool => "which is allowed",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependencies: &[(&str, bool)]) -> Package {
        let folder = if name.ends_with("-postgres") {
            "adapters"
        } else {
            ""
        };
        let dependencies = dependencies
            .iter()
            .map(|&(name, for_tests)| Dependency {
                name: name.into(),
                for_tests,
            })
            .collect();
        Package {
            name: name.into(),
            dir: Path::new(folder).join(name),
            dependencies,
            features: vec![],
            tests: vec![],
            examples: vec![],
            has_library: true,
            has_benches: false,
        }
    }

    fn findings(name: &str, other: &str, for_tests: bool) -> usize {
        check(&[
            package(name, &[(other, for_tests), ("serde", false)]),
            package(other, &[]),
        ])
        .len()
    }

    #[test]
    fn a_leaf_knows_no_other_member() {
        assert_eq!(findings("breaker", "backoff", false), 1);
        assert_eq!(findings("breaker", "backoff", true), 1);
        assert_eq!(check(&[package("breaker", &[("breaker", true)])]).len(), 0);
    }

    #[test]
    fn an_adapter_knows_pool_core_alone() {
        assert_eq!(findings("pool-postgres", "pool-core", false), 0);
        assert_eq!(findings("pool-postgres", "testkit", true), 0);
        assert_eq!(findings("pool-postgres", "testkit", false), 1);
        assert_eq!(findings("pool-postgres", "breaker", true), 1);
    }

    #[test]
    fn the_facade_knows_leaves_and_no_driver() {
        assert_eq!(findings("pool-facade", "breaker", false), 0);
        assert_eq!(findings("pool-facade", "pool-postgres", false), 1);
    }

    #[test]
    fn nothing_is_under_the_tools() {
        assert_eq!(findings("demo", "pool-postgres", false), 0);
        assert_eq!(findings("pool-core", "demo", true), 1);
        assert_eq!(findings("testkit", "pool-core", false), 1);
        assert_eq!(findings("xtask", "testkit", false), 1);
    }
}
