//! Whether a server's certificate is taken.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

/// The authorities that are trusted. A registry that signed itself, as many do, is its own: a certificate that is
/// configured is taken as it is, though as an authority's it may not be a server's.
#[derive(Debug)]
pub(super) struct Trust {
    provider: Arc<CryptoProvider>,
    anyone: bool,
    system: Arc<Vec<CertificateDer<'static>>>,
    own: Vec<CertificateDer<'static>>,
    /// None without authorities.
    chains: Option<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    /// Every certificate is taken: `skip_verify`.
    pub(super) fn anyone(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, anyone: true, system: Arc::default(), own: Vec::new(), chains: None }
    }

    /// `own` (DER) was configured for this host.
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        system: &Arc<Vec<CertificateDer<'static>>>,
        own: &[Vec<u8>],
    ) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        // One of the system's that cannot be read is one that is not trusted.
        store.add_parsable_certificates(system.iter().cloned());
        let own: Vec<_> = own.iter().map(|ca| CertificateDer::from(ca.clone())).collect();
        for ca in own.iter().cloned() {
            let wrong = |error| format!("a certificate authority that is configured cannot be used: {error}");
            store.add(ca).map_err(wrong)?;
        }
        let chains = if store.is_empty() {
            None
        } else {
            let chains =
                WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build();
            Some(chains.map_err(|error| format!("TLS cannot be set up: {error}"))?)
        };
        Ok(Self { provider, anyone: false, system: Arc::clone(system), own, chains })
    }
}

/// That it is for this name and for this time; who has its key is seen from the handshake.
fn check_itself(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    let encoding = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(encoding)?;
    let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
    let Some(now) = now else { return Err(CertificateError::BadEncoding.into()) };
    if now < parsed.validity().not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.anyone {
            return Ok(ServerCertVerified::assertion());
        }
        if self.own.iter().chain(self.system.iter()).any(|own| own == certificate) {
            return check_itself(certificate, name, now).map(|()| ServerCertVerified::assertion());
        }
        let Some(chains) = &self.chains else { return Err(CertificateError::UnknownIssuer.into()) };
        chains.verify_server_cert(certificate, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::Trust;

    #[test]
    fn who_signed_himself_is_taken_for_his_names_and_while_it_is_time() {
        let mut params = CertificateParams::new(vec!["r.test".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let day = |years: u64| {
            UnixTime::since_unix_epoch(Duration::from_secs((years - 1970) * 31_557_600 + 86_400))
        };
        let mine = Trust::new(provider(), &Arc::default(), &[certificate.der().to_vec()]).unwrap();
        let system = Trust::new(provider(), &Arc::new(vec![certificate.der().clone()]), &[]).unwrap();
        let nobody = Trust::new(provider(), &Arc::default(), &[]).unwrap();
        let anyone = Trust::anyone(provider());
        for (trust, certificate, name, year, expected) in [
            (&mine, &certificate, "r.test", 2025, "ok"),
            (&system, &certificate, "r.test", 2025, "ok"),
            (&mine, &certificate, "s.test", 2025, "NotValidForName"),
            (&mine, &certificate, "r.test", 2019, "NotValidYet"),
            (&mine, &certificate, "r.test", 2031, "Expired"),
            (&mine, &other, "r.test", 2025, "InvalidCertificate"),
            (&nobody, &certificate, "r.test", 2025, "UnknownIssuer"),
            (&anyone, &other, "s.test", 2031, "ok"),
        ] {
            let name = ServerName::try_from(name).unwrap();
            let found = trust.verify_server_cert(certificate.der(), &[], &name, &[], day(year));
            let found = found.map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned());
            assert!(found.contains(expected), "{name:?} {year}: {found}, not {expected}");
        }
    }
}
