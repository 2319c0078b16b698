//! Every state that can be reached, each judged once, and the number of ways there are.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hasher};

use crate::timeline::Timeline;

/// What can happen, as the search sees it. A state is settled when its plan has been carried out.
pub(super) trait Model {
    type State: Clone;
    type Event: Clone + Debug;

    /// Not settled yet.
    fn beginning(&self, timeline: &mut Timeline) -> Self::State;
    /// Adds all that tells one state from another, settled or not.
    fn key(&self, state: &Self::State, hasher: &mut impl Hasher);
    /// All that can happen next in a settled state.
    fn choices(&self, state: &Self::State) -> Vec<Choice<Self::Event>>;
    /// The state after `event`, not settled yet.
    fn after(&self, state: &Self::State, event: &Self::Event, timeline: &mut Timeline) -> Self::State;
    /// Plans and carries out; panics at a broken promise.
    fn settle(&self, state: &mut Self::State, timeline: &mut Timeline);
    /// Further promises about a settled state that `events` events lead to.
    fn judge(&self, state: &Self::State, events: usize, timeline: &mut Timeline);
}

pub(super) struct Choice<E> {
    pub(super) event: E,
    /// It counts as an event; what is left to itself would not let it happen now.
    pub(super) counted: bool,
}

/// How large what was searched is.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    pub states: u64,
    pub transitions: u64,
    /// Different sequences of events.
    pub worlds: u128,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.worlds += other.worlds;
    }
}

/// A search to `depth` counted events. It holds what it has seen, so that after a panic the way to the
/// state that broke a promise can be told.
pub(super) struct Search<'m, M: Model> {
    model: &'m M,
    depth: usize,
    nodes: Vec<Node<M::Event>>,
    known: HashMap<u64, usize, BuildHasherDefault<Keyed>>,
    /// Settled states whose successors are not known yet, by the events that led to them.
    layers: Vec<Vec<(usize, M::State)>>,
    /// The node and event that were being looked at last.
    last: (usize, Option<M::Event>),
    transitions: u64,
}

struct Node<E> {
    /// The fewest events that lead here.
    depth: usize,
    from: Option<(usize, E)>,
    successors: Vec<Successor>,
    /// The number of worlds with 0, 1, ... events to come.
    worlds: Vec<u128>,
}

#[derive(Clone, Copy)]
struct Successor {
    node: usize,
    counted: bool,
}

impl<'m, M: Model> Search<'m, M> {
    pub(super) fn new(model: &'m M, depth: usize) -> Self {
        Self {
            model,
            depth,
            nodes: Vec::new(),
            known: HashMap::default(),
            layers: (0..=depth).map(|_| Vec::new()).collect(),
            last: (0, None),
            transitions: 0,
        }
    }

    /// # Panics
    /// At the first broken promise.
    pub(super) fn run(&mut self) -> Figures {
        let beginning = self.model.beginning(&mut Timeline::silent());
        self.discover(beginning, 0, None);
        for depth in 0..=self.depth {
            while let Some((node, state)) = self.layers[depth].pop() {
                if self.nodes[node].depth == depth {
                    self.expand(node, &state, depth);
                }
            }
        }
        let worlds = self.worlds(0, self.depth);
        Figures { states: self.nodes.len() as u64, transitions: self.transitions, worlds }
    }

    /// The events on the way to what was looked at last.
    pub(super) fn trail(&self) -> Vec<M::Event> {
        let (mut node, event) = self.last.clone();
        let mut events: Vec<M::Event> = event.into_iter().collect();
        while let Some((before, event)) = self.nodes.get(node).and_then(|n| n.from.clone()) {
            events.push(event);
            node = before;
        }
        events.reverse();
        events
    }

    /// The node of a state that was reached with `depth` events; one that is new, or was not reached with
    /// so few before, is looked at from there.
    fn discover(&mut self, mut state: M::State, depth: usize, from: Option<(usize, M::Event)>) -> usize {
        let mut hasher = Folded::default();
        self.model.key(&state, &mut hasher);
        let next = self.nodes.len();
        let node = *self.known.entry(hasher.finish()).or_insert(next);
        if node == next {
            self.nodes.push(Node { depth, from, successors: Vec::new(), worlds: Vec::new() });
        } else if self.nodes[node].depth <= depth {
            return node;
        }
        self.nodes[node].depth = depth;
        self.model.settle(&mut state, &mut Timeline::silent());
        if node == next {
            self.model.judge(&state, depth, &mut Timeline::silent());
        }
        if depth == self.depth {
            // Nothing counted can follow: no need to keep the state.
            self.expand(node, &state, depth);
        } else {
            self.layers[depth].push((node, state));
        }
        node
    }

    fn expand(&mut self, node: usize, state: &M::State, depth: usize) {
        let mut successors = Vec::new();
        for Choice { event, counted } in self.model.choices(state) {
            let depth = depth + usize::from(counted);
            if depth > self.depth {
                continue;
            }
            self.transitions += 1;
            self.last = (node, Some(event.clone()));
            let after = self.model.after(state, &event, &mut Timeline::silent());
            let successor = self.discover(after, depth, Some((node, event)));
            successors.push(Successor { node: successor, counted });
        }
        self.nodes[node].successors = successors;
    }

    /// The number of worlds that go on from `node` with `left` events to come.
    fn worlds(&mut self, node: usize, left: usize) -> u128 {
        if let Some(known) = self.nodes[node].worlds.get(left) {
            return *known;
        }
        for left in self.nodes[node].worlds.len()..=left {
            let mut sum = 0;
            for index in 0..self.nodes[node].successors.len() {
                let Successor { node, counted } = self.nodes[node].successors[index];
                match (counted, left) {
                    (false, _) => sum += self.worlds(node, left),
                    (true, 0) => {}
                    (true, _) => sum += self.worlds(node, left - 1),
                }
            }
            self.nodes[node].worlds.push(sum.max(1));
        }
        self.nodes[node].worlds[left]
    }
}

/// A state's key: millions are made, of some kilobytes each. Two states out of 10^7 have the same with a
/// probability of some 10^-6; one of them would not be looked at.
#[derive(Default)]
struct Folded(u64);

impl Folded {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0.rotate_left(29) ^ word ^ Self::FACTOR) * u128::from(Self::FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.fold(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.fold(number);
    }

    fn write_i64(&mut self, number: i64) {
        self.fold(number.cast_unsigned());
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }
}

/// Takes a key that is a hash already.
#[derive(Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
