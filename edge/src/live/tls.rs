//! The certificate and the protocols of HTTPS: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1 (RFC 7301).

use super::server::Error;
use crate::auth::certificate;
use crate::config;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use service::door::PROTOCOLS;
use std::path::Path;
use std::sync::Arc;

/// Reads the certificate chain and its key.
pub(super) fn load(tls: &config::Tls) -> Result<Arc<ServerConfig>, Error> {
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(&tls.cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| refused(&tls.key, &error))?;
    with(chain, key).map_err(|error| refused(&tls.cert, &error))
}

/// The device's own certificate at `path`; makes one where there is none that can be used. Gives its fingerprint too.
pub(super) fn own(path: &Path, name: &str) -> Result<(Arc<ServerConfig>, String), Error> {
    let parsed = |pem: &certificate::Pem| {
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
        let config = with(chain, PrivateKeyDer::from_pem_slice(pem).ok()?).ok()?;
        Some((config, certificate::fingerprint(pem)?))
    };
    if let Some(found) = certificate::read(path).ok().as_ref().and_then(parsed) {
        return Ok(found);
    }
    let pem = certificate::make(name).map_err(|error| refused(path, &error))?;
    match certificate::save(path, &pem) {
        Ok(()) => tracing::info!(path = %path.display(), "certificate made"),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the certificate cannot be kept: the next start makes another one");
        }
    }
    parsed(&pem).ok_or_else(|| refused(path, &"the certificate that was made cannot be used"))
}

fn with(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Certificate { path: path.to_owned(), message: error.to_string() }
}
