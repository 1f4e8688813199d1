//! The assembled pool under random configurations, faults and cancellations, in virtual time.
//!
//! Each seed is a story: a configuration, nodes, and a history of calls, faults and changes. While
//! it goes on, nothing unsafe may happen: no connection lent twice, broken or midway, no limit
//! passed, no book out of balance. Then all faults end, and everything must work again within the
//! promised times, until the pool is closed and nothing is left of it. A story that fails is shrunk
//! to the steps that matter and printed.
//!
//! `SIM_SEEDS=5000 SIM_FROM=0 cargo test -p pool-facade --test sim` plays more; `SIM_SEED=7` one.

mod history;
mod play;
mod rigs;
mod server;
mod shrink;

use history::Story;

/// Seeds of stories that failed once, each with what was wrong.
const CORPUS: &str = include_str!("corpus.txt");

#[test]
fn every_story_is_safe_and_ends_well() {
    play::watch_panics();
    let seeds: Vec<u64> = match setting("SIM_SEED") {
        Some(seed) => vec![seed],
        None => {
            let from = setting("SIM_FROM").unwrap_or(1);
            let known = CORPUS
                .lines()
                .filter_map(|line| line.split(' ').next()?.parse().ok());
            known
                .chain(from..from + setting("SIM_SEEDS").unwrap_or(100))
                .collect()
        }
    };
    for seed in seeds {
        let story = Story::new(seed);
        if let Err(wrong) = play::play(&story) {
            let (story, wrong) = shrink::shrink(story, wrong);
            panic!("{}", shrink::tell(&story, &wrong));
        }
    }
}

#[test]
fn a_story_is_played_the_same_way_each_time() {
    play::watch_panics();
    for seed in 1..=5 {
        let story = Story::new(seed);
        let told = [(); 2].map(|()| play::play(&story));
        assert_eq!(told[0], told[1], "seed {seed}");
    }
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}
