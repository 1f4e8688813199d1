//! pool-facade: pool-core with a breaker, a connect gate and the rest around it.

use pool_core::Check;
use pool_facade::{ErrorKind, Guard, Pool};

use super::server::Server;
use super::{Contender, Failed, Setting};
use crate::figures::Kind;

#[derive(Clone)]
pub(crate) struct Facade(Pool<Server>);

impl Contender for Facade {
    const NAME: &'static str = "pool-facade";
    const KIND: Kind = Kind::Ours;
    const WHOLE: bool = true;
    type Guard = Guard<Server>;

    fn new(size: usize, setting: Setting, server: &Server) -> Self {
        let pool = Pool::builder()
            .node("only", server.clone())
            .configure(|config| {
                config.pool.max_size = size;
                config.pool.check = match setting {
                    Setting::Tuned => Check::Never,
                    Setting::Equal => Check::Always,
                };
                if setting == Setting::Tuned {
                    config.pool.acquire_timeout = None;
                }
            })
            .build();
        Self(pool.expect("the settings are valid"))
    }

    async fn get(&self) -> Result<Self::Guard, Failed> {
        self.0.get().await.map_err(|error| match error.kind() {
            ErrorKind::Timeout(_) => Failed::TimedOut,
            _ => Failed::Told,
        })
    }

    fn settings(setting: Setting) -> &'static str {
        match setting {
            Setting::Tuned => "one node; as pool-core",
            Setting::Equal => "one node; as pool-core; connect gate and breaker by default",
        }
    }
}
