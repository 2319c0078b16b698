//! Whatever a registry says is read or refused, and nothing panics.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;

use super::manifest::{self, Target};
use super::{answer, challenge, token};
use crate::digest::Digest;

const ROUNDS: u64 = 20_000;

/// Xorshift: the same texts in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// One of `texts` with some bytes changed, taken away, doubled or put in.
    fn mutate(&mut self, texts: &[&str]) -> Vec<u8> {
        let mut bytes = texts[self.below(texts.len())].as_bytes().to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len().max(1)).min(bytes.len());
            match self.below(4) {
                0 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => {
                    let again = bytes[at..].to_vec();
                    bytes.extend(again);
                }
                _ => bytes.insert(at, b"\"\\{}[],=: /-*9\t"[self.below(15)]),
            }
        }
        bytes
    }
}

#[test]
fn headers_may_be_anything() {
    let names: [(HeaderName, &[&str]); 4] = [
        (
            header::WWW_AUTHENTICATE,
            &["Bearer realm=\"https://a/t\",service=\"s\",scope=\"x\"", "Basic realm=\"a\", Digest a==b"],
        ),
        (header::RETRY_AFTER, &["120", "Sun, 06 Nov 1994 08:49:37 GMT"]),
        (header::CONTENT_RANGE, &["bytes 5-9/10", "bytes */10"]),
        (header::CONTENT_ENCODING, &["identity", "gzip"]),
    ];
    let asked = Url::parse("https://a/v2/").unwrap();
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for _ in 0..ROUNDS {
        let mut headers = HeaderMap::new();
        for (name, texts) in &names {
            if let Ok(value) = HeaderValue::from_bytes(&chance.mutate(texts)) {
                headers.append(name, value);
            }
        }
        if let Ok(challenge::Challenge::Bearer { realm, .. }) = challenge::choose(&asked, &headers) {
            assert!(realm.scheme() == "https" && realm.username().is_empty() && realm.password().is_none());
        }
        answer::retry_after(&headers, SystemTime::now());
        if let Some((first, last, whole)) = answer::content_range(&headers) {
            assert!(first <= last && whole.is_none_or(|whole| last < whole));
        }
        let _ = answer::check_coding(&headers);
    }
}

#[test]
fn documents_may_be_anything() {
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"x"}]}"#;
    let said = r#"{"errors":[{"code":"A","message":"b"}],"details":"c","error":"d"}"#;
    let given = r#"{"token":"a","access_token":"b","expires_in":1e3}"#;
    let mut chance = Chance(0x2545_F491_4F6C_DD1D);
    for _ in 0..ROUNDS {
        let bytes = chance.mutate(&[manifest, said, given]);
        let message = answer::message(&bytes);
        assert!(message.chars().all(|character| !character.is_control()), "{message:?}");
        let _ = token::parse(&bytes);
        let bytes = Bytes::from(bytes);
        let target = Target::Digest(Digest::of(&bytes));
        if let Ok(found) = manifest::check(&target, &HeaderMap::new(), bytes.clone()) {
            assert_eq!((found.digest, found.bytes), (Digest::of(&bytes), bytes));
        }
    }
}
