//! Cleans up behind a test, also when the test's process was killed.
//!
//! A small shell waits on a pipe whose other end this process holds. The pipe closes when the
//! [`Janitor`] is dropped and, by the kernel's hand, when the process ends in any way, so there is
//! one way to clean and it always runs. `PR_SET_PDEATHSIG` is no substitute: it fires when the
//! *thread* that started the server ends, which is each test's own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Runs a shell script once this value is dropped or this process has ended.
#[derive(Debug)]
pub(crate) struct Janitor(Child);

impl Janitor {
    /// `script` finds `dir` in `$1`; it runs as the current user, in a process group of its own.
    pub(crate) fn hire(script: &str, dir: &Path) -> io::Result<Self> {
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("trap '' HUP INT TERM\nread -r _\n{script}"),
                "janitor",
            ])
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            // Inheriting these would keep a pipe of the caller's, such as `cargo test | tee`, open.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Without the wait, the next test could still see this one's server.
        let _ = self.0.wait();
    }
}
