//! A database to talk to, whoever runs it.

use std::env;
use std::io;

use super::cluster::Cluster;

/// The server behind `DATABASE_URL` if that is set, else a [`Cluster`] of our own. For tests that
/// only need a database; those that stop or freeze it need a [`Cluster`].
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an unpublished crate; tests match on it"
)]
pub enum Server {
    /// Somebody's.
    External {
        /// How to reach it.
        url: String,
    },
    /// Ours.
    Own(Box<Cluster>),
}

impl Server {
    /// Finds or starts one.
    ///
    /// # Errors
    ///
    /// As [`Cluster::launch`].
    pub fn find() -> io::Result<Self> {
        match env::var("DATABASE_URL") {
            Ok(url) => Ok(Self::External { url }),
            Err(_) => Ok(Self::Own(Box::new(Cluster::launch()?))),
        }
    }

    /// How to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::External { url } => url.clone(),
            Self::Own(cluster) => cluster.url(),
        }
    }
}
