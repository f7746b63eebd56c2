//! TLS with a certificate authority of one's own: trusted where it is named, refused where not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use toolbench::tools::connect::HostSpec;
use toolbench::types::Code;
use toolbench::types::host::HostAddress;

use super::server::{Server, mcp_answer, mcp_reply};
use super::sockets::{faultless, serve_grpc};
use super::{call_once, host_of, spec, within_limit};

/// An authority and a certificate of it for 127.0.0.1.
struct Authority {
    folder: tempfile::TempDir,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut own = CertificateParams::new(Vec::new()).unwrap();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = CertifiedIssuer::self_signed(own, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &own)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        Self {
            folder,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn server(&self) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap(),
            );
        Arc::new(config.unwrap())
    }
}

/// Works with the authority, and says why without it.
async fn works_only_with(authority: &Authority, mut spec: HostSpec) {
    let error = call_once(&spec).await.unwrap_err();
    assert_eq!(error.code, Code::ToolErrorEnv, "{error}");
    assert!(
        error.message.to_lowercase().contains("certificate"),
        "{error}"
    );
    assert!(error.message.contains("`--ca FILE`"), "{error}");
    spec.certificate_authority = Some(authority.file());
    let result = call_once(&spec).await.unwrap();
    assert!(result.content.contains("zebra"), "{}", result.content);
    spec.certificate_authority = Some(authority.folder.path().join("none.pem"));
    let error = host_of(&spec).list().await.unwrap_err();
    assert!(
        error.message.contains("cannot read certificate authority"),
        "{error}"
    );
}

#[test]
fn an_own_authority_is_trusted_over_http() {
    within_limit(async {
        let authority = Authority::new();
        let server = Server::start_tls(authority.server(), mcp_reply);
        let url = format!("https://{}/mcp", server.address);
        works_only_with(&authority, spec(HostAddress::Http { url })).await;
    });
}

#[test]
fn an_own_authority_is_trusted_over_websocket() {
    within_limit(async {
        let authority = Authority::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tls = authority.server();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(8).flatten() {
                let _ = stream.set_read_timeout(Some(Duration::from_mins(1)));
                let session = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
                let stream = rustls::StreamOwned::new(session, stream);
                let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else {
                    continue;
                };
                while let Ok(message) = socket.read() {
                    let text = message.to_text().unwrap_or_default();
                    let message = serde_json::from_str(text).unwrap_or_default();
                    if let Some(answer) = mcp_answer(&message) {
                        let _ = socket.send(answer.to_string().into());
                    }
                }
            }
        });
        let url = format!("wss://{address}/mcp");
        works_only_with(&authority, spec(HostAddress::WebSocket { url })).await;
    });
}

#[test]
fn an_own_authority_is_trusted_over_grpc() {
    within_limit(async {
        let authority = Authority::new();
        let identity = tonic::transport::Identity::from_pem(&authority.certificate, &authority.key);
        let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
        let address = serve_grpc(faultless, Some(tls)).await;
        let address = format!("https://{address}");
        works_only_with(&authority, spec(HostAddress::Grpc { address })).await;
    });
}
