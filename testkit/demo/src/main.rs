//! `cargo xtask demo`: see `--help`.
#![forbid(unsafe_code)]

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use demo::{Embedded, Postgres, Screen, Script, show};

/// Shows the pool at work through faults. Ends with 1 when its contract was broken, with 2 when the
/// demo could not run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo", bin_name = "cargo xtask demo")]
struct Options {
    /// End within 20 seconds, once the servers have started
    #[arg(long)]
    quick: bool,
    /// What to run on
    #[arg(long, value_enum, default_value_t = Choice::Embedded)]
    backend: Choice,
    /// A PostgreSQL of your own, only read from; else `DATABASE_URL`, else one is started
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Three key-value servers in this program; needs no download
    Embedded,
    /// A real PostgreSQL and its replica
    Postgres,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell that nobody can be told.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> io::Result<bool> {
    let script = if options.quick {
        Script::quick()
    } else {
        Script::full()
    };
    let mut screen = Screen::stdout();
    if options.backend == Choice::Embedded && options.url.is_some() {
        let message = "--url names a PostgreSQL: say --backend postgres too";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let url = options.url.or_else(|| env::var("DATABASE_URL").ok());
    let report = match (options.backend, url) {
        (Choice::Embedded, _) => show(Embedded::start().await?, script, &mut screen).await?,
        (Choice::Postgres, Some(url)) => {
            show(Postgres::at(&url).await?, script, &mut screen).await?
        }
        (Choice::Postgres, None) => {
            screen.say("Starting PostgreSQL; where there is none, it is downloaded first.")?;
            show(Postgres::start().await?, script, &mut screen).await?
        }
    };
    screen.verdict(&report)?;
    Ok(report.kept())
}
