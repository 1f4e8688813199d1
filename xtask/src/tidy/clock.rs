//! Time comes in as an argument.

use super::source::{Source, is_code};

/// No clock is read in a library but in `clock.rs` and `runtime/`.
pub(super) fn reads(source: &Source<'_>) -> Vec<String> {
    let place = source.path.ends_with("clock.rs") || source.path.iter().any(|it| it == "runtime");
    if !source.is_rust() || place || source.is_test() || source.is_tool() {
        return vec![];
    }
    let read = |line: &str| is_code(line) && READS.iter().any(|read| line.contains(read));
    source
        .before_tests()
        .filter(|(_, line)| read(line))
        .map(|(number, _)| {
            source.at(
                number,
                "reads a clock",
                "take `now` as an argument, or move it to clock.rs",
            )
        })
        .collect()
}

const READS: [&str; 3] = ["Instant::now", "SystemTime::now", ".elapsed()"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_clock_is_read_in_its_own_place_alone() {
        let text = "let a = Instant::now();\n// Instant::now\nlet b = a.elapsed();\n";
        let find = |path| reads(&Source::new(Path::new(path), text)).len();
        assert_eq!(find("breaker/src/window.rs"), 2);
        assert_eq!(find("breaker/src/clock.rs"), 0);
        assert_eq!(find("pool-core/src/runtime/tokio.rs"), 0);
        assert_eq!(find("pool-core/benches/get.rs"), 0);
        assert_eq!(find("testkit/src/proxy.rs"), 0);
    }

    #[test]
    fn unit_tests_may_read_one() {
        let text = "use a;\n#[cfg(all(test, not(loom)))]\nmod tests {\n    Instant::now();\n}\n";
        assert!(reads(&Source::new(Path::new("a/src/b.rs"), text)).is_empty());
    }
}
