//! Objects in the form a client takes: as they are, as a table, or their metadata alone.

use std::borrow::Cow;

use apimachinery::Status;
use apimachinery::table::{self, IncludeObject, Row, Table, TableVersion, partial_metadata};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use podspec::WallTime;
use serde_json::{Value, json};
use store::Object;

use crate::api::Call;
use crate::body::Body;
use crate::change;
use crate::kinds::{Column, Kind};
use crate::negotiate::{self, Form, MetaVersion};
use crate::respond;
use crate::rules::event;

/// What a client takes.
pub(crate) fn form(call: &Call<'_>) -> Result<Form, Status> {
    negotiate::form(call.accept()).ok_or_else(|| Status::not_acceptable(&[negotiate::OFFERED]))
}

fn table_version(version: MetaVersion) -> TableVersion {
    match version {
        MetaVersion::V1 => TableVersion::V1,
        MetaVersion::V1Beta1 => TableVersion::V1Beta1,
    }
}

/// An object as clients of this kind know it: events are stored in one form and served in two.
pub(crate) fn present(kind: &Kind, object: Value) -> Value {
    if kind.group == "events.k8s.io" { event::to_new(&object) } else { object }
}

/// [`present`] of a stored object, without reading it where its bytes will do.
pub(crate) fn present_bytes<'a>(kind: &Kind, object: &'a Object) -> Result<Cow<'a, [u8]>, Status> {
    if kind.group != "events.k8s.io" {
        return Ok(Cow::Borrowed(&object.json));
    }
    let value = present(kind, change::parse(object)?);
    Ok(Cow::Owned(value.to_string().into_bytes()))
}

/// How one request wants its objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shaper {
    pub(crate) kind: &'static Kind,
    pub(crate) form: Form,
    include: IncludeObject,
    pub(crate) now: WallTime,
}

impl Shaper {
    pub(crate) fn of(call: &Call<'_>, kind: &'static Kind) -> Result<Self, Status> {
        let include = IncludeObject::parse(call.query.text("includeObject").unwrap_or(""))?;
        Ok(Self { kind, form: form(call)?, include, now: crate::entropy::now() })
    }

    /// A table of these objects; `list` is the metadata of the list.
    pub(crate) fn table(
        &self,
        version: MetaVersion,
        objects: Vec<Value>,
        list: Value,
        with_columns: bool,
    ) -> Value {
        let columns = if with_columns { self.columns() } else { Vec::new() };
        let rows = objects
            .into_iter()
            .map(|object| Row::new(self.kind.columns.cells(&object, self.now), present(self.kind, object)))
            .collect();
        Table { columns, rows, list }.into_json(table_version(version), self.include)
    }

    /// Whether objects are stored in another form than this kind's.
    pub(super) fn is_converted(&self) -> bool {
        self.kind.group == "events.k8s.io"
    }

    /// Whether rows come with metadata, and nothing else of the object.
    pub(super) fn includes_metadata(&self) -> bool {
        self.include == IncludeObject::Metadata
    }

    pub(super) fn cells(&self, object: &Value) -> Value {
        self.kind.columns.cells(object, self.now).into()
    }

    /// One object as a row of a table.
    pub(super) fn row(&self, version: MetaVersion, object: Value) -> Value {
        let cells = self.kind.columns.cells(&object, self.now);
        Row::new(cells, present(self.kind, object)).into_json(table_version(version), self.include)
    }

    fn columns(&self) -> Vec<table::Column> {
        let column = |column: &Column| table::Column {
            name: column.name,
            kind: column.ty,
            format: column.format,
            description: column.description,
            priority: i32::from(column.priority),
        };
        self.kind.columns.columns().iter().map(column).collect()
    }

    /// One object, alone.
    pub(crate) fn one(&self, object: Value) -> Value {
        match self.form {
            Form::Json => present(self.kind, object),
            Form::Table(version) => {
                let list = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                self.table(version, vec![object], list, true)
            }
            Form::Partial(version) => partial_metadata(table_version(version), &object),
        }
    }

    pub(crate) fn partial(&self, version: MetaVersion, object: &Value) -> Value {
        partial_metadata(table_version(version), object)
    }
}

/// The answer that is an object, in the form the client takes.
pub(crate) fn respond_object(
    call: &Call<'_>,
    kind: &'static Kind,
    code: StatusCode,
    object: Value,
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let mut response = respond::json(code, &shaper.one(object), call.style);
    label(&mut response, shaper.form);
    Ok(response)
}

/// Says in the Content-Type which form an answer has.
pub(crate) fn label(response: &mut Response<Body>, form: Form) {
    let (kind, version) = match form {
        Form::Json => return,
        Form::Table(version) => ("Table", version),
        Form::Partial(version) => ("PartialObjectMetadata", version),
    };
    let version = if version == MetaVersion::V1 { "v1" } else { "v1beta1" };
    let text = format!("application/json;as={kind};v={version};g=meta.k8s.io");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
}
