//! What the server refuses for good, and the password that must be seen nowhere.

use std::time::Duration;

use pool_core::{ErrorClass, ErrorKind, Manager};
use testkit::postgres::Auth;

use crate::support::{builder, on_both, text_of};

const CANARY: &str = "canary-7f3a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_reaches_every_waiter_at_once_and_appears_nowhere() {
    on_both(
        |cluster| {
            cluster
                .auth(Auth::Scram("right".into()))
                .setting("log_statement", "all")
        },
        async |server| {
            let config = server.config().password(CANARY);
            let pool = builder(config.clone()).max_size(4).build().unwrap();
            // Far less than the acquire timeout of 30 s would tell: the answer is not a timeout.
            let waiters = (0..20).map(|_| {
                tokio::spawn({
                    let pool = pool.clone();
                    async move { pool.get().await.unwrap_err() }
                })
            });
            let mut texts = format!("{config:?} {pool:?} {:?}", pool.manager());
            for waiter in waiters.collect::<Vec<_>>() {
                let error = waiter.await.unwrap();
                assert!(matches!(error.kind(), ErrorKind::Connect), "{error:?}");
                let cause = error.connect_error().unwrap();
                assert_eq!(pool.manager().classify(cause), ErrorClass::Permanent);
                assert!(text_of(&**cause).contains("28P01"), "{}", text_of(&**cause));
                texts += &format!("{error} {error:?} {}", text_of(&**cause));
            }
            assert!(!texts.contains(CANARY), "{texts}");
            assert_eq!(server.logged(CANARY).await, 0);
            assert_eq!(server.logins().await, 0);
            let tried = server
                .logged("FATAL:  password authentication failed")
                .await;
            assert!((1..=24).contains(&tried), "{tried} attempts for 20 callers");

            let config = config.password("right");
            let pool = builder(config).build().unwrap();
            let connection = pool.get().await.unwrap();
            assert!(!format!("{connection:?} {:?}", *connection).contains("right"));
            assert_eq!(server.logins().await, 1);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_database_or_a_missing_password_is_permanent() {
    on_both(
        |cluster| cluster.auth(Auth::Scram("right".into())),
        async |server| {
            let mut none = server.config();
            none.password = None;
            for (config, says) in [
                (server.config().database("nowhere"), "3D000"),
                (server.config().options("-c colour=red"), "42704"),
                (none, "password missing"),
            ] {
                let pool = builder(config).build().unwrap();
                let error = pool.get_timeout(Duration::from_secs(20)).await.unwrap_err();
                let cause = error.connect_error().unwrap();
                assert_eq!(pool.manager().classify(cause), ErrorClass::Permanent);
                assert!(text_of(&**cause).contains(says), "{}", text_of(&**cause));
            }
        },
    )
    .await;
}
