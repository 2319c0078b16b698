//! YAML events to nodes.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use super::between::{self, Lead};
use super::node::{Content, Entry, NODE_WEIGHT, Node};
use super::place::{self, Form, Place};
use super::scalar;

/// What a text held, and what was wrong with it.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Each document that is not empty.
    pub(super) nodes: Vec<One>,
    pub(super) errors: Vec<SyntaxError>,
}

#[derive(Debug)]
pub(super) struct One {
    /// Counted from 1, with the empty ones.
    pub(super) number: usize,
    pub(super) node: Node,
    /// From its `---`, or the end of the one before, to the next.
    pub(super) extent: place::Span,
}

/// What stands before a text that is a part of another one.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Offset {
    pub(super) lines: u32,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) at: place::Span,
    pub(super) document: usize,
    pub(super) message: String,
}

/// What one text may take in memory, aliases written out. Bounds alias bombs.
const WEIGHT_MAX: usize = 64 << 20;

/// How deep values may be nested, aliases written out. A pod needs about 15.
const HEIGHT_MAX: usize = 100;

/// Syntax errors after which the rest of a text is not looked at any more.
const ERRORS_MAX: usize = 100;

/// Reads all documents; one with a syntax error does not keep the later ones from being read.
/// `offset` is added to every line and place.
pub(super) fn read(text: &str, offset: Offset) -> Read {
    let mut options = granit_parser::options! { block_scalar_eof_without_line_feed: true };
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reader =
        Reader { text, offset, read: Read::default(), number: 0, begin: 0, document: Document::default() };
    loop {
        let outcome = match parser.next_event() {
            None => break,
            Some(Err(error)) => Err(reader.scan_error(&error)),
            Some(Ok((event, span))) => reader.event(event, span),
        };
        let Err(error) = outcome else { continue };
        reader.read.errors.push(error);
        reader.document = Document::default();
        let more = reader.read.errors.len() < ERRORS_MAX && parser.proceed_next_document().unwrap_or(false);
        if !more {
            break;
        }
    }
    reader.end_extent(text.len());
    reader.read
}

struct Reader<'a> {
    text: &'a str,
    offset: Offset,
    read: Read,
    /// Of the document being read.
    number: usize,
    /// Where it begins.
    begin: usize,
    document: Document,
}

/// A document being read.
#[derive(Default)]
struct Document {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    weight: usize,
    /// Behind what has been read of its text.
    cursor: usize,
}

/// A collection whose end has not come yet.
struct Open {
    collection: Collection,
    anchor: usize,
    /// Its end is not known yet.
    place: Place,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<Key> },
}

/// A key whose value has not come yet.
enum Key {
    Name(String, Place),
    /// `<<`
    Merge(Place),
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let outcome = match event {
            Event::DocumentStart(explicit, _) => {
                self.document_start(explicit, span);
                Ok(())
            }
            Event::DocumentEnd => {
                let root = std::mem::take(&mut self.document).root;
                let root = root.filter(|n| !matches!(n.content, Content::Null));
                let extent = self.place_of(self.begin, self.begin);
                self.read.nodes.extend(root.map(|node| One { number: self.number, node, extent }));
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let place = self.place(span, Form::Scalar, style);
                self.document.scalar(text.into_owned(), style, anchor, tag.as_deref(), place)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let place = self.place(span, form(style), ScalarStyle::Plain);
                self.document.open(Collection::List(Vec::new()), anchor, tag.as_deref(), "seq", place)
            }
            Event::MappingStart(style, anchor, tag) => {
                let place = self.place(span, form(style), ScalarStyle::Plain);
                // Anchor and tag are the mapping's, not its first key's.
                self.document.cursor = self.document.cursor.max(bytes(&span).start);
                let map = Collection::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.document.open(map, anchor, tag.as_deref(), "map", place)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let end = bytes(&span).end;
                if self.document.open.last().is_some_and(|open| open.place.form == Form::Flow) {
                    self.document.cursor = end;
                }
                self.document.close(self.place_of(end, end).end)
            }
            Event::Alias(anchor) => {
                let place = self.place(span, Form::Scalar, ScalarStyle::Plain);
                self.document.alias(anchor, place)
            }
            _ => Ok(()),
        };
        let column = u32::try_from(span.start.col() + 1).unwrap_or(0);
        let Range { start, end } = bytes(&span);
        let (line, at) = (self.line(span.start.line()), self.place_of(start, end));
        outcome.map_err(|message| SyntaxError { line, column, at, document: self.number, message })
    }

    fn document_start(&mut self, explicit: bool, span: Span) {
        self.number += 1;
        let Range { start, end } = bytes(&span);
        // The first one has what stands before it.
        self.begin = if self.number == 1 { 0 } else { start };
        self.end_extent(start);
        self.document = Document { cursor: if explicit { end } else { start }, ..Document::default() };
    }

    /// The document that was read before ends where another one begins, or the text does.
    fn end_extent(&mut self, end: usize) {
        let end = self.place_of(end, end).end;
        if let Some(one) = self.read.nodes.last_mut().filter(|one| one.extent.is_empty()) {
            one.extent.end = end;
        }
    }

    /// Where a node begins, of which the parser has the token, and, if it is a scalar or alias, where it ends.
    fn place(&mut self, span: Span, form: Form, style: ScalarStyle) -> Place {
        let (text, from) = (self.text, self.document.cursor);
        let Range { start, mut end } = bytes(&span);
        let is_empty = form == Form::Scalar && style == ScalarStyle::Plain && start == end;
        let Lead { first, behind } = match self.document.expected() {
            Expected::Dash => between::dash(text, from, start),
            Expected::Colon => between::colon(text, from, start),
            Expected::Comma => between::comma(text, from, start),
        };
        let (mut first, mut value) = (first, start);
        match style {
            _ if is_empty => {
                // The parser may be behind a comment already; only anchor and tag stand before nothing.
                value = if between::gap(text, behind) < start { start } else { behind };
                (first, end) = (first.min(value), value);
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                value = between::header(text, first.max(behind)).min(start);
                end = between::content_end(text, value, end);
            }
            _ => {}
        }
        // A block collection begins with its first entry, which reads on from here.
        self.document.cursor = match form {
            Form::Block => behind,
            Form::Flow => end,
            Form::Scalar => end.max(behind),
        };
        Place {
            line: self.line(span.start.line()),
            value: self.place_of(value, end),
            entry: self.place_of(first, end),
            form,
            ..Place::default()
        }
    }

    fn place_of(&self, start: usize, end: usize) -> place::Span {
        place::Span::new(start.saturating_add(self.offset.bytes), end.saturating_add(self.offset.bytes))
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        let marker = error.marker();
        SyntaxError {
            line: self.line(marker.line()),
            column: u32::try_from(marker.col() + 1).unwrap_or(0),
            at: marker.byte_offset().map_or_else(place::Span::default, |byte| self.place_of(byte, byte)),
            document: self.number.max(1),
            message: format!("not valid YAML: {}", error.info()),
        }
    }

    fn line(&self, line: usize) -> u32 {
        u32::try_from(line).unwrap_or(u32::MAX).saturating_add(self.offset.lines)
    }
}

enum Expected {
    Dash,
    Colon,
    /// Or nothing.
    Comma,
}

fn form(style: StructureStyle) -> Form {
    if style == StructureStyle::Flow { Form::Flow } else { Form::Block }
}

/// The parser knows the bytes of everything that it has from a text in memory.
fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

impl Document {
    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<(), String> {
        let plain = style == ScalarStyle::Plain;
        if let (true, None, "<<", Some(key)) = (plain, tag, text.as_str(), self.awaited_key()) {
            *key = Some(Key::Merge(place));
            return Ok(());
        }
        let content = match tag {
            Some(tag) => scalar::tagged(core_tag(tag)?, text)?,
            None if plain => scalar::plain(&text)?,
            None => Content::Text(text),
        };
        self.add(Node::new(content, place), anchor)
    }

    fn open(
        &mut self,
        collection: Collection,
        anchor: usize,
        tag: Option<&Tag>,
        expected: &str,
        place: Place,
    ) -> Result<(), String> {
        if let Some(tag) = tag {
            let name = core_tag(tag)?;
            if name != expected {
                return Err(format!("tag !!{name} has no place here"));
            }
        }
        if self.open.len() >= HEIGHT_MAX {
            return Err(format!("nested more than {HEIGHT_MAX} levels deep"));
        }
        self.open.push(Open { collection, anchor, place });
        Ok(())
    }

    /// `end` is that of the closing bracket, where there is one.
    fn close(&mut self, end: u32) -> Result<(), String> {
        let Some(Open { collection, anchor, mut place }) = self.open.pop() else { return Ok(()) };
        set_end(&mut place, &collection, end);
        let content = match collection {
            Collection::List(items) => Content::List(items),
            Collection::Map { mut entries, merges, .. } => {
                let mut keys: HashSet<String> = HashSet::new();
                if !merges.is_empty() {
                    keys.extend(entries.iter().map(|e| e.key.clone()));
                }
                for merge in merges {
                    merge_into(&mut entries, &mut keys, merge)?;
                }
                Content::Map(entries)
            }
        };
        // What it contains has been counted when it was added.
        let node = Node::new(content, place);
        self.weight = self.weight.saturating_sub(node.weight - NODE_WEIGHT);
        self.add(node, anchor)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), String> {
        let node = self.anchors.get(&anchor).cloned();
        let node = node.ok_or("an alias to something that contains the alias")?;
        self.add(Node { place: Place { origin: place::Origin::Alias, ..place }, ..node }, 0)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, mut node: Node, anchor: usize) -> Result<(), String> {
        self.weight = self.weight.saturating_add(node.weight);
        if self.weight > WEIGHT_MAX {
            return Err(format!("takes more than {} MiB with its aliases written out", WEIGHT_MAX >> 20));
        }
        if node.height + self.open.len() > HEIGHT_MAX {
            return Err(format!("nested more than {HEIGHT_MAX} levels deep with its aliases written out"));
        }
        if anchor > 0 {
            self.weight = self.weight.saturating_add(node.weight);
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|o| &mut o.collection) {
            None => self.root = Some(node),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { entries, merges, key }) => match key.take() {
                None => {
                    let (place, kind) = (node.place, node.kind());
                    let name = scalar::key(node.content).ok_or_else(|| format!("{kind} cannot be a key"))?;
                    *key = Some(Key::Name(name, place));
                }
                Some(Key::Name(key, place)) => {
                    // A block value starts a line below its key; errors point at the key.
                    node.place.line = place.line;
                    node.place.key = Some(place.value);
                    node.place.entry.start = place.entry.start;
                    entries.push(Entry { key, node });
                }
                Some(Key::Merge(place)) => {
                    node.place.entry.start = place.entry.start;
                    merges.push(node);
                }
            },
        }
        Ok(())
    }

    /// What leads to the node that comes next.
    fn expected(&self) -> Expected {
        match self.open.last() {
            Some(Open { collection: Collection::Map { key: Some(_), .. }, .. }) => Expected::Colon,
            Some(Open { collection: Collection::List(_), place, .. }) if place.form == Form::Block => {
                Expected::Dash
            }
            _ => Expected::Comma,
        }
    }

    /// The place for a key, when a key comes next.
    fn awaited_key(&mut self) -> Option<&mut Option<Key>> {
        match self.open.last_mut().map(|o| &mut o.collection) {
            Some(Collection::Map { key: key @ None, .. }) => Some(key),
            _ => None,
        }
    }
}

/// A block collection reaches from its first entry to its last.
fn set_end(place: &mut Place, collection: &Collection, end: u32) {
    if place.form == Form::Flow {
        (place.value.end, place.entry.end) = (end, end);
        return;
    }
    let entries: Vec<place::Span> = match collection {
        Collection::List(items) => items.iter().map(|item| item.place.entry).collect(),
        Collection::Map { entries, merges, .. } => {
            let nodes = entries.iter().map(|entry| &entry.node).chain(merges);
            nodes.map(|node| node.place.entry).collect()
        }
    };
    if let (Some(start), Some(end)) =
        (entries.iter().map(|entry| entry.start).min(), entries.iter().map(|entry| entry.end).max())
    {
        place.value = place::Span { start, end };
        place.entry = place::Span { start: place.entry.start.min(start), end };
    }
}

/// Adds the entries of a `<<` value whose keys are not there yet
/// (<https://yaml.org/type/merge.html>).
fn merge_into(entries: &mut Vec<Entry>, keys: &mut HashSet<String>, merge: Node) -> Result<(), String> {
    match merge.content {
        Content::Map(merged) => {
            let mut new: Vec<Entry> = merged.into_iter().filter(|e| keys.insert(e.key.clone())).collect();
            new.iter_mut().for_each(|e| e.node.place.origin = place::Origin::Merge);
            entries.extend(new);
            Ok(())
        }
        Content::List(maps) if maps.iter().all(|n| matches!(n.content, Content::Map(_))) => {
            maps.into_iter().try_for_each(|map| merge_into(entries, keys, map))
        }
        _ => Err("<< takes a mapping, or a list of mappings".to_owned()),
    }
}

fn core_tag(tag: &Tag) -> Result<&str, String> {
    tag.core_suffix().ok_or_else(|| format!("tag {} has no place in a manifest", tag.original()))
}
