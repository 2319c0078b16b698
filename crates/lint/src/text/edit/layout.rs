//! How a document is laid out, so that what is added looks like the rest.

use podspec::Document;
use podspec::load::{Form, Places};
use podspec::yaml::Layout;

use super::splice::column;

#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) layout: Layout,
    /// `\n` or `\r\n`.
    pub(super) newline: &'static str,
    /// Every text in double quotes.
    pub(super) is_json: bool,
}

impl Style {
    pub(super) fn of(text: &str, document: &Document) -> Self {
        let mut seen = Seen { text, step: None, list_step: None };
        seen.look(&document.places);
        let extent = text.get(document.extent.range()).unwrap_or_default();
        let newline = if extent.contains("\r\n") { "\r\n" } else { "\n" };
        let layout =
            Layout { step: seen.step.unwrap_or(2), list_step: seen.list_step.unwrap_or(0), name_first: true };
        let is_json = document.places.place.form == Form::Flow
            && serde_json::from_str::<serde::de::IgnoredAny>(extent.trim_start_matches('\u{feff}')).is_ok();
        Self { layout, newline, is_json }
    }

    /// Lines as this document ends them.
    pub(super) fn lines(self, lines: &str) -> String {
        if self.newline == "\n" { lines.to_owned() } else { lines.replace('\n', self.newline) }
    }
}

/// The first mapping and the first list that stand below a key.
struct Seen<'a> {
    text: &'a str,
    step: Option<usize>,
    list_step: Option<usize>,
}

impl Seen<'_> {
    fn look(&mut self, places: &Places) {
        for below in places.entries() {
            let place = below.place;
            if let (Form::Block, Some(key)) = (place.form, place.key) {
                let key = column(self.text, key.range().start);
                let columns = column(self.text, place.value.range().start).checked_sub(key);
                let step = if below.items.is_empty() { &mut self.step } else { &mut self.list_step };
                *step = step.or(columns);
            }
            if self.step.is_some() && self.list_step.is_some() {
                return;
            }
            self.look(below);
        }
    }
}
