//! Instructions per get and drop, by callgrind: the same on a busy machine.

use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};

use crate::figures::{Figure, Figures, Measure};
use crate::pool::{Contender, Setting, Workload, entrants};
use crate::row::Bound;
use crate::session::{Case, Session};

/// Everybody takes part, by name.
struct Named;

impl Workload for Named {
    fn enter<C: Contender>(&self) -> Option<Measure<'_>> {
        Some(Box::new(|_| f64::NAN))
    }
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        let reason = "valgrind is not installed; apt-get install valgrind";
        session.not_yet("pool.instructions", "<= 200 tuned, <= 300 equal", reason);
        return Ok(());
    }
    for (setting, bound) in [(Setting::Tuned, 200.0), (Setting::Equal, 300.0)] {
        let case = Case::new("pool.instructions", "get + drop", "instructions", "")
            .setting(setting.name());
        let figures = entrants(&Named)
            .into_iter()
            .map(|entrant| {
                session.screen.turn(&case.workload, entrant.name, 0, 1);
                Ok(Figure {
                    name: entrant.name,
                    kind: entrant.kind,
                    rounds: vec![each(entrant.name, setting)?],
                })
            })
            .collect::<Result<_>>()?;
        let figures = Figures(figures);
        session.show(&case, &figures);
        let ours = &figures.ours().rounds;
        session.judge(&case, "instructions", Bound::AtMost(bound), ours, None);
    }
    Ok(())
}

/// What the program does before and after falls out of the difference.
fn each(contender: &str, setting: Setting) -> Result<f64> {
    let (few, many) = thread::scope(|scope| {
        let few = scope.spawn(|| count(contender, setting, FEW));
        let many = count(contender, setting, MANY);
        (few.join().expect("no panics"), many)
    });
    Ok((many? - few?) / f64::from(MANY - FEW))
}

fn count(contender: &str, setting: Setting, times: u32) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["get", contender, setting.name(), &times.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.rsplit(' ').next());
    let count = count.with_context(|| format!("callgrind counted nothing:\n{text}"))?;
    Ok(count.parse()?)
}

const FEW: u32 = 500;
const MANY: u32 = 2_500;
