//! What makes one object different from all others: its uid, and the rest of a generated name.

use serde_json::{Map, Value};

/// Random bytes for one object.
pub const IDENTITY_BYTES: usize = 24;

/// No vowels and nothing that looks like one, so that no words come out.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_CHARS: usize = 5;

/// A generated name keeps within a DNS label, as the API server has it.
const GENERATED_PREFIX_BYTES_MAX: usize = 63 - SUFFIX_CHARS;

/// Gives a pod its uid, and its name when it asks for a generated one. Drops what only a server may
/// set.
pub(crate) fn assign(pod: &mut Value, random: &[u8; IDENTITY_BYTES]) {
    let Some(pod) = pod.as_object_mut() else { return };
    pod.remove("status");
    let metadata = pod.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return };
    for name in [
        "selfLink",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ] {
        metadata.remove(name);
    }
    metadata.insert("uid".to_owned(), uuid(random).into());
    let text = |name| metadata.get(name).and_then(Value::as_str).unwrap_or("");
    if text("name").is_empty() && !text("generateName").is_empty() {
        let name = generated_name(text("generateName"), random);
        metadata.insert("name".to_owned(), name.into());
    }
}

/// A version 4 UUID (RFC 9562).
#[must_use]
pub fn uuid(random: &[u8; IDENTITY_BYTES]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in random.iter().take(16).enumerate() {
        let byte = match i {
            6 => byte & 0x0f | 0x40,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        if [4, 6, 8, 10].contains(&i) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// `prefix`, cut to what leaves room, and five letters. Independent of [`uuid`] of the same bytes.
#[must_use]
pub fn generated_name(prefix: &str, random: &[u8; IDENTITY_BYTES]) -> String {
    let mut name: String = prefix.to_owned();
    while name.len() > GENERATED_PREFIX_BYTES_MAX {
        name.pop();
    }
    let letters = random[16..].iter().take(SUFFIX_CHARS);
    name.extend(letters.map(|b| char::from(SUFFIX_ALPHABET[usize::from(*b) % SUFFIX_ALPHABET.len()])));
    name
}
