//! The v2 document in the protobuf form that kubectl asks for: each object of the JSON form is a message of
//! `openapi.v2` (<https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto>). Only what
//! documents of this crate hold is written.

use serde_json::{Map, Value};

/// The media type of the form, as kubectl asks for it.
pub const ACCEPT: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The media type of the answer: Go refuses one with an `@`.
pub const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A document that [`v2_document`](super::v2_document) made, in protobuf.
#[must_use]
pub fn v2_protobuf(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &document["swagger"]);
    out.message(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(2, &document["info"]["version"]);
    });
    out.message(8, |paths| {
        named(paths, 2, &document["paths"], path_item);
    });
    out.message(9, |definitions| {
        named(definitions, 1, &document["definitions"], schema);
    });
    out.0
}

/// A message under construction. The zeros of proto3 are left out.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn bytes(&mut self, number: u64, bytes: &[u8]) {
        self.varint(number << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u64, text: &Value) {
        if let Some(text) = text.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u64, texts: &Value) {
        texts.as_array().into_iter().flatten().for_each(|text| self.text(number, text));
    }

    fn flag(&mut self, number: u64, flag: &Value) {
        if flag == true {
            self.varint(number << 3);
            self.varint(1);
        }
    }

    fn message(&mut self, number: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(number, &inner.0);
    }

    /// The members whose name begins with `x-`, each as a `NamedAny`.
    fn extensions(&mut self, number: u64, object: &Value) {
        for (name, value) in members(object).filter(|(name, _)| name.starts_with("x-")) {
            self.message(number, |named| {
                named.bytes(1, name.as_bytes());
                named.message(2, |any| any.yaml(value));
            });
        }
    }

    /// Fills an `Any`; JSON is YAML.
    fn yaml(&mut self, value: &Value) {
        self.bytes(2, value.to_string().as_bytes());
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

/// Each member as a message of name and value.
fn named(out: &mut Message, number: u64, object: &Value, fill: impl Fn(&mut Message, &Value)) {
    for (name, value) in members(object) {
        out.message(number, |named| {
            named.bytes(1, name.as_bytes());
            named.message(2, |inner| fill(inner, value));
        });
    }
}

fn path_item(out: &mut Message, item: &Value) {
    for (name, number) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(inner) = item.get(name) {
            out.message(number, |out| operation(out, inner));
        }
    }
    parameters(out, 9, &item["parameters"]);
}

fn operation(out: &mut Message, operation: &Value) {
    out.texts(1, &operation["tags"]);
    out.text(3, &operation["description"]);
    out.text(5, &operation["operationId"]);
    out.texts(6, &operation["produces"]);
    out.texts(7, &operation["consumes"]);
    parameters(out, 8, &operation["parameters"]);
    out.message(9, |responses| {
        named(responses, 1, &operation["responses"], |value, inner| {
            value.message(1, |response| {
                response.text(1, &inner["description"]);
                if let Some(of) = inner.get("schema") {
                    response.message(2, |item| item.message(1, |out| schema(out, of)));
                }
            });
        });
    });
    out.extensions(13, operation);
}

/// A list of `ParametersItem`, each a `Parameter` of one kind.
fn parameters(out: &mut Message, number: u64, parameters: &Value) {
    for parameter in parameters.as_array().into_iter().flatten() {
        out.message(number, |item| item.message(1, |out| self::parameter(out, parameter)));
    }
}

fn parameter(out: &mut Message, parameter: &Value) {
    if parameter["in"] == "body" {
        return out.message(1, |body| {
            body.text(1, &parameter["description"]);
            body.text(2, &parameter["name"]);
            body.text(3, &parameter["in"]);
            body.flag(4, &parameter["required"]);
            body.message(5, |out| schema(out, &parameter["schema"]));
        });
    }
    // Parameters of paths lack the flag that stands fifth in those of queries.
    let (kind, ty, unique) = if parameter["in"] == "path" { (4, 5, 18) } else { (3, 6, 20) };
    out.message(2, |non_body| {
        non_body.message(kind, |out| {
            out.flag(1, &parameter["required"]);
            out.text(2, &parameter["in"]);
            out.text(3, &parameter["description"]);
            out.text(4, &parameter["name"]);
            out.text(ty, &parameter["type"]);
            out.flag(unique, &parameter["uniqueItems"]);
        });
    });
}

fn schema(out: &mut Message, schema: &Value) {
    out.text(1, &schema["$ref"]);
    out.text(2, &schema["format"]);
    out.text(4, &schema["description"]);
    if let Some(default) = schema.get("default") {
        out.message(5, |any| any.yaml(default));
    }
    out.texts(19, &schema["required"]);
    if let Some(inner) = schema.get("additionalProperties") {
        out.message(21, |item| item.message(1, |out| self::schema(out, inner)));
    }
    if let Some(ty) = schema.get("type") {
        out.message(22, |item| item.text(1, ty));
    }
    if let Some(inner) = schema.get("items") {
        out.message(23, |items| items.message(1, |out| self::schema(out, inner)));
    }
    if let Some(properties) = schema.get("properties") {
        out.message(25, |out| named(out, 1, properties, self::schema));
    }
    out.extensions(31, schema);
}
