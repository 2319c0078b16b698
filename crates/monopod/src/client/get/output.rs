//! Objects as `-o` asks for them.

use podspec::json::text;
use podspec::yaml;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Serializer, Value, json};

use crate::client::discovery::Kind;
use crate::client::failure::Result;
use crate::client::jsonpath::{Template, shown};
use crate::client::{print, table};

/// What `-o` says.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::client) enum Output {
    Table { wide: bool },
    Yaml,
    Json,
    Name,
    JsonPath(Template),
    Columns(Vec<(String, Template)>),
}

impl Output {
    pub(in crate::client) fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "" => return Ok(Self::Table { wide: false }),
            "wide" => return Ok(Self::Table { wide: true }),
            "yaml" => return Ok(Self::Yaml),
            "json" => return Ok(Self::Json),
            "name" => return Ok(Self::Name),
            _ => {}
        }
        match text.split_once('=') {
            Some(("jsonpath", template)) => Template::parse(template).map(Self::JsonPath),
            Some(("custom-columns", columns)) => {
                columns.split(',').map(column).collect::<std::result::Result<_, _>>().map(Self::Columns)
            }
            _ => {
                Err("use wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEAD:.path,..."
                    .to_owned())
            }
        }
    }
}

fn column(text: &str) -> std::result::Result<(String, Template), String> {
    let (head, path) = text.split_once(':').ok_or_else(|| format!("{text:?} is not HEAD:.path"))?;
    Ok((head.to_owned(), Template::parse_path(path)?))
}

/// Prints objects; as a list when one was asked for.
pub(in crate::client) fn objects(
    output: &Output,
    found: &[(&Kind, Value)],
    is_list: bool,
    no_headers: bool,
) -> Result<()> {
    match output {
        Output::Name | Output::Table { .. } => {
            for (kind, object) in found {
                print::line(format_args!("{}/{}", kind.singular(), text(&object["metadata"], "name")))?;
            }
            Ok(())
        }
        Output::Columns(columns) => print::text(&columns_text(columns, found, no_headers)),
        Output::Yaml => print::text(&yaml::document(&whole(found, is_list))),
        Output::Json => print::text(&pretty(&whole(found, is_list))),
        Output::JsonPath(template) => print::text(&template.render(&whole(found, is_list))),
    }
}

fn whole(found: &[(&Kind, Value)], is_list: bool) -> Value {
    match found {
        [(_, object)] if !is_list => object.clone(),
        found => json!({
            "apiVersion": "v1",
            "kind": "List",
            "metadata": {"resourceVersion": ""},
            "items": found.iter().map(|(_, object)| object).collect::<Vec<_>>(),
        }),
    }
}

fn columns_text(columns: &[(String, Template)], found: &[(&Kind, Value)], no_headers: bool) -> String {
    let mut lines = Vec::new();
    if !no_headers {
        lines.push(columns.iter().map(|(head, _)| head.clone()).collect());
    }
    for (_, object) in found {
        let cells = columns.iter().map(|(_, path)| {
            let values: Vec<String> = path.find(object).into_iter().map(shown).collect();
            if values.is_empty() { "<none>".to_owned() } else { values.join(",") }
        });
        lines.push(cells.collect());
    }
    table::plain(&lines)
}

/// As wide in its indent as kubectl's.
fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    // A value can be written to memory.
    let _ = value.serialize(&mut serializer);
    bytes.push(b'\n');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An item of a list does not say what it is.
pub(super) fn with_kind(mut object: Value, kind: &Kind) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.entry("apiVersion").or_insert_with(|| kind.api_version().into());
        fields.entry("kind").or_insert_with(|| kind.kind.clone().into());
    }
    object
}

pub(super) fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Output, columns_text, pretty, whole};
    use crate::client::discovery::tests::discovery;

    #[test]
    fn formats() {
        assert_eq!(Output::parse("wide"), Ok(Output::Table { wide: true }));
        assert!(matches!(Output::parse("jsonpath={.a}"), Ok(Output::JsonPath(_))));
        for wrong in ["xml", "jsonpath", "jsonpath={", "custom-columns=A", "go-template={{.}}"] {
            assert!(Output::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_and_lists() {
        let discovery = discovery();
        let found = [(discovery.by_word("pod").unwrap(), json!({"metadata": {"name": "a"}}))];
        assert_eq!(whole(&found, false), json!({"metadata": {"name": "a"}}));
        assert_eq!(whole(&found, true)["items"][0]["metadata"]["name"], "a");
        assert_eq!(
            pretty(&json!({"b": [1], "a": {}})),
            "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}\n"
        );
        let Ok(Output::Columns(columns)) =
            Output::parse("custom-columns=NAME:.metadata.name,IP:{.status.podIP}")
        else {
            panic!("no columns");
        };
        assert_eq!(columns_text(&columns, &found, false), "NAME   IP\na      <none>\n");
    }
}
