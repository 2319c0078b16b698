//! What a pod is changed to while it is there, and what others say of it.

use std::time::Duration;

use podspec::{Container, ContainerName, PodSpec, Resources};

use simulation::Event;

use crate::words::{Amount, amount, key_value, number};

/// A change of the spec, as the API lets one through.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Image { container: ContainerName, image: String },
    Resources { container: ContainerName, cpu: Option<Amount>, memory: Option<Amount> },
    Deadline(Duration),
    Ephemeral(Box<Container>),
}

/// What happens to a pod from outside, before it is known what it is changed to by then.
#[derive(Clone, Debug)]
pub(crate) enum Outside {
    Event(Event),
    Change(Change),
}

impl Change {
    /// `None`: it is no change of the spec.
    pub(crate) fn parse<'t>(
        what: &str,
        words: &mut impl Iterator<Item = &'t str>,
    ) -> Result<Option<Self>, String> {
        let mut word = |missing: &'static str| words.next().ok_or(missing);
        let change = match what {
            "image" => {
                let container = ContainerName::new(word("whose image?")?);
                Self::Image { container, image: word("which image?")?.to_owned() }
            }
            "deadline" => Self::Deadline(Duration::from_secs(number(word("how many seconds?")?)?)),
            "resize" => {
                let container = ContainerName::new(word("who is resized?")?);
                let (mut cpu, mut memory) = (None, None);
                for word in words {
                    match key_value(word)? {
                        ("cpu", value) => cpu = Some(amount(value)?),
                        ("memory", value) => memory = Some(amount(value)?),
                        (other, _) => return Err(format!("unknown resource {other:?}")),
                    }
                }
                Self::Resources { container, cpu, memory }
            }
            _ => return Ok(None),
        };
        Ok(Some(change))
    }

    fn apply(self, spec: &mut PodSpec) {
        let changed = match &self {
            Self::Image { container, .. } | Self::Resources { container, .. } => Some(container),
            Self::Deadline(_) | Self::Ephemeral(_) => None,
        };
        let all = spec.init_containers.iter_mut().chain(&mut spec.containers);
        let container = changed.and_then(|name| all.into_iter().find(|c| c.name == *name));
        match (self, container) {
            (Self::Image { image, .. }, Some(container)) => container.image = image,
            (Self::Resources { cpu, memory, .. }, Some(container)) => {
                container.resources = given(container.resources, cpu, memory);
            }
            // It can only be brought nearer.
            (Self::Deadline(deadline), _) => {
                spec.active_deadline = Some(spec.active_deadline.map_or(deadline, |held| held.min(deadline)));
            }
            (Self::Ephemeral(container), _) => spec.ephemeral_containers.push(*container),
            (Self::Image { .. } | Self::Resources { .. }, None) => {}
        }
    }
}

fn given(mut resources: Resources, cpu: Option<Amount>, memory: Option<Amount>) -> Resources {
    if let Some(Amount { request, limit }) = cpu {
        (resources.cpu_request, resources.cpu_limit) = (request, limit);
    }
    if let Some(Amount { request, limit }) = memory {
        (resources.memory_request, resources.memory_limit) = (request, limit);
    }
    resources
}

/// In the order of their times; and the pods that come of the changes, each with those before it.
pub(crate) fn in_order(
    spec: &PodSpec,
    mut happenings: Vec<(Duration, Outside)>,
) -> (Vec<(Duration, Event)>, Vec<PodSpec>) {
    happenings.sort_by_key(|(at, _)| *at);
    let mut specs: Vec<PodSpec> = Vec::new();
    let events = happenings.into_iter().map(|(at, outside)| match outside {
        Outside::Event(event) => (at, event),
        Outside::Change(change) => {
            let mut changed = specs.last().unwrap_or(spec).clone();
            change.apply(&mut changed);
            specs.push(changed);
            (at, Event::Change(specs.len() - 1))
        }
    });
    (events.collect(), specs)
}
