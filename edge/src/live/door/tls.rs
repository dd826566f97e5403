//! The certificate and the protocols of HTTPS: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1 (RFC 7301).

use super::Error;
use crate::config;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The name of HTTP/2 in ALPN.
pub(super) const H2: &[u8] = b"h2";

/// Reads the certificate chain and its key.
pub(super) fn acceptor(tls: &config::Tls) -> Result<TlsAcceptor, Error> {
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(&tls.cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| refused(&tls.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| refused(&tls.cert, &error))?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Certificate { path: path.to_owned(), message: error.to_string() }
}
