//! ConfigMaps, Secrets and ServiceAccounts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use podspec::json::{fields, flag, text};
use podspec::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::edit::{immutable, keep, path, selectable};
use crate::kinds::Rules;

pub static CONFIG_MAPS: ConfigMaps = ConfigMaps;
pub static SECRETS: Secrets = Secrets;
pub static SERVICE_ACCOUNTS: ServiceAccounts = ServiceAccounts;

/// All values of one object together.
const BYTES_MAX: usize = 1 << 20;
const KEY_BYTES_MAX: usize = 253;
const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const HELD: &str = "field is immutable when `immutable` is set";

#[derive(Debug)]
pub struct ConfigMaps;

impl Rules for ConfigMaps {
    fn validate(&self, map: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut bytes = 0;
        for (key, value) in fields(&map["data"]) {
            let at = path(&["data"]).key(key);
            super::edit::invalid(&mut errors, &at, key, key_messages(key));
            if map["binaryData"].get(key).is_some() {
                errors.push(FieldError::invalid(at, key.as_str(), "duplicate of key present in binaryData"));
            }
            bytes += value.as_str().map_or(0, str::len);
        }
        for (key, value) in fields(&map["binaryData"]) {
            super::edit::invalid(&mut errors, &path(&["binaryData"]).key(key), key, key_messages(key));
            bytes += decoded_bytes(value);
        }
        if bytes > BYTES_MAX {
            errors.push(FieldError::too_long(FieldPath::root().child("[]"), BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = held(new, old, &["data", "binaryData"]);
        errors.extend(self.validate(new));
        errors
    }
}

#[derive(Debug)]
pub struct Secrets;

const OPAQUE: &str = "Opaque";
const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

impl Rules for Secrets {
    fn default(&self, secret: &mut Value) {
        let Some(object) = secret.as_object_mut() else { return };
        super::set_default(object, "type", OPAQUE);
        // What is written as text is kept as data.
        let Some(Value::Object(texts)) = object.remove("stringData") else { return };
        let data = object.entry("data").or_insert_with(|| json!({}));
        if data.is_null() {
            *data = json!({});
        }
        let Some(data) = data.as_object_mut() else { return };
        for (key, value) in texts {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or("")).into());
        }
    }

    fn validate(&self, secret: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let at = path(&["data"]);
        let mut bytes = 0;
        for (key, value) in fields(&secret["data"]) {
            super::edit::invalid(&mut errors, &at.key(key), key, key_messages(key));
            bytes += decoded_bytes(value);
        }
        if bytes > BYTES_MAX {
            errors.push(FieldError::too_long(at, BYTES_MAX));
        }
        of_type(secret, &mut errors);
        errors
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        if text(new, "type").is_empty() {
            keep(new, old, "type");
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        immutable(&mut errors, new, old, &["type"]);
        errors.extend(held(new, old, &["data"]));
        errors.extend(self.validate(new));
        errors
    }

    fn fields(&self, secret: &Value) -> Vec<(&'static str, String)> {
        selectable(secret, &["type"])
    }
}

/// What a secret of a known type has to hold (<https://kubernetes.io/docs/concepts/configuration/secret/#secret-types>).
fn of_type(secret: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["data"]);
    let data = fields(&secret["data"]);
    let mut require = |key: &str| {
        if !data.contains_key(key) {
            errors.push(FieldError::required(at.key(key), ""));
        }
    };
    match text(secret, "type") {
        SERVICE_ACCOUNT_TOKEN
            if text(&secret["metadata"]["annotations"], SERVICE_ACCOUNT_NAME).is_empty() =>
        {
            let at = path(&["metadata", "annotations"]).key(SERVICE_ACCOUNT_NAME);
            errors.push(FieldError::required(at, ""));
        }
        "kubernetes.io/dockercfg" => json_at(data.get(".dockercfg"), &at.key(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => {
            json_at(data.get(".dockerconfigjson"), &at.key(".dockerconfigjson"), errors);
        }
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            require("username");
            require("password");
        }
        "kubernetes.io/ssh-auth" if data.get("ssh-privatekey").is_none_or(|key| decoded_bytes(key) == 0) => {
            errors.push(FieldError::required(at.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            require("tls.crt");
            require("tls.key");
        }
        _ => {}
    }
}

/// A value that has to be JSON. It is a secret, so the error does not show it.
fn json_at(value: Option<&Value>, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(value) = value else {
        errors.push(FieldError::required(at.clone(), ""));
        return;
    };
    let bytes = STANDARD.decode(value.as_str().unwrap_or("")).unwrap_or_default();
    if !serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value.is_object()) {
        errors.push(FieldError::invalid(at.clone(), "<secret contents redacted>", "must be a JSON object"));
    }
}

#[derive(Debug)]
pub struct ServiceAccounts;

impl Rules for ServiceAccounts {}

/// The fields that an object marked `immutable` keeps.
fn held(new: &Value, old: &Value, names: &[&str]) -> Vec<FieldError> {
    if !flag(old, "immutable") {
        return Vec::new();
    }
    let mut errors = Vec::new();
    if !flag(new, "immutable") {
        errors.push(FieldError::forbidden(path(&["immutable"]), HELD));
    }
    for name in names {
        if fields(&new[*name]) != fields(&old[*name]) {
            errors.push(FieldError::forbidden(path(&[name]), HELD));
        }
    }
    errors
}

fn key_messages(key: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if key.len() > KEY_BYTES_MAX {
        messages.push(format!("must be no more than {KEY_BYTES_MAX} characters"));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        messages.push(KEY.to_owned());
    }
    match key {
        "." => messages.push("must not be '.'".to_owned()),
        ".." => messages.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => messages.push("must not start with '..'".to_owned()),
        _ => {}
    }
    messages
}

/// The length of what base64 stands for.
fn decoded_bytes(value: &Value) -> usize {
    let text = value.as_str().unwrap_or("").trim_end_matches('=');
    text.len() * 3 / 4
}

#[cfg(test)]
mod tests {
    use super::{CONFIG_MAPS, SECRETS};
    use crate::kinds::Rules as _;
    use serde_json::json;

    fn texts(errors: &[podspec::FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_are_checked() {
        let map = json!({"data": {"a b": "", "": "", "..x": "", "both": ""}, "binaryData": {"both": ""}});
        let errors = texts(&CONFIG_MAPS.validate(&map));
        assert!(
            errors[0].starts_with("data[]: Invalid value: \"\": a valid config key must consist of"),
            "{errors:?}"
        );
        assert_eq!(errors[1], "data[..x]: Invalid value: \"..x\": must not start with '..'");
        assert!(errors[2].starts_with("data[a b]: Invalid value: \"a b\": a valid config key"), "{errors:?}");
        assert_eq!(errors[3], "data[both]: Invalid value: \"both\": duplicate of key present in binaryData");
    }

    #[test]
    fn immutable_ones_keep_their_data() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        let new = json!({"data": {"a": "2"}});
        assert_eq!(
            texts(&CONFIG_MAPS.validate_update(&new, &old, None)),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
        assert_eq!(CONFIG_MAPS.validate_update(&old, &old, None), []);
    }

    #[test]
    fn secrets_hold_what_their_type_needs() {
        let mut secret = json!({"stringData": {"a": "b"}, "data": {"c": "ZA=="}});
        SECRETS.default(&mut secret);
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "Yg==", "c": "ZA=="}}));
        for (kind, errors) in [
            ("kubernetes.io/tls", vec!["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
            (
                "kubernetes.io/basic-auth",
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            ("kubernetes.io/ssh-auth", vec!["data[ssh-privatekey]: Required value"]),
            ("kubernetes.io/dockercfg", vec!["data[.dockercfg]: Required value"]),
            (
                "kubernetes.io/service-account-token",
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
            ("example.com/own", vec![]),
        ] {
            assert_eq!(texts(&SECRETS.validate(&json!({"type": kind}))), errors, "{kind}");
        }
        let changed =
            texts(&SECRETS.validate_update(&json!({"type": "x"}), &json!({"type": "Opaque"}), None));
        assert_eq!(changed, ["type: Invalid value: \"x\": field is immutable"]);
    }
}
