//! Fixes carried out on a text, one after another, until nothing is left that has one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use podspec::load::{Span, load_all};

use super::edit::{self, CannotEdit};
use super::examine::{Located, Options, Text, examine_alone, services_of};

/// Fixes of one text; who runs it again gets more.
const FIXES_MAX: usize = 1_000;
/// How often one fix may be made at one place: more than once only if it did not mend what it is for.
const REPEATS_MAX: usize = 8;

/// A text after its fixes.
#[derive(Clone, PartialEq, Debug)]
pub struct Mended {
    pub text: String,
    /// In their order.
    pub done: Vec<Located>,
    /// What has a fix that does not fit the text.
    pub left: Vec<(Located, CannotEdit)>,
    /// There was more to do than is done at once.
    pub is_cut: bool,
}

/// A part of a text and what is to stand there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement {
    pub at: Span,
    pub text: String,
}

/// Makes every fix that `options` do not silence. `around` are the other texts, of which the Services count. A text that cannot be
/// read in full stays as it is.
#[must_use]
pub fn mend(text: Text<'_>, around: &[Text<'_>], options: &Options) -> Mended {
    let services = services_of(around.iter().chain([&text]), options);
    let mut mended = Mended { text: String::new(), done: Vec::new(), left: Vec::new(), is_cut: false };
    let mut at = 0;
    for piece in pieces(text.text) {
        mended.text.push_str(&text.text[at..piece.start]);
        at = piece.end;
        let mut piece = text.text[piece].to_owned();
        let mut tries: BTreeMap<_, usize> = BTreeMap::new();
        let mut failed = BTreeSet::new();
        loop {
            let examined = examine_alone(&piece, &services, options);
            if examined.is_unreadable {
                break;
            }
            let key = |located: &Located| {
                let title = located.fix.as_ref().map(|fix| fix.title.clone());
                (located.source.nth, located.rule.id, located.path.clone(), title)
            };
            let is_next = |located: &Located| located.fix.is_some() && !failed.contains(&key(located));
            let Some(next) = examined.findings.into_iter().find(is_next) else { break };
            let Some(fix) = &next.fix else { break };
            let tried = tries.entry(key(&next)).or_default();
            *tried += 1;
            if mended.done.len() == FIXES_MAX || *tried > REPEATS_MAX {
                mended.is_cut = true;
                break;
            }
            match edit::carry_out(&piece, next.source.nth, fix) {
                Ok(changed) => {
                    piece = changed;
                    mended.done.push(next);
                }
                Err(error) => {
                    failed.insert(key(&next));
                    mended.left.push((next, error));
                }
            }
        }
        mended.text.push_str(&piece);
    }
    mended.text.push_str(&text.text[at..]);
    mended
}

/// What the fix of a finding changes in the text that it was found in.
///
/// # Errors
/// The fix does not fit the text.
pub fn replacements(text: &str, located: &Located) -> Result<Vec<Replacement>, CannotEdit> {
    let Some(fix) = &located.fix else { return Ok(Vec::new()) };
    let extent = located.source.extent.range();
    let piece = text.get(extent.clone()).ok_or(CannotEdit::NoWay)?;
    let changed = edit::carry_out(piece, located.source.nth, fix)?;
    let of = |change: super::diff::Change| Replacement {
        at: Span::new(extent.start + change.old.start, extent.start + change.old.end),
        text: changed[change.new].to_owned(),
    };
    Ok(super::diff::changes(piece, &changed).into_iter().map(of).collect())
}

/// The documents of a text, as far as each of them can be read alone; otherwise the text as a whole.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let (documents, errors) = load_all("", text);
    let mut extents: Vec<Span> = documents.iter().map(|document| document.extent).collect();
    extents.dedup();
    let reads_alone = |extent: &Span| {
        let of_it =
            documents.iter().filter(|document| document.extent == *extent).map(|document| &document.value);
        let piece = text.get(extent.range()).unwrap_or_default();
        load_all("", piece).0.iter().map(|document| &document.value).eq(of_it)
    };
    let is_whole = errors.iter().any(|error| error.location.document == 0);
    if is_whole || !extents.iter().all(reads_alone) {
        return std::iter::once(0..text.len()).collect();
    }
    extents.into_iter().map(Span::range).collect()
}
