//! The folder of a cluster: who owns it, who removes it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::binaries::{Binaries, run};
use crate::janitor::Janitor;
use crate::port::Port;

/// The folder of a cluster, the account that owns it, and who removes it.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) account: Account,
    pub(super) binaries: Binaries,
    pub(super) dir: PathBuf,
    // After the janitor: the port is free again once the server is gone.
    _janitor: Janitor,
    pub(super) port: Port,
}

impl Home {
    pub(super) fn make(binaries: &Binaries) -> io::Result<Self> {
        let account = Account::unprivileged()?;
        let port = Port::reserve()?;
        let temp = std::env::temp_dir();
        let temp = if account.reaches(&temp) {
            temp
        } else {
            PathBuf::from("/tmp")
        };
        let dir = temp.join(format!(
            "holdfast-pg-{}-{}",
            std::process::id(),
            port.number()
        ));
        fs::create_dir(&dir)?;
        let janitor = Janitor::hire(CLEAN, &dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        account.own(&dir)?;
        let binaries = if account.reaches(binaries.bin()) {
            binaries.clone()
        } else {
            adopt(binaries, &dir.join("programs"))?
        };
        Ok(Self {
            account,
            binaries,
            dir,
            _janitor: janitor,
            port,
        })
    }
}

/// Makes the programs reachable by linking their tree to `to`, or copying it across devices.
fn adopt(binaries: &Binaries, to: &Path) -> io::Result<Binaries> {
    let copy = |link: &[&str]| {
        run(Command::new("cp")
            .arg("--archive")
            .args(link)
            .arg(&binaries.tree)
            .arg(to))
    };
    if copy(&["--link"]).is_err() {
        let _ = fs::remove_dir_all(to);
        copy(&[])?;
    }
    let bin = binaries
        .bin
        .strip_prefix(&binaries.tree)
        .expect("the tree holds the programs");
    Ok(Binaries {
        bin: to.join(bin),
        tree: to.to_owned(),
    })
}

/// Stops what runs on the data folder in `$1`, which may be stopped by a signal, and removes it.
/// The check of the working directory keeps a stale pid file from hitting a stranger.
const CLEAN: &str = r#"
file=$1/data/postmaster.pid
if read -r pid < "$file" && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; then
    kill -CONT "$pid"
    kill -QUIT "$pid"
    tries=0
    while [ -e "$file" ] && [ "$tries" -lt 200 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    [ -e "$file" ] && kill -KILL "$pid"
fi
rm -rf "$1"
"#;
