//! Draws what each strategy does into `docs/*.svg`.
//!
//! With `--check`, says whether the drawings are those of the code. `cargo xtask plots [--check]`
//! runs it.

#![allow(clippy::print_stderr, reason = "a tool speaks to its user")]

use std::{fmt::Write, fs, path::Path, process::ExitCode, time::Duration};

use backoff::{ConfigErrors, Jitter, Policy, Ratio, SplitMix64};

const ATTEMPTS: u32 = 12;
const SEQUENCES: u64 = 60;
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 26.0;

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let plots = plots().expect("the policies are valid");
    let mut stale = false;
    for (name, caption, policy) in plots {
        let path = directory.join(name).with_extension("svg");
        let drawing = draw(caption, &policy);
        if !check {
            fs::create_dir_all(&directory).expect("the directory can be made");
            fs::write(&path, drawing).expect("the drawing can be written");
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&drawing) {
            eprintln!("backoff/docs/{name}.svg is not what the code does");
            stale = true;
        }
    }
    if stale {
        eprintln!("run `cargo xtask plots` and commit the result");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn plots() -> Result<Vec<(&'static str, &'static str, Policy)>, ConfigErrors> {
    let (base, cap) = (Duration::from_millis(100), Duration::from_secs(10));
    let exponential = Policy::exponential(base, cap).no_max_attempts();
    let sawtooth = |attempt: u32| Duration::from_secs(u64::from(attempt % 4) * 2 + 1);
    Ok(vec![
        (
            "fixed",
            "fixed 5 s, full jitter",
            Policy::fixed(cap / 2).no_max_attempts().build()?,
        ),
        (
            "linear",
            "linear 100 ms + 1 s, cap 10 s, full jitter",
            Policy::linear(base, Duration::from_secs(1), cap)
                .no_max_attempts()
                .build()?,
        ),
        (
            "exponential",
            "exponential 100 ms x 2, cap 10 s, full jitter",
            exponential.build()?,
        ),
        (
            "factor",
            "exponential 100 ms x 3/2, cap 10 s, full jitter",
            exponential.factor(Ratio::new(3, 2)).build()?,
        ),
        (
            "fibonacci",
            "fibonacci 100 ms, cap 10 s, full jitter",
            Policy::fibonacci(base, cap).no_max_attempts().build()?,
        ),
        (
            "decorrelated",
            "decorrelated 100 ms, cap 10 s",
            Policy::decorrelated(base, cap).no_max_attempts().build()?,
        ),
        (
            "custom",
            "custom, cap 10 s, full jitter",
            Policy::custom(sawtooth, cap).no_max_attempts().build()?,
        ),
        (
            "jitter-none",
            "exponential 100 ms x 2, cap 10 s, no jitter",
            exponential.jitter(Jitter::None).build()?,
        ),
        (
            "jitter-equal",
            "exponential 100 ms x 2, cap 10 s, equal jitter",
            exponential.jitter(Jitter::Equal).build()?,
        ),
        (
            "jitter-plus-minus",
            "exponential 100 ms x 2, cap 10 s, plus or minus 25 %",
            exponential
                .jitter(Jitter::PlusMinus(Ratio::percent(25)))
                .build()?,
        ),
    ])
}

/// The range of every delay as a grey area, and sequences of a fixed seed as dots in it.
fn draw(caption: &str, policy: &Policy) -> String {
    let top = policy.cap().min(Duration::from_secs(10)).as_secs_f64();
    let x = |attempt: u32| {
        LEFT + (f64::from(attempt) + 0.5) / f64::from(ATTEMPTS) * (WIDTH - LEFT - 8.0)
    };
    let y = |delay: Duration| HEIGHT - BOTTOM - delay.as_secs_f64() / top * (HEIGHT - BOTTOM - TOP);

    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    let mut previous = Duration::ZERO;
    for attempt in 0..ATTEMPTS {
        lower.push((x(attempt), y(policy.delay(attempt, previous, 0))));
        previous = policy.delay(attempt, previous, u64::MAX);
        upper.push((x(attempt), y(previous)));
    }
    let area: Vec<String> = upper
        .iter()
        .chain(lower.iter().rev())
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();

    let mut svg = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        writeln!(svg, "{text}").expect("a string can be written to");
    };
    line(format_args!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">"##
    ));
    line(format_args!(
        r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##
    ));
    line(format_args!(
        r##"<text x="{LEFT}" y="15" fill="#222">{caption}</text>"##
    ));
    for seconds in [0_u32, 5, 10] {
        let height = y(Duration::from_secs(u64::from(seconds)));
        line(format_args!(
            r##"<path d="M{LEFT} {height:.1}H{WIDTH}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#555">{seconds} s</text>"##,
            LEFT - 6.0,
            height + 4.0,
        ));
    }
    for attempt in 0..ATTEMPTS {
        line(format_args!(
            r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#555">{}</text>"##,
            x(attempt),
            HEIGHT - 10.0,
            attempt + 1,
        ));
    }
    line(format_args!(
        r##"<polygon points="{}" fill="#9bbcdd" fill-opacity="0.45" stroke="#3b6ea5"/>"##,
        area.join(" "),
    ));
    for seed in 0..SEQUENCES {
        let dots: String = (0..ATTEMPTS)
            .zip(policy.delays_from(SplitMix64::from_seed(seed)))
            .map(|(attempt, delay)| format!("M{:.1} {:.1}h0", x(attempt), y(delay)))
            .collect();
        line(format_args!(
            r##"<path d="{dots}" stroke="#1f3d5c" stroke-width="2" stroke-linecap="round"/>"##
        ));
    }
    line(format_args!("</svg>"));
    svg
}
