//! TLS, and what each mode asks of the server.

use std::path::Path;

use pool_core::ErrorClass;
use pool_core::Manager;
use pool_postgres::{Error, SslMode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::postgres::Version;

use crate::support::{Server, builder, on, on_both, polled, text_of};

/// A certificate authority's certificate, and one made out by it to `name`, with its key.
fn certificates(name: &str) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let own = params.signed_by(&key, &authority).unwrap();
    (authority.pem(), own.pem(), key.serialize_pem())
}

/// Each mode, with whether the server's authority is given, and whether it must work.
async fn modes_work(server: &Server, root: &Path, cases: &[(SslMode, bool, bool)]) {
    for &(mode, own_root, works) in cases {
        let mut config = server.config().ssl_mode(mode);
        config.ssl_root_cert = own_root.then(|| root.to_owned());
        let pool = builder(config).max_size(1).build().unwrap();
        match pool.get().await {
            Ok(connection) => {
                assert!(works, "{mode:?} {own_root}");
                let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                let row = connection.query_one(sql, &[]).await.unwrap();
                assert_eq!(row.get::<_, bool>(0), mode != SslMode::Disable, "{mode:?}");
                // A cancel finds its way through TLS as well, and the state is read above it.
                polled(connection.query("SELECT pg_sleep(3600)", &[]), 5).await;
                drop(connection);
                let connection = pool.get().await.unwrap();
                connection.batch_execute("BEGIN; SELECT 1").await.unwrap();
                drop(connection);
                let connection = pool.get().await.unwrap();
                connection.batch_execute("SELECT 1").await.unwrap();
                assert_eq!(pool.statistics().created, 1);
                drop(connection);
                assert_eq!(server.busy().await, "0");
            }
            Err(error) => {
                assert!(!works, "{mode:?} {own_root}: {error}");
                let cause = error.connect_error().unwrap();
                assert_eq!(pool.manager().classify(cause), ErrorClass::Permanent);
                let text = text_of(&**cause);
                assert!(text.contains("certificate"), "{mode:?}: {text}");
            }
        }
    }
}

async fn check_certificate(name: &str, cases: &[(SslMode, bool, bool)]) {
    let (authority, own, key) = certificates(name);
    // The wheel's server is built without TLS.
    on(
        Version::System,
        |cluster| {
            cluster
                .setting("ssl", "on")
                .file("server.crt", own.clone())
                .file("server.key", key.clone())
        },
        async |server| {
            let root = server.0.dir().join("authority.pem");
            std::fs::write(&root, &authority).unwrap();
            modes_work(&server, &root, cases).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_the_host_satisfies_every_mode_that_knows_its_authority() {
    let cases = [
        (SslMode::Disable, false, true),
        (SslMode::Prefer, false, true),
        (SslMode::Require, false, true),
        (SslMode::Require, true, true),
        (SslMode::VerifyCa, true, true),
        (SslMode::VerifyFull, true, true),
        (SslMode::VerifyCa, false, false),
        (SslMode::VerifyFull, false, false),
    ];
    check_certificate("127.0.0.1", &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_host_fails_full_verification_alone() {
    let cases = [
        (SslMode::Require, false, true),
        (SslMode::VerifyCa, true, true),
        (SslMode::VerifyCa, false, false),
        (SslMode::VerifyFull, true, false),
    ];
    check_certificate("elsewhere.example", &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_by_name_unless_that_was_allowed() {
    on_both(
        |cluster| cluster,
        async |server| {
            for (mode, works) in [
                (SslMode::Prefer, true),
                (SslMode::Require, false),
                (SslMode::VerifyFull, false),
            ] {
                let config = server.config().ssl_mode(mode);
                let pool = builder(config).max_size(1).build().unwrap();
                match pool.get().await {
                    Ok(connection) => {
                        assert!(works);
                        connection.batch_execute("SELECT 1").await.unwrap();
                    }
                    Err(error) => {
                        assert!(!works);
                        let cause = error.connect_error().unwrap();
                        assert!(matches!(**cause, Error::NoTls { .. }), "{cause:?}");
                        assert_eq!(cause.class(), ErrorClass::Permanent);
                        assert!(cause.to_string().contains("`ssl_mode`"));
                    }
                }
            }
        },
    )
    .await;
}
