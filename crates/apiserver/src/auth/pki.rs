//! The keys and certificates of a server: in one directory, where they are made when missing, and renewed before they
//! expire and when the server's names change; or in memory alone.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use podspec::WallTime;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::tokens::Tokens;
use crate::entropy;
use crate::file::replace;
use crate::request::MASTERS;

const CA_DAYS: i64 = 3_650;
const LEAF_DAYS: i64 = 365;
/// Certificates that end sooner are renewed.
const LEFT_DAYS_MIN: i64 = 60;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot read or write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot read the {what} in {}: restore it, or remove the directory to have new ones made", path.display())]
    Damaged { what: &'static str, path: PathBuf },
    #[error("cannot make the certificate {name}")]
    Make { name: &'static str, source: rcgen::Error },
}

/// Under which names a server's certificate is valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    pub node: String,
    pub addresses: Vec<IpAddr>,
    /// Of the Service `default/kubernetes`.
    pub services: Vec<IpAddr>,
}

/// A private key and its certificate, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Pki {
    /// The certificate that clients trust, as PEM.
    pub ca: String,
    pub server: Identity,
    pub admin: Identity,
    pub tokens: Tokens,
}

impl Names {
    fn dns(&self) -> Vec<String> {
        let fixed = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let mut names: Vec<String> = fixed.map(str::to_owned).to_vec();
        names.push(self.node.clone());
        names.sort();
        names.dedup();
        names
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        addresses.extend(self.services.iter().chain(&self.addresses));
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

impl Pki {
    /// Reads what is in `directory`, and makes what is missing or about to end.
    ///
    /// # Errors
    /// Files cannot be read or written, or are damaged.
    pub fn open(directory: &Path, names: &Names) -> Result<Self, PkiError> {
        let file_error = |source| PkiError::File { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(file_error)?;
        Self::of(&Files(Some(directory)), names)
    }

    /// Makes all anew, for a server whose clients need not know it tomorrow.
    ///
    /// # Errors
    /// Keys cannot be made.
    pub fn make(names: &Names) -> Result<Self, PkiError> {
        Self::of(&Files(None), names)
    }

    fn of(files: &Files<'_>, names: &Names) -> Result<Self, PkiError> {
        let now = entropy::now();
        let (ca_key, made) = files.key("ca.key")?;
        let ca = match files.text("ca.crt")? {
            Some(text) if !made && Facts::of(&text).is_some_and(|facts| facts.lasts(now)) => text,
            _ => {
                let certificate = ca_params(now).self_signed(&ca_key);
                let text = certificate.map_err(|source| PkiError::Make { name: "ca", source })?.pem();
                files.write("ca.crt", text.as_bytes())?;
                text
            }
        };
        let issuer = Issuer::new(ca_params(now), ca_key);
        let maker = Maker { files, issuer: &issuer, ca: &ca, now };
        let server = maker.identity("server", &server_params(names, now))?;
        let admin = maker.identity("admin", &admin_params(now))?;
        Ok(Self { ca, server, admin, tokens: tokens(files)? })
    }

    pub(crate) fn ca_der(&self) -> Option<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.ca.as_bytes()).ok()
    }

    pub(crate) fn server_der(&self) -> Option<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let certificate = CertificateDer::from_pem_slice(self.server.certificate.as_bytes()).ok()?;
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).ok()?;
        Some((certificate, key))
    }
}

fn tokens(files: &Files<'_>) -> Result<Tokens, PkiError> {
    const NAME: &str = "service-account.key";
    let pkcs8 = match files.bytes(NAME)? {
        Some(bytes) => bytes,
        None => {
            let bytes = Tokens::generate();
            files.write(NAME, &bytes)?;
            bytes
        }
    };
    Tokens::new(&pkcs8)
        .ok_or_else(|| PkiError::Damaged { what: "key of service accounts", path: files.path(NAME) })
}

struct Maker<'a> {
    files: &'a Files<'a>,
    issuer: &'a Issuer<'static, KeyPair>,
    ca: &'a str,
    now: WallTime,
}

impl Maker<'_> {
    /// The certificate of this name, renewed when it would not do.
    fn identity(&self, name: &'static str, wanted: &CertificateParams) -> Result<Identity, PkiError> {
        let file = format!("{name}.crt");
        let (key, made) = self.files.key(if name == "server" { "server.key" } else { "admin.key" })?;
        let wanted_names = sorted(wanted.subject_alt_names.iter().map(|name| format!("{name:?}")));
        let will_do = |text: &str| {
            let facts = Facts::of(text)?;
            let is_ours = Facts::is_signed_by(text, self.ca)?;
            Some(!made && is_ours && facts.lasts(self.now) && facts.names == wanted_names)
        };
        let certificate = match self.files.text(&file)? {
            Some(text) if will_do(&text).unwrap_or(false) => text,
            _ => {
                let certificate = wanted.signed_by(&key, self.issuer);
                let text = certificate.map_err(|source| PkiError::Make { name, source })?.pem();
                self.files.write(&file, text.as_bytes())?;
                text
            }
        };
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

/// What an existing certificate says.
struct Facts {
    ends_seconds: i64,
    /// As `rcgen` would print them.
    names: Vec<String>,
}

impl Facts {
    fn of(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let extension = certificate.subject_alternative_name().ok()?;
        let general = extension.iter().flat_map(|extension| &extension.value.general_names);
        let names = sorted(general.filter_map(san).map(|name| format!("{name:?}")));
        Some(Self { ends_seconds: certificate.validity().not_after.timestamp(), names })
    }

    fn is_signed_by(pem: &str, ca: &str) -> Option<bool> {
        let (leaf, ca) = (
            CertificateDer::from_pem_slice(pem.as_bytes()).ok()?,
            CertificateDer::from_pem_slice(ca.as_bytes()).ok()?,
        );
        let (_, leaf) = X509Certificate::from_der(&leaf).ok()?;
        let (_, ca) = X509Certificate::from_der(&ca).ok()?;
        let of_leaf = leaf.extensions().iter().find_map(|e| match e.parsed_extension() {
            x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
                id.key_identifier.as_ref()
            }
            _ => None,
        })?;
        let of_ca = ca.extensions().iter().find_map(|e| match e.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id),
            _ => None,
        })?;
        Some(of_leaf == of_ca)
    }

    fn lasts(&self, now: WallTime) -> bool {
        self.ends_seconds - now.0.div_euclid(1_000_000_000) > LEFT_DAYS_MIN * 86_400
    }
}

fn san(name: &GeneralName<'_>) -> Option<SanType> {
    match name {
        GeneralName::DNSName(name) => Some(SanType::DnsName((*name).try_into().ok()?)),
        GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Some(SanType::IpAddress(address))
        }
        _ => None,
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The directory of a server's files; without one nothing is kept.
struct Files<'a>(Option<&'a Path>);

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.unwrap_or(Path::new("")).join(name)
    }

    /// A private key, and whether it was made just now.
    fn key(&self, name: &'static str) -> Result<(KeyPair, bool), PkiError> {
        if let Some(text) = self.text(name)? {
            let damaged = |_| PkiError::Damaged { what: "private key", path: self.path(name) };
            return Ok((KeyPair::from_pem(&text).map_err(damaged)?, false));
        }
        let key = KeyPair::generate().map_err(|source| PkiError::Make { name, source })?;
        self.write(name, key.serialize_pem().as_bytes())?;
        Ok((key, true))
    }

    fn text(&self, name: &str) -> Result<Option<String>, PkiError> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        // What is no text is no PEM either, and is said to be damaged where that is found.
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// An empty file is none.
    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, PkiError> {
        if self.0.is_none() {
            return Ok(None);
        }
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PkiError::File { path: self.path(name), source }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PkiError> {
        if self.0.is_none() {
            return Ok(());
        }
        let path = self.path(name);
        replace(&path, bytes, 0o600).map_err(|source| PkiError::File { path, source })
    }
}

fn params(common_name: &str, now: WallTime, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let date = |days: i64| {
        let civil = WallTime(now.0.saturating_add(days * 86_400 * 1_000_000_000)).civil();
        date_time_ymd(i32::try_from(civil.year).unwrap_or(1970), civil.month, civil.day)
    };
    // Clocks that are a little behind are no reason to refuse.
    params.not_before = date(-1);
    params.not_after = date(days);
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(now: WallTime) -> CertificateParams {
    let mut params = params("monopod", now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn server_params(names: &Names, now: WallTime) -> CertificateParams {
    let mut params = params("kube-apiserver", now, LEAF_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A node whose name cannot stand in a certificate is reached by its address.
    let dns = names.dns().into_iter().filter_map(|name| Some(SanType::DnsName(name.try_into().ok()?)));
    params.subject_alt_names = dns.chain(names.addresses().into_iter().map(SanType::IpAddress)).collect();
    params
}

fn admin_params(now: WallTime) -> CertificateParams {
    let mut params = params("system:admin", now, LEAF_DAYS);
    params.distinguished_name.push(DnType::OrganizationName, MASTERS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The user that a verified client certificate names: its common name, in its organizations.
pub(crate) fn user_of(certificate: &CertificateDer<'_>) -> Option<crate::request::User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let mut groups: Vec<&str> =
        subject.iter_organization().filter_map(|organization| organization.as_str().ok()).collect();
    groups.push(crate::request::AUTHENTICATED);
    Some(crate::request::User::in_groups(name, &groups))
}
