//! The drawing is made from the table that the machine runs, and it is this one.
#![cfg(not(loom))]

#[test]
fn the_drawing_is_pinned() {
    let expected = r#"digraph breaker {
    rankdir=LR;
    closed -> degraded [label="overload\nmany failures\nmany slow calls\nhealth low"];
    closed -> open [label="failure rate\nconsecutive failures\nslow-call rate\nhealth gone"];
    degraded -> closed [label="calm\ndegraded off"];
    degraded -> open [label="failure rate\nconsecutive failures\nslow-call rate\nlimit futile\nhealth gone"];
    open -> half_open [label="open time over\nhealth back"];
    half_open -> degraded [label="probes passed"];
    half_open -> open [label="health gone\nprobes failed\nprobes late"];
    degraded -> closed [label="reset", style=dashed];
    open -> closed [label="reset", style=dashed];
    half_open -> closed [label="reset", style=dashed];
}
"#;
    assert_eq!(breaker::State::dot(), expected);
}
