//! Where a member stands in the JSON of a stored object: to copy it, or leave it out, without reading the rest.
//!
//! What is stored was written by this server. Of anything that is no JSON nothing is found, which costs time alone.

use std::ops::Range;

use serde_json::Value;

/// The value of `metadata`, as it is written.
pub(crate) fn metadata(json: &[u8]) -> Option<&[u8]> {
    json.get(member(json, 0, b"metadata")?.value)
}

/// An object without `metadata.managedFields`, which are often most of it, and nobody selects or prints by them.
///
/// # Errors
/// It is no JSON.
pub(crate) fn without_managed_fields(json: &[u8]) -> serde_json::Result<Value> {
    let Some(managed) = managed_fields(json) else { return serde_json::from_slice(json) };
    let rest = [&json[..managed.start], b"\"managedFields\":null", &json[managed.end..]].concat();
    serde_json::from_slice(&rest)
}

fn managed_fields(json: &[u8]) -> Option<Range<usize>> {
    let metadata = member(json, 0, b"metadata")?.value;
    let managed = member(&json[..metadata.end], metadata.start, b"managedFields")?;
    Some(managed.name_start..managed.value.end)
}

#[derive(PartialEq, Eq, Debug)]
struct Member {
    /// With the quotation mark.
    name_start: usize,
    value: Range<usize>,
}

/// A member of the object that begins at `start`.
fn member(json: &[u8], start: usize, name: &[u8]) -> Option<Member> {
    let mut at = expect(json, start, b'{')?;
    loop {
        let name_start = blank(json, at);
        let name_end = string(json, name_start)?;
        let value_start = blank(json, expect(json, name_end, b':')?);
        let value_end = value(json, value_start)?;
        if json[name_start + 1..name_end - 1] == *name {
            return Some(Member { name_start, value: value_start..value_end });
        }
        at = expect(json, value_end, b',')?;
    }
}

fn blank(json: &[u8], at: usize) -> usize {
    let blanks = json[at..].iter().take_while(|byte| byte.is_ascii_whitespace());
    at + blanks.count()
}

/// Behind `byte` and what is blank before it.
fn expect(json: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = blank(json, at);
    (json.get(at) == Some(&byte)).then_some(at + 1)
}

/// Behind a string.
fn string(json: &[u8], at: usize) -> Option<usize> {
    let mut at = expect(json, at, b'"')?;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind any value.
fn value(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match json.get(at)? {
            b'"' => at = string(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' => {
                at += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            // A number or a word.
            _ => {
                let rest = json[at..].iter();
                at += rest
                    .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
                    .count()
                    .max(1);
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{metadata, without_managed_fields};

    #[test]
    fn members_are_found_whatever_stands_around_them() {
        let managed = json!([{ "manager": "\"}],{", "fieldsV1": { "f:metadata": { "f:a\\\"": {} } } }]);
        let objects = [
            json!({ "metadata": { "name": "a", "managedFields": managed }, "spec": { "metadata": 1 } }),
            json!({ "a": "\\\"metadata\":", "metadata": { "managedFields": managed, "name": "a" } }),
            json!({ "metadata": { "annotations": { "managedFields": "{" }, "managedFields": [] }, "n": -1.5e3, "t": true }),
            json!({ "metadata": { "managedFields": null }, "list": [[], {}, [{ "metadata": {} }], ""] }),
            json!({ "metadata": {} }),
        ];
        for mut object in objects {
            for text in [object.to_string(), serde_json::to_string_pretty(&object).unwrap()] {
                let found: Value = serde_json::from_slice(metadata(text.as_bytes()).unwrap()).unwrap();
                assert_eq!(found, object["metadata"], "{text}");
                let mut lean = without_managed_fields(text.as_bytes()).unwrap();
                let rest = lean["metadata"].as_object_mut().unwrap().remove("managedFields");
                assert_eq!(rest.unwrap_or_default(), Value::Null, "{text}");
                let mut expected = object.clone();
                expected["metadata"].as_object_mut().unwrap().remove("managedFields");
                assert_eq!(lean, expected, "{text}");
            }
            object["metadata"].take();
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        let deep = [vec![b'['; 100_000], vec![b'{'; 100_000]].concat();
        let texts: [&[u8]; 12] = [
            b"",
            b"{",
            b"{}",
            b"[]",
            b"1",
            b"{\"metadata\"",
            b"{\"metadata\":",
            b"{\"metadata\":{",
            b"{\"metadata\":\"\\",
            b"{\"a\":1,",
            b"}}}}",
            &deep,
        ];
        for text in texts {
            assert_eq!(metadata(text), None, "{}", String::from_utf8_lossy(&text[..text.len().min(20)]));
        }
        for cut in 0..40 {
            let text = &br#"{"metadata":{"managedFields":[{"a":"b"}]},"x":1}"#[..cut];
            assert!(without_managed_fields(text).is_err());
        }
    }
}
