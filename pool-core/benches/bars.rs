//! The pool rows of the bars: ours beside bb8, deadpool and the floors.
//!
//! All in one process and in rotated rounds, each bar met or declared missed.
//!
//! `cargo bench -p pool-core --bench bars`. Ratios count, not times; a wide range says that the
//! machine was busy. `--test` runs each workload once, as a smoke test.

#![expect(clippy::print_stdout, reason = "a report is what this program is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the real clock"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "figures are shown with three digits"
)]

mod contenders;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use contenders::{Bb8, Contender, Deadpool, FloorA, FloorB, Ours, Setting};

/// One workload over one contender; gives the figure of one round.
type Measure<'a> = Box<dyn Fn() -> f64 + 'a>;

struct Row {
    name: &'static str,
    median: f64,
    least: f64,
    most: f64,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [flag, name, setting, count] = arguments.as_slice() {
        if flag == "--only" {
            return run_only(name, setting, count.parse().expect("a count"));
        }
    }
    let smoke = arguments.iter().any(|arg| arg == "--test");
    let rounds = if smoke { 1 } else { 7 };
    let scale = if smoke { 1 } else { 40 };
    println!("pool-core beside its peers: medians of {rounds} rotated rounds (least to most)\n");
    let mut missed = alone_bars(rounds, scale) + instructions() + allocations();
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    missed += crowd_bars(&threads, rounds.min(3), scale);
    missed += tail_bars(&threads, rounds.min(5), scale);
    println!("{missed} bars missed");
}

/// One task, nothing in its way.
fn alone_bars(rounds: usize, scale: u32) -> u32 {
    let mut missed = 0;
    for setting in [Setting::Tuned, Setting::Equal] {
        let rows = compare(
            &format!("get + drop, 1 task, {setting:?} (ns)"),
            rounds,
            vec![
                (Ours::NAME, alone::<Ours>(setting, scale)),
                (Bb8::NAME, alone::<Bb8>(setting, scale)),
                (Deadpool::NAME, alone::<Deadpool>(setting, scale)),
                (FloorA::NAME, alone::<FloorA>(setting, scale)),
                (FloorB::NAME, alone::<FloorB>(setting, scale)),
            ],
        );
        let peer = of(&rows, "bb8").min(of(&rows, "deadpool"));
        missed += bar(
            "to the best peer",
            of(&rows, "pool-core") / peer,
            0.20,
            true,
        );
        if setting == Setting::Tuned {
            let floor = of(&rows, "floor B");
            missed += bar("to floor B", of(&rows, "pool-core") / floor, 1.6, true);
        }
    }
    missed
}

/// Many tasks on two threads.
fn crowd_bars(threads: &tokio::runtime::Runtime, rounds: usize, scale: u32) -> u32 {
    let mut missed = 0;
    let parallel = parallelism();
    println!("gauge: two cores do {parallel:.2} times the work of one\n");
    // The bar is higher where the cores are really two.
    let shared = if parallel >= 1.7 { 6.0 } else { 2.5 };
    for (yields, bars) in [(0, [1.0, shared, shared]), (1, [1.1, 1.1, 1.1])] {
        for (size, bound) in [1, 8, 32].into_iter().zip(bars) {
            for tasks in [8, 64, 512] {
                let rows = compare(
                    &format!("size {size}, {tasks} tasks, {yields} yields held (ops/s)"),
                    rounds,
                    vec![
                        (
                            Ours::NAME,
                            crowd::<Ours>(threads, size, tasks, yields, scale),
                        ),
                        (Bb8::NAME, crowd::<Bb8>(threads, size, tasks, yields, scale)),
                        (
                            Deadpool::NAME,
                            crowd::<Deadpool>(threads, size, tasks, yields, scale),
                        ),
                        (
                            FloorA::NAME,
                            crowd::<FloorA>(threads, size, tasks, yields, scale),
                        ),
                    ],
                );
                let ratio = of(&rows, "pool-core") / of(&rows, "floor A");
                missed += bar("to floor A", ratio, bound, false);
            }
        }
    }
    missed
}

/// Waiting far above the size.
fn tail_bars(threads: &tokio::runtime::Runtime, rounds: usize, scale: u32) -> u32 {
    let mut missed = 0;
    for setting in [Setting::Tuned, Setting::Equal] {
        let rows = compare(
            &format!("512 tasks on 16, {setting:?}: p99 of a get (us)"),
            rounds,
            vec![
                (Ours::NAME, tail::<Ours>(threads, setting, scale)),
                (Bb8::NAME, tail::<Bb8>(threads, setting, scale)),
                (Deadpool::NAME, tail::<Deadpool>(threads, setting, scale)),
                (FloorA::NAME, tail::<FloorA>(threads, setting, scale)),
            ],
        );
        let ours = of(&rows, "pool-core");
        missed += match setting {
            Setting::Tuned => bar("to floor A", ours / of(&rows, "floor A"), 1.0, true),
            Setting::Equal => bar("to deadpool", ours / of(&rows, "deadpool"), 0.75, true),
        };
    }
    missed
}

/// Gets and gives back so many times, and nothing else: what callgrind counts.
fn run_only(name: &str, setting: &str, count: u64) {
    fn run<C: Contender>(setting: Setting, count: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let pool = C::new(8, setting);
            for _ in 0..count {
                drop(std::hint::black_box(pool.get().await));
            }
        });
    }
    let setting = if setting == "Tuned" {
        Setting::Tuned
    } else {
        Setting::Equal
    };
    match name {
        Ours::NAME => run::<Ours>(setting, count),
        Bb8::NAME => run::<Bb8>(setting, count),
        Deadpool::NAME => run::<Deadpool>(setting, count),
        FloorA::NAME => run::<FloorA>(setting, count),
        _ => run::<FloorB>(setting, count),
    }
}

/// Instructions per get + drop, by callgrind: exact, and the same on a busy machine.
fn instructions() -> u32 {
    let count = |name: &str, setting: Setting, times: u64| {
        let output = std::process::Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--only", name, &format!("{setting:?}"), &times.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("Collected :"))?;
        line.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let mut missed = 0;
    for (setting, bound) in [(Setting::Tuned, 200.0), (Setting::Equal, 300.0)] {
        println!("instructions per get + drop, {setting:?}");
        for name in [
            Ours::NAME,
            Bb8::NAME,
            Deadpool::NAME,
            FloorA::NAME,
            FloorB::NAME,
        ] {
            let (few, many) = (count(name, setting, 1_000), count(name, setting, 11_000));
            let (Some(few), Some(many)) = (few, many) else {
                println!("  not counted: valgrind is not installed\n");
                return 1;
            };
            let each = (many - few) as f64 / 10_000.0;
            println!("  {name:<10} {each:>14.1}");
            if name == Ours::NAME {
                missed += bar("instructions", each, bound, true);
            }
        }
        println!();
    }
    missed
}

/// Allocations per get + drop, and per wait in a queue that has been that long before.
fn allocations() -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!("allocations");
    runtime.block_on(async {
        let pool = Ours::new(1, Setting::Tuned);
        drop(pool.get().await);
        let direct = allocation_counter::measure(|| {
            for _ in 0..1000 {
                drop(pool.0.try_get());
            }
        });
        let wait = || {
            let held = pool.0.try_get().expect("it is idle");
            let mut waiters: Vec<_> = (0..100).map(|_| Box::pin(pool.0.get())).collect();
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let count = allocation_counter::measure(|| {
                for waiter in &mut waiters {
                    assert!(waiter.as_mut().poll(&mut cx).is_pending());
                }
            });
            drop(waiters);
            drop(held);
            count.count_total
        };
        wait();
        bar("per 1000 get + drop", direct.count_total as f64, 0.0, true)
            + bar("per 100 waits", wait() as f64, 0.0, true)
    })
}

/// Nanoseconds of one get + drop.
fn alone<C: Contender>(setting: Setting, scale: u32) -> Measure<'static> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let pool = runtime.block_on(async { C::new(8, setting) });
    Box::new(move || {
        let count = scale * 5_000;
        runtime.block_on(async {
            for _ in 0..100 {
                drop(pool.get().await);
            }
            let start = Instant::now();
            for _ in 0..count {
                drop(std::hint::black_box(pool.get().await));
            }
            start.elapsed().as_nanos() as f64 / f64::from(count)
        })
    })
}

/// Many tasks on two threads for a time; gives operations per second.
fn crowd<C: Contender>(
    runtime: &tokio::runtime::Runtime,
    size: usize,
    tasks: usize,
    yields: usize,
    scale: u32,
) -> Measure<'_> {
    Box::new(move || {
        let pool = runtime.block_on(async { C::new(size, Setting::Tuned) });
        let took = Duration::from_millis(u64::from(scale) * 5);
        let total = Arc::new(AtomicU64::new(0));
        run_for(runtime, tasks, took, |stop| {
            let (pool, total) = (pool.clone(), total.clone());
            async move {
                let mut count = 0;
                while !stop.load(Relaxed) {
                    let held = pool.get().await;
                    for _ in 0..yields {
                        tokio::task::yield_now().await;
                    }
                    drop(held);
                    count += 1;
                    // A budget of its own: a task that never waits must let others run.
                    if count % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                total.fetch_add(count, Relaxed);
            }
        });
        total.load(Relaxed) as f64 / took.as_secs_f64()
    })
}

/// 512 tasks on 16 connections, each held over a yield: the 99th percentile of a get.
fn tail<C: Contender>(
    runtime: &tokio::runtime::Runtime,
    setting: Setting,
    scale: u32,
) -> Measure<'_> {
    Box::new(move || {
        let pool = runtime.block_on(async { C::new(16, setting) });
        let times = Arc::new(std::sync::Mutex::new(Vec::new()));
        run_for(
            runtime,
            512,
            Duration::from_millis(u64::from(scale) * 10),
            |stop| {
                let (pool, times) = (pool.clone(), times.clone());
                async move {
                    let mut own = Vec::new();
                    while !stop.load(Relaxed) {
                        let start = Instant::now();
                        let held = pool.get().await;
                        own.push(start.elapsed());
                        tokio::task::yield_now().await;
                        drop(held);
                    }
                    times.lock().expect("no panics").append(&mut own);
                }
            },
        );
        let mut times = times.lock().expect("no panics");
        times.sort_unstable();
        let p99 = times
            .get(times.len() * 99 / 100)
            .copied()
            .unwrap_or_default();
        p99.as_nanos() as f64 / 1000.0
    })
}

/// Runs tasks until the time is up, and waits for them.
fn run_for<F: Future<Output = ()> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    tasks: usize,
    time: Duration,
    task: impl Fn(Arc<AtomicBool>) -> F,
) {
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..tasks)
            .map(|_| tokio::spawn(task(stop.clone())))
            .collect();
        tokio::time::sleep(time).await;
        stop.store(true, Relaxed);
        for task in tasks {
            task.await.expect("no task panics");
        }
    });
}

/// How much more two threads do than one.
fn parallelism() -> f64 {
    let work = || {
        let start = Instant::now();
        let mut sum = 0_u64;
        for i in 0..50_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
        }
        start.elapsed().as_secs_f64()
    };
    let one = work();
    let two = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let own = work();
        own.max(other.join().expect("no panics"))
    });
    2.0 * one / two
}

fn compare(title: &str, rounds: usize, contenders: Vec<(&'static str, Measure<'_>)>) -> Vec<Row> {
    println!("{title}");
    let mut figures = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            figures[index].push(contenders[index].1());
        }
    }
    let rows: Vec<_> = contenders
        .iter()
        .zip(figures)
        .map(|((name, _), mut figures)| {
            figures.sort_by(f64::total_cmp);
            let (least, most) = (figures[0], figures[figures.len() - 1]);
            Row {
                name,
                median: figures[figures.len() / 2],
                least,
                most,
            }
        })
        .collect();
    for Row {
        name,
        median,
        least,
        most,
    } in &rows
    {
        println!("  {name:<10} {median:>14.1}   ({least:.1} to {most:.1})");
    }
    rows
}

fn of(rows: &[Row], name: &str) -> f64 {
    rows.iter()
        .find(|row| row.name == name)
        .expect("the contender ran")
        .median
}

/// Prints a bar; gives 1 if it was missed.
fn bar(to: &str, ratio: f64, bound: f64, at_most: bool) -> u32 {
    let met = if at_most {
        ratio <= bound
    } else {
        ratio >= bound
    };
    let (sign, word) = (
        if at_most { "<=" } else { ">=" },
        if met { "met" } else { "MISSED" },
    );
    println!("  => {ratio:.3} {to}, bar {sign} {bound}: {word}\n");
    u32::from(!met)
}
