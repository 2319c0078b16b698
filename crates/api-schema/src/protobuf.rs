//! Bodies in Kubernetes' protobuf form (`application/vnd.kubernetes.protobuf`): four bytes `k8s\0`, then a
//! `runtime.Unknown` that names the kind and holds the object
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::check::zero;
use crate::model::{Field, Schema, Shape, Type};
use crate::read::read_json;
use crate::time::Instant;
use crate::wire::{Message, Payload};

pub use crate::wire::Fault;

const MAGIC: &[u8] = b"k8s\0";

/// Why a body cannot be decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the body does not begin with the four bytes k8s\\0 of Kubernetes' protobuf form")]
    Magic,
    #[error("cannot decode the envelope of the protobuf body: {0}")]
    Envelope(Fault),
    #[error("the protobuf body has the content encoding {0:?}; send it without")]
    ContentEncoding(String),
    #[error("no kind {kind:?} in {api_version:?} is known in protobuf form; send JSON")]
    UnknownKind { api_version: String, kind: String },
    #[error("cannot decode {ty}.{field} of the protobuf body: {fault}")]
    Field { ty: &'static str, field: &'static str, fault: Fault },
    #[error("cannot decode {ty} of the protobuf body: {fault}")]
    Message { ty: &'static str, fault: Fault },
}

/// Whether a body is in this form.
#[must_use]
pub fn is_protobuf(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// Decodes a body into the JSON form of its object, with `apiVersion` and `kind`, as if the client had sent JSON:
/// zeros that Go's encoder leaves out are left out. Texts with a syntax of their own (quantities) are as they
/// came; [`check`](crate::check) looks into them.
///
/// # Errors
/// The bytes are no such body, or of a kind that is not in the schema.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let envelope = Envelope::read(body)?;
    let (api_version, kind) = (envelope.api_version, envelope.kind);
    if !envelope.content_encoding.is_empty() {
        return Err(DecodeError::ContentEncoding(envelope.content_encoding));
    }
    if envelope.content_type.contains("json") {
        return json(envelope.raw).map_err(DecodeError::Envelope);
    }
    // The tables live as long as the program; so do the names in errors.
    let schema: &'static Schema = Schema::get();
    let Some(ty) = schema.kind_of(&api_version, &kind) else {
        return Err(DecodeError::UnknownKind { api_version, kind });
    };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    object.insert("kind".to_owned(), Value::String(kind));
    message(ty, envelope.raw, &mut object)?;
    Ok(Value::Object(object))
}

#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
    content_encoding: String,
    content_type: String,
}

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let body = body.strip_prefix(MAGIC).ok_or(DecodeError::Magic)?;
        let mut envelope = Self::default();
        envelope.fill(body).map_err(DecodeError::Envelope)?;
        Ok(envelope)
    }

    fn fill(&mut self, body: &'a [u8]) -> Result<(), Fault> {
        for part in Message(body) {
            let (number, payload) = part?;
            match number {
                1 => {
                    for part in Message(payload.bytes()?) {
                        let (number, payload) = part?;
                        match number {
                            1 => self.api_version = payload.text()?.to_owned(),
                            2 => self.kind = payload.text()?.to_owned(),
                            _ => {}
                        }
                    }
                }
                2 => self.raw = payload.bytes()?,
                3 => self.content_encoding = payload.text()?.to_owned(),
                4 => self.content_type = payload.text()?.to_owned(),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Adds what a message holds to `object`. Recurses as deep as the tables go.
fn message(ty: &'static Type, bytes: &[u8], object: &mut Map<String, Value>) -> Result<(), DecodeError> {
    for part in Message(bytes) {
        let (number, payload) = part.map_err(|fault| DecodeError::Message { ty: ty.name, fault })?;
        if let Some(field) = ty.fields.iter().find(|field| field.number == number && !field.inlined) {
            self::field(ty, field, payload, object)?;
        } else if let Some(inline) = ty.inlines.iter().find(|inline| inline.number == number) {
            let bytes =
                payload.bytes().map_err(|fault| DecodeError::Message { ty: inline.ty.get().name, fault })?;
            message(inline.ty.get(), bytes, object)?;
        }
    }
    Ok(())
}

fn field(
    ty: &'static Type,
    field: &'static Field,
    payload: Payload<'_>,
    object: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    let wrap = |fault| DecodeError::Field { ty: ty.name, field: field.name, fault };
    match field.shape {
        Shape::List(item) => {
            let entry = object.entry(field.name).or_insert_with(|| Value::Array(vec![]));
            let Value::Array(items) = entry else { return Ok(()) };
            if let (Payload::Bytes(bytes), Shape::Int32 | Shape::Int64 | Shape::Bool) = (payload, *item) {
                for number in Payload::packed(bytes) {
                    items.extend(value(*item, number.map_err(wrap)?, &wrap)?);
                }
            } else {
                items.push(value(*item, payload, &wrap)?.unwrap_or_else(|| zero(*item)));
            }
        }
        Shape::Map(item) => {
            let (key, value) = entry(*item, payload, &wrap)?;
            let entry = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(entries) = entry {
                entries.insert(key, value);
            }
        }
        shape => {
            let value = value(shape, payload, &wrap)?;
            if let Some(value) = value.filter(|value| field.pointer || !is_zero(value)) {
                object.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn entry(
    item: Shape,
    payload: Payload<'_>,
    wrap: &impl Fn(Fault) -> DecodeError,
) -> Result<(String, Value), DecodeError> {
    let mut key = String::new();
    let mut found = None;
    for part in Message(payload.bytes().map_err(wrap)?) {
        let (number, payload) = part.map_err(wrap)?;
        match number {
            1 => key = payload.text().map_err(wrap)?.to_owned(),
            2 => found = value(item, payload, wrap)?,
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| zero(item))))
}

/// `None` for a time or an open object that is not set.
fn value(
    shape: Shape,
    payload: Payload<'_>,
    wrap: &impl Fn(Fault) -> DecodeError,
) -> Result<Option<Value>, DecodeError> {
    let value = match shape {
        Shape::Object(ty) => {
            let mut object = Map::new();
            message(ty.get(), payload.bytes().map_err(wrap)?, &mut object)?;
            Value::Object(object)
        }
        Shape::WrappedList(item) => {
            let mut items = vec![];
            for part in Message(payload.bytes().map_err(wrap)?) {
                let (number, payload) = part.map_err(wrap)?;
                if number == 1 {
                    items.extend(value(*item, payload, wrap)?);
                }
            }
            Value::Array(items)
        }
        // Protobuf has neither lists nor maps in lists and maps.
        Shape::List(_) | Shape::Map(_) => return Ok(None),
        shape => return scalar(shape, payload).map_err(wrap),
    };
    Ok(Some(value))
}

fn scalar(shape: Shape, payload: Payload<'_>) -> Result<Option<Value>, Fault> {
    let value = match shape {
        Shape::Bool => Value::Bool(payload.varint()? != 0),
        Shape::Int32 => Value::from(int32(payload.varint()?)),
        Shape::Int64 => Value::from(payload.varint()?.cast_signed()),
        Shape::Double => Value::from(payload.double()?),
        Shape::Bytes => Value::String(STANDARD.encode(payload.bytes()?)),
        Shape::Quantity => {
            let text = inner(payload, 1)?.map_or(Ok(""), Payload::text)?;
            Value::from(if text.is_empty() { "0" } else { text })
        }
        Shape::IntOrString => int_or_string(payload)?,
        Shape::Time | Shape::MicroTime => {
            return time(payload, shape == Shape::MicroTime);
        }
        Shape::Any | Shape::Fields => {
            let raw = inner(payload, 1)?.map_or(Ok(&[][..]), Payload::bytes)?;
            return if raw.is_empty() { Ok(None) } else { json(raw).map(Some) };
        }
        _ => Value::from(payload.text()?),
    };
    Ok(Some(value))
}

/// What Go's decoder takes of a varint.
#[expect(clippy::cast_possible_truncation, reason = "a negative number comes as 64 bits, of which 32 count")]
fn int32(varint: u64) -> i32 {
    varint.cast_signed() as i32
}

/// The last part of this number in a message.
fn inner(payload: Payload<'_>, wanted: u32) -> Result<Option<Payload<'_>>, Fault> {
    let mut found = None;
    for part in Message(payload.bytes()?) {
        let (number, payload) = part?;
        if number == wanted {
            found = Some(payload);
        }
    }
    Ok(found)
}

fn int_or_string(payload: Payload<'_>) -> Result<Value, Fault> {
    let kind = inner(payload, 1)?.map_or(Ok(0), Payload::varint)?;
    if kind == 0 {
        return Ok(Value::from(int32(inner(payload, 2)?.map_or(Ok(0), Payload::varint)?)));
    }
    Ok(Value::from(inner(payload, 3)?.map_or(Ok(""), Payload::text)?))
}

/// `None` for the zero of Go's time, which is an empty message.
fn time(payload: Payload<'_>, micro: bool) -> Result<Option<Value>, Fault> {
    if payload.bytes()?.is_empty() {
        return Ok(None);
    }
    let seconds = inner(payload, 1)?.map_or(Ok(0), Payload::varint)?.cast_signed();
    let nanos = int32(inner(payload, 2)?.map_or(Ok(0), Payload::varint)?);
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or(Fault::Time)?;
    let text = Instant { seconds, nanos }.to_text(micro).ok_or(Fault::Time)?;
    Ok(Some(Value::String(text)))
}

fn json(raw: &[u8]) -> Result<Value, Fault> {
    read_json(raw).map(|(value, _)| value).map_err(|error| Fault::Json(error.to_string()))
}

/// What Go's encoder leaves out of a field that is no pointer.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}
