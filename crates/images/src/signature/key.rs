//! Public keys, as PEM: P-256 and Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

/// All that is before the point in the one DER form of a P-256 key (RFC 5480).
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P256_POINT_BYTES: usize = 65;
/// Likewise of an Ed25519 key (RFC 8410).
const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const ED25519_POINT_BYTES: usize = 32;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PublicKey {
    P256([u8; P256_POINT_BYTES]),
    Ed25519([u8; ED25519_POINT_BYTES]),
}

impl PublicKey {
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let mut keys = SubjectPublicKeyInfoDer::pem_slice_iter(pem);
        let key = match keys.next() {
            Some(Ok(key)) => key,
            Some(Err(_)) => return Err("is not PEM"),
            None => return Err("has no PUBLIC KEY in PEM in it"),
        };
        if keys.next().is_some() {
            return Err("has more than one key; name each by itself");
        }
        let point = |head: &[u8]| key.strip_prefix(head);
        let p256 = point(&P256_HEAD).and_then(|point| point.try_into().ok()).map(Self::P256);
        let ed25519 = point(&ED25519_HEAD).and_then(|point| point.try_into().ok()).map(Self::Ed25519);
        p256.or(ed25519).ok_or("has a key that is neither P-256 nor Ed25519")
    }

    /// The PEM in base64, as `keyData` has it.
    pub(super) fn from_base64(text: &str) -> Result<Self, &'static str> {
        Self::from_pem(&STANDARD.decode(text).map_err(|_| "is not base64")?)
    }

    /// ECDSA over SHA-256 in DER, or Ed25519 of the message itself.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Self::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        verified.is_ok()
    }
}
