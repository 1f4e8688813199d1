//! Keeps real services running for a working day: `cargo xtask services`.
//!
//! `up` leaves a process behind that holds the clusters and waits; ending it, in whatever way, ends
//! them and removes their data.
#![expect(clippy::print_stdout, reason = "a program speaks to who runs it")]

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::postgres::{Binaries, Cluster, Version};
use testkit::target;

fn main() -> io::Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("fetch") => fetch(),
        Some("up") => up(),
        Some("hold") => hold(),
        Some("status") => status(),
        Some("down") => down(),
        _ => Err(io::Error::other("say one of: fetch, up, status, down")),
    }
}

fn fetch() -> io::Result<ExitCode> {
    for version in Version::ALL {
        println!(
            "PostgreSQL ({version:?}): {}",
            Binaries::of(version)?.bin().display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn up() -> io::Result<ExitCode> {
    if Holder::find()?.is_none() {
        let mut holder = Command::new(std::env::current_exe()?)
            .arg("hold")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(target::dir()?.join("services.log"))?)
            .process_group(0)
            .spawn()?;
        // One line says that all are up; the end of the stream, that the holder gave up.
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("asked for a pipe");
        if BufReader::new(stdout).read_line(&mut line)? == 0 {
            let log = fs::read_to_string(target::dir()?.join("services.log"))?;
            return Err(io::Error::other(format!(
                "the services did not start:\n{log}"
            )));
        }
    }
    status()
}

fn hold() -> io::Result<ExitCode> {
    let mut lines = format!("{}\n", std::process::id());
    let mut clusters = Vec::new();
    for version in Version::ALL {
        let cluster = Cluster::builder()
            .version(version)
            .max_connections(200)
            .start()?;
        lines += &format!("{}\t{}\n", cluster.url(), cluster.dir().display());
        clusters.push(cluster);
    }
    fs::write(Holder::file()?, lines)?;
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn status() -> io::Result<ExitCode> {
    let Some(holder) = Holder::find()? else {
        println!("the services are down; start them with: cargo xtask services up");
        return Ok(ExitCode::FAILURE);
    };
    let mut code = ExitCode::SUCCESS;
    for (url, _) in &holder.services {
        let address = url
            .rsplit('@')
            .next()
            .and_then(|rest| rest.split('/').next());
        let up = address.is_some_and(|address| TcpStream::connect(address).is_ok());
        println!("{url} {}", if up { "is up" } else { "does not answer" });
        if !up {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn down() -> io::Result<ExitCode> {
    if let Some(holder) = Holder::find()? {
        kill_process(holder.pid, Signal::TERM)?;
        while holder.services.iter().any(|(_, dir)| dir.exists()) {
            std::thread::yield_now();
        }
        fs::remove_file(Holder::file()?)?;
    }
    println!("the services are down");
    Ok(ExitCode::SUCCESS)
}

/// The process that holds the clusters, and where they are.
struct Holder {
    pid: Pid,
    services: Vec<(String, PathBuf)>,
}

impl Holder {
    fn file() -> io::Result<PathBuf> {
        Ok(target::dir()?.join("services.txt"))
    }

    /// The one that `up` left behind, unless it has ended since.
    fn find() -> io::Result<Option<Self>> {
        let Ok(text) = fs::read_to_string(Self::file()?) else {
            return Ok(None);
        };
        let mut lines = text.lines();
        let pid = lines
            .next()
            .and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        let Some(pid) = pid else { return Ok(None) };
        // The number may have gone to a stranger.
        let words = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
        if !words.is_ok_and(|words| words.ends_with(b"/services\0hold\0")) {
            return Ok(None);
        }
        let services = lines
            .filter_map(|line| line.split_once('\t'))
            .map(|(url, dir)| (url.to_owned(), PathBuf::from(dir)))
            .collect();
        Ok(Some(Self { pid, services }))
    }
}
