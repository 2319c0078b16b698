//! One edit carried out on a text, and nothing else of it changed.
//!
//! There are ways from pretty to plain; each is tried on the text, which is then read again, and the first one that
//! means what the edit means is taken. So what is written means what was asked for, whatever the text looks like.

mod insert;
mod layout;
#[cfg(test)]
mod random;
mod relocate;
mod remove;
mod replace;
mod splice;
#[cfg(test)]
mod tests;

use podspec::field::Segment;
use podspec::load::{Found, load_all};
use podspec::{Document, FieldPath};
use serde_json::Value;

use crate::finding::{Edit, Fix};
use layout::Style;
use splice::{Splice, apply};

/// Why an edit was not carried out; the text is as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotEdit {
    #[error("{0} is an alias or comes from a merge (<<), so others have the same text: change it by hand")]
    Borrowed(FieldPath),
    #[error("no change of the text was found that means just this: change it by hand")]
    NoWay,
    #[error("it does not fit any more: {0}")]
    Misfit(crate::Misfit),
}

/// A text with its documents.
pub(super) struct Draft<'a> {
    pub(super) text: &'a str,
    pub(super) documents: &'a [Document],
    /// Which one is edited.
    pub(super) index: usize,
}

/// All edits of a fix, one after another, on the document of that number (from 0) of a text.
///
/// # Errors
/// Nothing of it can be done.
pub(super) fn carry_out(text: &str, index: usize, fix: &Fix) -> Result<String, CannotEdit> {
    let mut text = text.to_owned();
    for edit in &fix.edits {
        text = one(&text, index, edit)?;
    }
    Ok(text)
}

fn one(text: &str, index: usize, edit: &Edit) -> Result<String, CannotEdit> {
    let (documents, _) = load_all("", text);
    let values: Vec<&Value> = documents.iter().map(|document| &document.value).collect();
    let document = documents.get(index).ok_or(CannotEdit::NoWay)?;
    let mut wanted = document.value.clone();
    let alone = Fix { title: String::new(), edits: vec![edit.clone()] };
    alone.apply(&mut wanted).map_err(CannotEdit::Misfit)?;
    if wanted == document.value {
        return Ok(text.to_owned());
    }
    let draft = Draft { text, documents: &documents, index };
    for splices in draft.ways(edit)? {
        let Some(changed) = apply(text, splices) else { continue };
        let (read, errors) = load_all("", &changed);
        let is_meant = |(at, document): (usize, &Document)| {
            document.value == if at == index { wanted.clone() } else { values[at].clone() }
        };
        let was_broken = load_all("", text).1.len();
        if read.len() == values.len() && errors.len() == was_broken && read.iter().enumerate().all(is_meant) {
            return Ok(changed);
        }
    }
    Err(CannotEdit::NoWay)
}

impl<'a> Draft<'a> {
    fn document(&self) -> &'a Document {
        &self.documents[self.index]
    }

    fn style(&self) -> Style {
        Style::of(self.text, self.document())
    }

    fn value(&self, path: &FieldPath) -> Option<&'a Value> {
        path.segments().iter().try_fold(&self.document().value, |value, segment| match segment {
            Segment::Field(name) | Segment::Key(name) => value.get(name.as_str()),
            Segment::Index(index) => value.get(*index),
        })
    }

    fn find(&self, path: &FieldPath) -> Found<'a> {
        self.document().places.find(path)
    }

    /// The place of what is at the path, if the text has it there itself.
    fn own(&self, path: &FieldPath) -> Result<Option<&'a podspec::load::Places>, CannotEdit> {
        let found = self.find(path);
        let is_there = found.depth == path.segments().len();
        let around = self.find(&path.parent());
        if around.is_borrowed && !path.segments().is_empty() {
            return Err(CannotEdit::Borrowed(path.clone()));
        }
        let is_merged = found.places.place.origin == podspec::load::Origin::Merge;
        Ok((is_there && !is_merged).then_some(found.places))
    }

    /// What can be tried, the prettiest first.
    fn ways(&self, edit: &Edit) -> Result<Vec<Vec<Splice>>, CannotEdit> {
        match edit {
            Edit::Set { path, value } => match self.own(path)? {
                Some(places) => replace::ways(self, path, places, value),
                None => insert::entry(self, path, value),
            },
            Edit::Append { path, value } => insert::append(self, path, value),
            Edit::Remove { path } => match self.own(path)? {
                Some(_) => Ok(remove::ways(self, path)),
                None => Err(CannotEdit::Borrowed(path.clone())),
            },
            Edit::Move { from, to } => relocate::ways(self, from, to),
        }
    }
}
