//! Makes a failing story as short as it can be.

use std::fmt::Write as _;

use super::history::Story;
use super::play::play;

/// Leaves out steps and nodes as long as what is left still fails, in halves, quarters, .. ones.
pub(crate) fn shrink(mut story: Story, mut wrong: String) -> (Story, String) {
    let mut size = story.steps.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut shorter = false;
        while start < story.steps.len() {
            let mut candidate = story.clone();
            let end = (start + size).min(candidate.steps.len());
            candidate.steps.drain(start..end);
            match play(&candidate) {
                Err(why) => {
                    (story, wrong, shorter) = (candidate, why, true);
                }
                Ok(_) => start += size,
            }
        }
        // Once single steps are tried, they are until none can be left out.
        if size > 1 || !shorter {
            size /= 2;
        }
    }
    (story, wrong)
}

/// The story, and how to hear it again.
pub(crate) fn tell(story: &Story, wrong: &str) -> String {
    let Story {
        seed,
        config,
        nodes,
        reset_at,
        abandoned,
        steps,
        roles,
        cut_short,
    } = story;
    let mut text = format!("seed {seed}: {wrong}\n\n");
    let _ = writeln!(
        text,
        "again: SIM_SEED={seed} cargo test -p pool-facade --test sim"
    );
    let _ = writeln!(
        text,
        "reset at {reset_at:?}, abandoned: {abandoned:?}, asked for roles: {roles}; of the \
         configuration:"
    );
    let default = pool_facade::Config::default().to_string();
    let config = config.to_string();
    for line in config
        .lines()
        .filter(|line| !default.lines().any(|it| it == *line))
    {
        let _ = writeln!(text, "    {line}");
    }
    for (index, node) in nodes.iter().enumerate() {
        let _ = writeln!(text, "    node-{index}: {node:?}");
    }
    for (index, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "{index:>4}  {step:?}");
    }
    let end = if *cut_short {
        "the pool is closed"
    } else {
        "all is well again"
    };
    let _ = writeln!(text, "      {end}");
    text
}
