//! CAs and client certificates of a host, where docker and podman look for them: `DIR/HOST[:PORT]/` with
//! `*.crt`, and `NAME.cert` with `NAME.key` (containers-certs.d(5)).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::file::ClientFiles;
use super::{HostsError, Identity};

/// Of a file of certificates; the roots of a whole system are a quarter of that.
const FILE_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 64;
const CERTIFICATES_MAX: usize = 1024;

/// What a directory holds for one host.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct CertificateFiles {
    pub(super) ca: Vec<PathBuf>,
    pub(super) client: Option<ClientFiles>,
}

/// `None` when there is no such directory, or nothing of that in it.
pub(super) fn find(directory: &Path) -> Result<Option<CertificateFiles>, HostsError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(directory, &error)),
    };
    let mut files = vec![];
    for entry in entries {
        if files.len() == FILES_MAX {
            let problem = format!("has more than {FILES_MAX} files");
            return Err(HostsError { path: directory.to_owned(), line: None, problem });
        }
        files.push(entry.map_err(|error| unreadable(directory, &error))?.path());
    }
    files.sort();
    sort_out(&files)
}

/// By the ends of their names.
fn sort_out(files: &[PathBuf]) -> Result<Option<CertificateFiles>, HostsError> {
    let ends_with =
        |end: &'static str| files.iter().filter(move |file| file.extension().is_some_and(|e| e == end));
    let partner = |file: &PathBuf, end: &str| {
        let partner = file.with_extension(end);
        if files.contains(&partner) {
            return Ok(partner);
        }
        let name = partner.file_name().unwrap_or_default().display().to_string();
        let problem = format!("needs {name} beside it, which is not there");
        Err(HostsError { path: file.clone(), line: None, problem })
    };
    for key in ends_with("key") {
        partner(key, "cert")?;
    }
    let mut client = None;
    for certificate in ends_with("cert") {
        let key = Some(partner(certificate, "key")?);
        if client.is_some() {
            let problem = "is the second client certificate of this host; one can be used".to_owned();
            return Err(HostsError { path: certificate.clone(), line: None, problem });
        }
        client = Some(ClientFiles { certificate: certificate.clone(), key });
    }
    let ca: Vec<_> = ends_with("crt").cloned().collect();
    let is_empty = ca.is_empty() && client.is_none();
    Ok((!is_empty).then_some(CertificateFiles { ca, client }))
}

/// The certificates of some files, as DER; each has been seen to be one that can be trusted.
pub(super) fn read_ca(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, HostsError> {
    let mut ca = vec![];
    for path in files {
        let fail = |problem: String| HostsError { path: path.clone(), line: None, problem };
        let pem = read_bounded(path)?;
        let before = ca.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| fail(format!("is not PEM: {error}")))?;
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|error| fail(format!("has a certificate that cannot be trusted: {error}")))?;
            ca.push(certificate.to_vec());
            if ca.len() > CERTIFICATES_MAX {
                return Err(fail(format!("is one certificate too many; {CERTIFICATES_MAX} can be used")));
            }
        }
        if ca.len() == before {
            return Err(fail("has no certificate in PEM in it".to_owned()));
        }
    }
    Ok(ca)
}

/// A client's certificates and the key that belongs to them.
pub(super) fn read_identity(files: &ClientFiles) -> Result<Identity, HostsError> {
    let fail = |path: &Path, problem: String| HostsError { path: path.to_owned(), line: None, problem };
    let mut pem = read_bounded(&files.certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .take(CERTIFICATES_MAX)
        .collect::<Result<_, _>>()
        .map_err(|error| fail(&files.certificate, format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(fail(&files.certificate, "has no certificate in PEM in it".to_owned()));
    }
    let key_file = files.key.as_ref().unwrap_or(&files.certificate);
    if files.key.is_some() {
        pem.push(b'\n');
        pem.extend(read_bounded(key_file)?);
    }
    // The words of the PEM reader hold nothing of the key.
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| fail(key_file, format!("has no private key in PEM in it: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| fail(key_file, format!("does not fit {}: {error}", files.certificate.display())))?;
    Ok(Identity { pem })
}

/// A regular file: nothing else is opened, so that nothing waits for a pipe's writer.
fn read_bounded(path: &Path) -> Result<Vec<u8>, HostsError> {
    read_small(path, FILE_BYTES_MAX)
}

pub(super) fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>, HostsError> {
    let fail = |problem: String| HostsError { path: path.to_owned(), line: None, problem };
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(fail("is not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = vec![];
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(fail(format!("is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> HostsError {
    HostsError { path: path.to_owned(), line: None, problem: format!("cannot be read: {error}") }
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
