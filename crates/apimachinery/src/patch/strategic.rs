//! Strategic merge patch
//! (<https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>).

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use api_schema::{Field, Patch, Shape, Type};
use serde_json::{Map, Value};

use super::merge::object_of;
use super::order::{arrange, key_of};
use crate::Status;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

const BAD_RETAIN_KEYS: &str = "invalid patch format of retainKeys";
const BAD_DELETIONS: &str = "invalid patch format of primitive list";
const BAD_ORDER: &str = "invalid patch format of setElementOrder list";

/// Characters of a part of a patch that an error quotes.
const QUOTED_CHARS_MAX: usize = 1_000;

/// Kubernetes' own: as a merge patch, but lists with a merge key are merged by it, and `$patch`,
/// `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys` direct it.
///
/// # Errors
/// 400 when the patch is no object, or a directive or a list in it has the wrong form.
pub fn strategic_merge(ty: &Type, original: &Value, patch: &Value) -> Result<Value, Status> {
    let patch = object_of(patch)?.clone();
    let original = original.as_object().cloned().unwrap_or_default();
    merge(Place::Object(ty), original, patch).map(Value::Object).map_err(Status::bad_request)
}

/// Where in the schema the walk is.
#[derive(Clone, Copy)]
enum Place<'a> {
    Object(&'a Type),
    /// Free keys, each with this.
    Map(Shape),
    /// Nothing is known about what is here.
    Opaque,
}

impl<'a> Place<'a> {
    fn of(shape: Shape) -> Self {
        match shape {
            Shape::Object(ty) => Self::Object(ty.get()),
            Shape::Map(item) => Self::Map(*item),
            _ => Self::Opaque,
        }
    }

    fn field(self, name: &str) -> Option<&'a Field> {
        match self {
            Self::Object(ty) => ty.field(name),
            _ => None,
        }
    }

    /// The place of an object in a field.
    fn child(self, name: &str) -> Self {
        match self {
            Self::Object(ty) => ty.field(name).map_or(Self::Opaque, |field| Self::of(field.shape)),
            Self::Map(item) => Self::of(item),
            Self::Opaque => Self::Opaque,
        }
    }

    /// The place of the objects in a list, and how the list is merged.
    fn items(self, name: &str) -> (Self, Patch) {
        let Some(field) = self.field(name) else { return (Self::Opaque, Patch::default()) };
        (field.shape.item().map_or(Self::Opaque, Self::of), field.patch)
    }
}

type Fields = Map<String, Value>;

fn merge(place: Place<'_>, mut original: Fields, mut patch: Fields) -> Result<Fields, String> {
    match patch.get(DIRECTIVE).map(|directive| (directive.as_str(), directive)) {
        None => {}
        Some((Some("replace"), _)) => {
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some((Some("delete"), _)) => return Ok(Map::new()),
        Some((_, other)) => return Err(unknown_directive(other, &Value::Object(patch.clone()))),
    }
    retain_keys(&mut original, &mut patch)?;
    order_elements(place, &mut original, &mut patch)?;
    for (name, value) in patch {
        if name.starts_with(DELETE_FROM) {
            delete_from(&mut original, directed(&name, DELETE_FROM, BAD_DELETIONS)?, &value)?;
            continue;
        }
        let merged = match (original.remove(&name), value) {
            (_, Value::Null) => continue,
            (Some(Value::Object(original)), Value::Object(patch)) => {
                Some(Value::Object(merge(place.child(&name), original, patch)?))
            }
            (Some(Value::Array(original)), Value::Array(patch)) => {
                let (items, meta) = place.items(&name);
                let list = if meta.merge { merge_list(items, meta, original, patch)? } else { patch };
                Some(Value::Array(list))
            }
            (_, value) => without_directives(value),
        };
        original.extend(merged.map(|merged| (name, merged)));
    }
    Ok(original)
}

/// Drops the fields that `$retainKeys` does not list.
fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), String> {
    let Some(kept) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let kept = kept.as_array().ok_or(BAD_RETAIN_KEYS)?;
    let kept: BTreeSet<&str> = kept.iter().filter_map(Value::as_str).collect();
    let is_kept = |name: &String, value: &Value| {
        value.is_null()
            || name.starts_with(DELETE_FROM)
            || name.starts_with(ELEMENT_ORDER)
            || kept.contains(name.as_str())
    };
    if !patch.iter().all(|(name, value)| is_kept(name, value)) {
        return Err(BAD_RETAIN_KEYS.to_owned());
    }
    original.retain(|name, _| kept.contains(name.as_str()));
    Ok(())
}

/// Merges each list that has a `$setElementOrder`, and puts it in that order.
fn order_elements(place: Place<'_>, original: &mut Fields, patch: &mut Fields) -> Result<(), String> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let name = directed(&directive, ELEMENT_ORDER, BAD_ORDER)?;
        let order = as_list(patch.remove(&directive).unwrap_or_default())?;
        let (items, meta) = place.items(name);
        let before = original.remove(name).map(as_list).transpose()?;
        let named = patch.remove(name).map(as_list).transpose()?;
        check_order(named.as_deref().unwrap_or_default(), &order, meta.merge_key)?;
        let merged = match (before.clone(), named) {
            (None, None) => continue,
            (Some(before), None) => before,
            (None, Some(named)) => named.into_iter().filter_map(without_directives).collect(),
            (Some(before), Some(named)) if meta.merge => merge_list(items, meta, before, named)?,
            (Some(_), Some(named)) => named,
        };
        same_types(&[&merged])?;
        if let Some(key) = meta.merge_key {
            require_key(&order, key)?;
            require_key(&merged, key)?;
        }
        let merged = arrange(merged, &order, &before.unwrap_or_default(), meta.merge_key);
        original.insert(name.to_owned(), Value::Array(merged));
    }
    Ok(())
}

/// What the patch adds has to stand in the list of the order, in the same order.
fn check_order(named: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<(), String> {
    if named.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in named.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if let Some(key) = merge_key {
            require_key(std::slice::from_ref(item), key)?;
        }
        let key = key_of(item, merge_key);
        if !rest.any(|ordered| key_of(ordered, merge_key) == key) {
            return Err(format!(
                "The order in patch list:\n{}\n doesn't match {ELEMENT_ORDER} list:\n{}\n",
                printed(&Value::Array(named.to_vec())),
                printed(&Value::Array(order.to_vec()))
            ));
        }
    }
    Ok(())
}

/// Removes scalars from a list, whatever its strategy.
fn delete_from(original: &mut Fields, name: &str, deleted: &Value) -> Result<(), String> {
    let Some(Value::Array(items)) = original.get_mut(name) else { return Ok(()) };
    let deleted = deleted.as_array().ok_or(BAD_DELETIONS)?;
    same_types(&[items, deleted])?;
    let deleted: BTreeSet<String> = deleted.iter().map(ToString::to_string).collect();
    items.retain(|item| !deleted.contains(&item.to_string()));
    Ok(())
}

fn merge_list(
    items: Place<'_>,
    meta: Patch,
    original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, String> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    same_types(&[&original, &patch])?;
    let Some(key) = meta.merge_key else {
        if original.iter().chain(&patch).any(Value::is_object) {
            return Err("cannot merge lists without merge key".to_owned());
        }
        let mut seen = BTreeSet::new();
        let both = original.iter().chain(&patch).filter(|item| seen.insert(item.to_string()));
        let merged = both.cloned().collect();
        return Ok(arrange(merged, &patch, &original, None));
    };
    let (kept, named, replaced) = direct_list(original.clone(), patch, key)?;
    if replaced {
        require_key(&named, key)?;
        return Ok(named);
    }
    let order: Vec<Value> = named.iter().map(|item| only_key(item, key)).collect();
    let merged = merge_objects(items, key, kept, named)?;
    require_key(&merged, key)?;
    Ok(arrange(merged, &order, &original, Some(key)))
}

/// Carries out the directives among a list's items: what is left of the list, the items of the patch that are
/// no directives, and whether these replace the list.
fn direct_list(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>, bool), String> {
    let (mut named, mut deleted, mut replaced) = (Vec::new(), BTreeSet::new(), false);
    for item in patch {
        let Some(directive) = item.get(DIRECTIVE) else {
            named.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(key_of(&item, Some(key)).ok_or_else(|| no_key(&item, key))?);
            }
            Some("replace") => replaced = true,
            Some("merge") => return Err("merging lists cannot yet be specified in the patch".to_owned()),
            _ => return Err(unknown_directive(directive, &item)),
        }
    }
    if !deleted.is_empty() {
        original.retain(|item| key_of(item, Some(key)).is_none_or(|key| !deleted.contains(&key)));
    }
    Ok((original, named, replaced))
}

/// Merges each object of the patch into the one with its key, or adds it.
fn merge_objects(
    items: Place<'_>,
    key: &str,
    mut original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, String> {
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in original.iter().enumerate() {
        if let Some(value) = key_of(item, Some(key)) {
            positions.entry(value).or_insert(index);
        }
    }
    for item in patch {
        let value = key_of(&item, Some(key)).ok_or_else(|| no_key(&item, key))?;
        match (positions.get(&value), item) {
            (Some(&at), Value::Object(patch)) => {
                let before = mem::take(&mut original[at]);
                let before = before.as_object().cloned().unwrap_or_default();
                original[at] = Value::Object(merge(items, before, patch)?);
            }
            (_, item) => {
                positions.insert(value, original.len());
                original.extend(without_directives(item));
            }
        }
    }
    Ok(original)
}

/// A new value as it is stored: without nulls, and without what only directs.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, value)| !value.is_null() && !name.starts_with('$'));
            let kept = kept.filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
    }
}

/// The name of the list in `$setElementOrder/NAME`.
fn directed<'a>(name: &'a str, prefix: &str, error: &str) -> Result<&'a str, String> {
    let list = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    list.ok_or_else(|| error.to_owned())
}

fn as_list(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(format!("expected a []interface {{}}, but received a {}", go_type(&other))),
    }
}

/// All items of one kind, and none of them a list.
fn same_types(lists: &[&[Value]]) -> Result<(), String> {
    let mut types = lists.iter().flat_map(|list| list.iter()).map(go_type);
    let Some(first) = types.next() else { return Ok(()) };
    if first == "[]interface {}" {
        return Err("lists of lists are not supported".to_owned());
    }
    if types.all(|other| other == first) {
        return Ok(());
    }
    let lists = lists.iter().map(|list| Value::Array(list.to_vec())).collect();
    Err(format!("list element types are not identical: {}", printed(&Value::Array(lists))))
}

fn require_key(items: &[Value], key: &str) -> Result<(), String> {
    match items.iter().find(|item| item.get(key).is_none()) {
        None => Ok(()),
        Some(item) if item.is_object() => Err(no_key(item, key)),
        Some(item) => Err(format!("expected a map[string]interface {{}}, but received a {}", go_type(item))),
    }
}

fn only_key(item: &Value, key: &str) -> Value {
    let value = item.get(key).cloned();
    Value::Object(value.map(|value| (key.to_owned(), value)).into_iter().collect())
}

fn no_key(item: &Value, key: &str) -> String {
    format!("map: {} does not contain declared merge key: {key}", printed(item))
}

fn unknown_directive(directive: &Value, holder: &Value) -> String {
    format!("unknown patch type: {} in map: {}", printed(directive), printed(holder))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// As Go prints a value, cut to what a message can hold.
fn printed(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    if let Some((end, _)) = text.char_indices().nth(QUOTED_CHARS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn print(value: &Value, text: &mut String) {
    if text.len() > 4 * QUOTED_CHARS_MAX {
        return;
    }
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::String(string) => text.push_str(string),
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                text.push_str(if i == 0 { "" } else { " " });
                print(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push_str("map[");
            for (i, (name, item)) in fields.iter().enumerate() {
                text.push_str(if i == 0 { "" } else { " " });
                text.push_str(name);
                text.push(':');
                print(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
