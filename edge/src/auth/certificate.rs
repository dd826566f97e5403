//! The device's own certificate (RFC 5280): self-signed, ECDSA on P-256, made at the first start together with its key.
//!
//! Both are in one PEM file, so that a power cut leaves both or none. The clock may show 1970 when it is made: it is valid from
//! then to 9999-12-31, which is how RFC 5280, 4.1.2.5 writes "no end".

use crate::store::files;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// The file in `auth.dir`.
pub const FILE: &str = "tls.pem";
const MOST_BYTES: u64 = 64 << 10;

/// Certificate and private key, as PEM.
pub type Pem = Zeroizing<Vec<u8>>;

/// What is in the file.
///
/// # Errors
/// It is not there, or cannot be read.
pub fn read(path: &Path) -> io::Result<Pem> {
    files::read_bounded(path, MOST_BYTES).map(Zeroizing::new)
}

/// Makes a certificate and its key for a device called `name`.
///
/// # Errors
/// The name cannot stand in a certificate.
pub fn make(name: &str) -> Result<Pem, rcgen::Error> {
    let key = KeyPair::generate()?;
    let names = [name.to_owned(), format!("{name}.local"), "localhost".to_owned()];
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    let key_text = Zeroizing::new(key.serialize_pem());
    let mut pem = Zeroizing::new(params.self_signed(&key)?.pem().into_bytes());
    pem.extend_from_slice(key_text.as_bytes());
    Ok(pem)
}

/// Puts them there, for their owner alone.
///
/// # Errors
/// They cannot be written.
pub fn save(path: &Path, pem: &Pem) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(files::parent(path))?;
    files::replace(path, pem, OpenOptions::new().mode(0o600))
}

/// SHA-256 of the certificate, as browsers show it: `AB:CD:...`.
pub fn fingerprint(pem: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    let digits: Vec<String> = Sha256::digest(&certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    Some(digits.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn a_certificate_is_valid_whatever_the_clock_shows_and_its_key_is_the_owners_alone() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("state/tls.pem");
        let pem = make("barn").expect("made");
        save(&path, &pem).expect("saved");
        let mode = std::fs::metadata(&path).expect("file").permissions().mode();
        assert_eq!((read(&path).expect("read"), mode & 0o777), (pem.clone(), 0o600));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "x509",
            "-noout",
            "-dates",
            "-subject",
            "-fingerprint",
            "-sha256",
            "-ext",
            "subjectAltName",
        ]);
        let output = openssl.arg("-in").arg(&path).output().expect("openssl is installed");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let fingerprint = fingerprint(&pem).expect("a certificate");
        for part in [
            "notBefore=Jan  1 00:00:00 1970 GMT",
            "notAfter=Dec 31 00:00:00 9999 GMT",
            "CN = barn",
            "DNS:barn, DNS:barn.local, DNS:localhost",
            &fingerprint,
        ] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
    }
}
