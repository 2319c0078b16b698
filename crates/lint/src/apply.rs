//! A fix carried out on JSON. Whoever edits a text compares what came of it with this.

use podspec::FieldPath;
use podspec::field::Segment;
use serde_json::{Map, Value};

use crate::finding::{Edit, Fix};

/// Why a fix does not fit what it is applied to; then nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misfit {
    #[error("there is no {0}")]
    Missing(FieldPath),
    #[error("{0} is no object")]
    NoObject(FieldPath),
    #[error("{0} is no list")]
    NoList(FieldPath),
    #[error("{0} cannot be moved into itself")]
    IntoItself(FieldPath),
}

impl Fix {
    /// All edits, one after another: each is of the document as the one before has left it.
    ///
    /// # Errors
    /// The first edit that does not fit; `document` is as it was.
    pub fn apply(&self, document: &mut Value) -> Result<(), Misfit> {
        let mut changed = document.clone();
        for edit in &self.edits {
            edit.apply(&mut changed)?;
        }
        *document = changed;
        Ok(())
    }
}

impl Fix {
    /// Whether each edit has its place in the document, which may be of any shape. Of edits that need one another it says nothing.
    pub(crate) fn fits(&self, document: &Value) -> bool {
        let is_object = |path: &FieldPath| look(document, &path.parent()).is_some_and(Value::is_object);
        let is_list =
            |path: &FieldPath| look(document, path).is_none_or(|list| list.is_array() || list.is_null());
        self.edits.iter().all(|edit| match edit {
            Edit::Set { path, .. } => match path.segments().last() {
                Some(Segment::Index(_)) => look(document, path).is_some(),
                _ => is_object(path),
            },
            Edit::Append { path, .. } => is_object(path) && is_list(path),
            Edit::Remove { path } => look(document, path).is_some(),
            Edit::Move { from, to } => look(document, from).is_some() && is_object(to) && is_list(to),
        })
    }
}

fn look<'a>(document: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    path.segments().iter().try_fold(document, |place, segment| match segment {
        Segment::Field(name) | Segment::Key(name) => place.get(name.as_str()),
        Segment::Index(index) => place.get(*index),
    })
}

impl Edit {
    fn apply(&self, document: &mut Value) -> Result<(), Misfit> {
        match self {
            Self::Set { path, value } => set(document, path, value.clone()),
            Self::Append { path, value } => {
                list(document, path)?.push(value.clone());
                Ok(())
            }
            Self::Remove { path } => take(document, path).map(drop),
            Self::Move { from, to } if to.is_within(from) => Err(Misfit::IntoItself(from.clone())),
            Self::Move { from, to } => {
                let entry = take(document, from)?;
                list(document, to)?.push(entry);
                Ok(())
            }
        }
    }
}

fn set(document: &mut Value, path: &FieldPath, value: Value) -> Result<(), Misfit> {
    let Some(last) = path.segments().last() else {
        *document = value;
        return Ok(());
    };
    match last {
        Segment::Field(name) | Segment::Key(name) => {
            object(document, &path.parent())?.insert(name.clone(), value);
        }
        Segment::Index(_) => *place(document, path)? = value,
    }
    Ok(())
}

fn take(document: &mut Value, path: &FieldPath) -> Result<Value, Misfit> {
    let missing = || Misfit::Missing(path.clone());
    let around = place(document, &path.parent())?;
    match (path.segments().last(), around) {
        (Some(Segment::Field(name) | Segment::Key(name)), Value::Object(fields)) => {
            fields.remove(name).ok_or_else(missing)
        }
        (Some(Segment::Index(index)), Value::Array(entries)) if *index < entries.len() => {
            Ok(entries.remove(*index))
        }
        _ => Err(missing()),
    }
}

/// The list at `path`, made when it is missing; `null` is as if it were.
fn list<'a>(document: &'a mut Value, path: &FieldPath) -> Result<&'a mut Vec<Value>, Misfit> {
    let Some(Segment::Field(name) | Segment::Key(name)) = path.segments().last() else {
        return place(document, path)?.as_array_mut().ok_or_else(|| Misfit::NoList(path.clone()));
    };
    let entry = object(document, &path.parent())?.entry(name.clone()).or_insert(Value::Null);
    if entry.is_null() {
        *entry = Value::Array(Vec::new());
    }
    entry.as_array_mut().ok_or_else(|| Misfit::NoList(path.clone()))
}

fn object<'a>(document: &'a mut Value, path: &FieldPath) -> Result<&'a mut Map<String, Value>, Misfit> {
    place(document, path)?.as_object_mut().ok_or_else(|| Misfit::NoObject(path.clone()))
}

fn place<'a>(document: &'a mut Value, path: &FieldPath) -> Result<&'a mut Value, Misfit> {
    let mut place = document;
    for segment in path.segments() {
        let found = match segment {
            Segment::Field(name) | Segment::Key(name) => place.get_mut(name.as_str()),
            Segment::Index(index) => place.get_mut(*index),
        };
        place = found.ok_or_else(|| Misfit::Missing(path.clone()))?;
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use podspec::FieldPath;
    use serde_json::json;

    use super::Misfit;
    use crate::finding::{Edit, Fix};

    fn apply(edits: Vec<Edit>) -> Result<serde_json::Value, Misfit> {
        let mut document = json!({"a": [{"x": 1}, {"y": 2}], "o": {"k": "v"}, "n": null});
        let before = document.clone();
        let result = Fix { title: String::new(), edits }.apply(&mut document);
        if result.is_err() {
            assert_eq!(document, before, "nothing of a fix that does not fit is done");
        }
        result.map(|()| document)
    }

    #[test]
    fn edits_follow_one_another_and_fit_or_are_left() {
        let root = FieldPath::root();
        let (a, o) = (root.child("a"), root.child("o"));
        let entry = a.index(0);
        let done = apply(vec![
            Edit::Set { path: entry.child("z"), value: 3.into() },
            Edit::Set { path: o.key("k"), value: "w".into() },
            Edit::Append { path: root.child("n"), value: 4.into() },
            Edit::Append { path: root.child("new"), value: 5.into() },
            Edit::Remove { path: a.index(1).child("y") },
            Edit::Move { from: entry.clone(), to: o.child("list") },
            Edit::Set { path: a.index(0), value: 6.into() },
        ]);
        assert_eq!(
            done,
            Ok(json!({"a": [6], "o": {"k": "w", "list": [{"x": 1, "z": 3}]}, "n": [4], "new": [5]}))
        );
        let missing = o.child("q").child("r");
        for (edit, misfit) in [
            (Edit::Set { path: missing, value: 1.into() }, Misfit::Missing(o.child("q"))),
            (Edit::Set { path: a.child("q"), value: 1.into() }, Misfit::NoObject(a.clone())),
            (Edit::Remove { path: a.index(2) }, Misfit::Missing(a.index(2))),
            (Edit::Append { path: o.clone(), value: 1.into() }, Misfit::NoList(o.clone())),
            (Edit::Move { from: entry.clone(), to: entry.child("b") }, Misfit::IntoItself(entry)),
        ] {
            let first = Edit::Set { path: o.child("k"), value: 0.into() };
            assert_eq!(apply(vec![first, edit.clone()]), Err(misfit), "{edit:?}");
        }
    }
}
