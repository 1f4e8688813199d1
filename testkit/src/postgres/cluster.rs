//! A running cluster and what a test may do to it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use super::binaries::run;
use super::builder::{Auth, Builder};
use super::home::Home;

/// How the server is brought down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "PostgreSQL has had these three for ever"
)]
pub enum Shutdown {
    /// Waits for the clients to leave.
    Smart,
    /// Ends the clients' sessions in good order (57P01).
    Fast,
    /// As in a crash: sessions are cut (57P02) and the next start recovers.
    Immediate,
}

/// A PostgreSQL of this process alone. See the [module](super) for how it ends.
///
/// Clients are the role `app` on the database `app`, not a superuser, so limits hold for them as
/// in production. [`Cluster::sql`] goes in as the superuser, through a slot reserved for it.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    auth: Auth,
}

impl Cluster {
    /// Describes a cluster.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts a cluster with every default.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn launch() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Starts a stopped server again, on the same port, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it does not start; the message ends with its log.
    pub fn start(&self) -> io::Result<()> {
        let mut command = self.pg_ctl();
        command.arg("--log").arg(self.log_file()).arg("start");
        run(&mut command).map(drop).map_err(|error| {
            io::Error::other(format!("{error}\n{}", self.log().unwrap_or_default()))
        })
    }

    /// Stops the server and waits until it has ended. One stopped by [`Cluster::sigstop`] goes on
    /// first, else it would never hear of it.
    ///
    /// # Errors
    ///
    /// When it does not run, or does not end within a minute.
    pub fn stop(&self, how: Shutdown) -> io::Result<()> {
        let mode = match how {
            Shutdown::Smart => "smart",
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        };
        self.sigcont()?;
        run(self.pg_ctl().args(["--mode", mode, "stop"])).map(drop)
    }

    /// [`Cluster::stop`], then [`Cluster::start`].
    ///
    /// # Errors
    ///
    /// As those two.
    pub fn restart(&self, how: Shutdown) -> io::Result<()> {
        self.stop(how)?;
        self.start()
    }

    /// Kills the postmaster and each of its processes where they stand: nobody says goodbye.
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub fn kill(&self) -> io::Result<()> {
        // A frozen postmaster replaces nobody.
        self.sigstop()?;
        loop {
            let processes = self.processes()?;
            if processes.is_empty() {
                break;
            }
            for process in processes {
                // It may have ended since it was listed.
                let _ = kill_process(process, Signal::KILL);
            }
            std::thread::yield_now();
        }
        // The next start would take a process that is dead and not yet reaped for a living one.
        let lock = format!(".s.PGSQL.{}.lock", self.port());
        fs::remove_file(self.home.dir.join(lock))?;
        fs::remove_file(self.data().join("postmaster.pid"))
    }

    /// Freezes the postmaster: TCP connections are accepted by the kernel and then hear nothing,
    /// while sessions that exist live on.
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub fn sigstop(&self) -> io::Result<()> {
        Ok(kill_process(self.postmaster()?, Signal::STOP)?)
    }

    /// Lets a frozen postmaster go on.
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub fn sigcont(&self) -> io::Result<()> {
        Ok(kill_process(self.postmaster()?, Signal::CONT)?)
    }

    /// A streaming replica of this server: a cluster of its own, read only until
    /// [`Cluster::promote`].
    ///
    /// # Errors
    ///
    /// When the copy fails or the replica does not start.
    pub fn replica(&self) -> io::Result<Self> {
        let replica = Self {
            home: Home::make(&self.home.binaries)?,
            auth: self.auth.clone(),
        };
        replica.follow(self)?;
        Ok(replica)
    }

    /// Starts a stopped server again as a streaming replica of `primary`, on the same port. What it
    /// held is lost: as after a failover, `primary` knows better.
    ///
    /// # Errors
    ///
    /// When the copy fails or the replica does not start.
    pub fn follow(&self, primary: &Self) -> io::Result<()> {
        match fs::remove_dir_all(self.data()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut backup = primary.client("pg_basebackup");
        backup.args([
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
        ]);
        run(backup.arg("--no-sync").arg("--pgdata").arg(self.data()))?;
        self.configure([])?;
        self.start()
    }

    /// Makes a replica a primary and waits until it takes writes.
    ///
    /// # Errors
    ///
    /// When this is no running replica.
    pub fn promote(&self) -> io::Result<()> {
        run(self.pg_ctl().arg("promote")).map(drop)
    }

    /// Changes a setting of the running server, as `reload` can.
    ///
    /// # Errors
    ///
    /// When the server does not run.
    pub fn set(&self, name: &str, value: &str) -> io::Result<()> {
        self.configure([(name, value)])?;
        run(self.pg_ctl().arg("reload")).map(drop)
    }

    /// Runs `sql` as superuser in the clients' database: rows as lines, columns parted by `|`.
    ///
    /// # Errors
    ///
    /// With the server's message when a statement fails.
    pub fn sql(&self, sql: &str) -> io::Result<String> {
        self.sql_in(DATABASE, sql)
    }

    /// How many sessions clients have now, by the server's own count.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked.
    pub fn backends(&self) -> io::Result<usize> {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'");
        self.sql(&count)?.parse().map_err(io::Error::other)
    }

    /// Ends every client's session (57P01) and says how many there were.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked.
    pub fn terminate_backends(&self) -> io::Result<usize> {
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{USER}'"
        );
        self.sql(&kill)?.parse().map_err(io::Error::other)
    }

    /// How many logins of clients have succeeded since the cluster was made, by the server's log.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn logins(&self) -> io::Result<usize> {
        Ok(self
            .log()?
            .matches(&format!("connection authorized: user={USER} "))
            .count())
    }

    /// What the server has logged.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.log_file())
    }

    /// How many connections clients can have: the maximum less those reserved for superusers.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked.
    pub fn client_slots(&self) -> io::Result<usize> {
        let slots = "SELECT sum(CASE name WHEN 'max_connections' THEN 1 ELSE -1 END \
            * setting::int) FROM pg_settings WHERE name IN ('max_connections', \
            'superuser_reserved_connections', 'reserved_connections')";
        self.sql(slots)?.parse().map_err(io::Error::other)
    }

    /// `postgres://user[:password]@host:port/database`. The password must need no escaping.
    #[must_use]
    pub fn url(&self) -> String {
        let password = self
            .password()
            .map(|word| format!(":{word}"))
            .unwrap_or_default();
        format!(
            "postgres://{USER}{password}@{}:{}/{DATABASE}",
            self.host(),
            self.port()
        )
    }

    /// The address the server listens on.
    #[must_use]
    pub fn host(&self) -> &str {
        "127.0.0.1"
    }

    /// The port the server listens on; it stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.home.port.number()
    }

    /// The clients' role.
    #[must_use]
    pub fn user(&self) -> &str {
        USER
    }

    /// The clients' password, if the server asks for one.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        match &self.auth {
            Auth::Trust => None,
            Auth::Scram(password) => Some(password),
        }
    }

    /// The clients' database.
    #[must_use]
    pub fn database(&self) -> &str {
        DATABASE
    }

    /// The folder that holds the data, the log and the Unix socket.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.home.dir
    }

    pub(super) fn new(home: Home, auth: Auth) -> Self {
        Self { home, auth }
    }

    pub(super) fn auth(&self) -> &Auth {
        &self.auth
    }

    pub(super) fn account(&self) -> Account {
        self.home.account
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.dir.join("data")
    }

    /// Appends to the configuration what belongs to this cluster alone, then `settings`.
    pub(super) fn configure<'a>(
        &self,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<()> {
        let mut lines = format!(
            "port = {}\nunix_socket_directories = '{}'\n",
            self.port(),
            self.socket()
        );
        for (name, value) in settings {
            lines += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        let file = self.data().join("postgresql.conf");
        OpenOptions::new()
            .append(true)
            .open(file)?
            .write_all(lines.as_bytes())
    }

    pub(super) fn sql_in(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        run(psql.args([
            "-v",
            "ON_ERROR_STOP=1",
            "--dbname",
            database,
            "--command",
            sql,
        ]))
    }

    /// One of PostgreSQL's programs, run by the account that owns the data.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.home.binaries.bin().join(name));
        command.current_dir(self.dir());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command
            .env("LC_ALL", "C.UTF-8")
            .env("PGCONNECT_TIMEOUT", "10");
        self.home.account.apply(&mut command);
        command
    }

    /// A program that connects as superuser, by the Unix socket.
    fn client(&self, name: &str) -> Command {
        let mut command = self.program(name);
        command
            .arg("--host")
            .arg(self.socket())
            .arg("--username")
            .arg(ADMIN);
        command.arg("--port").arg(self.port().to_string());
        if let Some(password) = self.password() {
            command.env("PGPASSWORD", password);
        }
        command
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.program("pg_ctl");
        command
            .args(["--wait", "--silent", "--pgdata"])
            .arg(self.data());
        command
    }

    fn socket(&self) -> &str {
        self.home
            .dir
            .to_str()
            .expect("temporary folders have names in UTF-8")
    }

    fn log_file(&self) -> PathBuf {
        self.home.dir.join("log")
    }

    /// The processes that live in the data folder, as all of the server's do and no others.
    fn processes(&self) -> io::Result<Vec<Pid>> {
        let data = self.data();
        let lives_here = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            let home = fs::read_link(entry.path().join("cwd")).ok()?;
            Pid::from_raw(number).filter(|_| home == data)
        };
        Ok(fs::read_dir("/proc")?.filter_map(lives_here).collect())
    }

    fn postmaster(&self) -> io::Result<Pid> {
        let file = fs::read_to_string(self.data().join("postmaster.pid"))?;
        file.lines()
            .next()
            .and_then(|pid| Pid::from_raw(pid.parse().ok()?))
            .ok_or_else(|| io::Error::other("the server is just starting or ending"))
    }
}

/// The superuser.
pub(super) const ADMIN: &str = "postgres";
/// The clients' role.
pub(super) const USER: &str = "app";
/// The clients' database.
pub(super) const DATABASE: &str = "app";
