//! Makes the strategic merge patch that leads from one object to another, as clients do.

use api_schema::{Field, Type};
use serde_json::{Map, Value, json};

pub(crate) fn patch(
    ty: Option<&Type>,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, after) in to {
        let field = ty.and_then(|ty| ty.field(name));
        match (from.get(name), after) {
            (Some(before), after) if before == after => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                let below = self::patch(field.and_then(Field::object), before, after);
                patch.insert(name.clone(), Value::Object(below));
            }
            (Some(Value::Array(before)), Value::Array(after)) => {
                list(field, name, before, after, &mut patch);
            }
            (_, after) => drop(patch.insert(name.clone(), after.clone())),
        }
    }
    patch
}

fn list(
    field: Option<&Field>,
    name: &str,
    before: &[Value],
    after: &[Value],
    patch: &mut Map<String, Value>,
) {
    let Some(field) = field.filter(|field| field.patch.merge) else {
        patch.insert(name.to_owned(), after.into());
        return;
    };
    let Some(key) = field.patch.merge_key else {
        let gone: Vec<&Value> = before.iter().filter(|item| !after.contains(item)).collect();
        let new: Vec<&Value> = after.iter().filter(|item| !before.contains(item)).collect();
        patch.insert(format!("$setElementOrder/{name}"), after.into());
        if !gone.is_empty() {
            patch.insert(format!("$deleteFromPrimitiveList/{name}"), json!(gone));
        }
        if !new.is_empty() {
            patch.insert(name.to_owned(), json!(new));
        }
        return;
    };
    let find = |items: &[Value], wanted: &Value| items.iter().find(|item| item[key] == wanted[key]).cloned();
    let mut items: Vec<Value> = Vec::new();
    for item in after {
        match find(before, item) {
            Some(before) if before == *item => {}
            Some(before) => {
                let (Some(from), Some(to)) = (before.as_object(), item.as_object()) else { continue };
                let mut below = self::patch(field.object(), from, to);
                below.insert(key.to_owned(), item[key].clone());
                if field.patch.retain_keys {
                    let kept: Vec<&String> = to.keys().collect();
                    below.insert("$retainKeys".to_owned(), json!(kept));
                }
                items.push(Value::Object(below));
            }
            None => items.push(item.clone()),
        }
    }
    for gone in before.iter().filter(|item| find(after, item).is_none()) {
        items.push(json!({key: gone[key], "$patch": "delete"}));
    }
    let order: Vec<Value> = after.iter().map(|item| json!({key: item[key]})).collect();
    patch.insert(format!("$setElementOrder/{name}"), order.into());
    if !items.is_empty() {
        patch.insert(name.to_owned(), items.into());
    }
}
