//! Who runs the server: PostgreSQL refuses root.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The account that owns the data folder and runs PostgreSQL's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The one that runs the tests.
    Own,
    /// Another one, which only root can take on.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Our own, unless that is root: then `postgres`, or `nobody` where no package made that user.
    pub(super) fn unprivileged() -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        find(&users, "postgres")
            .or_else(|| find(&users, "nobody"))
            .ok_or_else(|| io::Error::other("found neither user `postgres` nor `nobody`"))
    }

    /// Makes `command` run under this account; the supplementary groups of root are dropped too.
    pub(super) fn apply(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives `path` to this account.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }

    /// Whether this account can get to `path`: each folder on the way lets strangers pass.
    pub(super) fn reaches(self, path: &Path) -> bool {
        self == Self::Own
            || path.canonicalize().is_ok_and(|path| {
                path.ancestors().all(|folder| {
                    folder
                        .metadata()
                        .is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
                })
            })
    }
}

fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "postgres2:x:1:2::/:/bin/sh\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n";
        assert_eq!(
            find(users, "postgres"),
            Some(Account::Other { uid: 101, gid: 104 })
        );
        assert_eq!(find(users, "post"), None);
    }

    #[test]
    fn a_folder_closed_to_strangers_is_not_reached() {
        let dir = std::env::temp_dir().join(format!("holdfast-reach-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(dir.join("in")).unwrap();
        let other = Account::Other { uid: 1, gid: 1 };
        assert!(other.reaches(&dir.join("in")));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!other.reaches(&dir.join("in")));
        assert!(Account::Own.reaches(&dir.join("in")));
        fs::remove_dir_all(&dir).unwrap();
    }
}
