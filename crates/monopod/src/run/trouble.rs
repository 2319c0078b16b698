//! What keeps a pod from going on: said with its remedy, and once. A kubelet tries again for ever, also
//! what can never work, and so does this engine.

use std::collections::BTreeMap;

use journal::Happening;
use lifecycle::Observation;
use podspec::ContainerName;

use super::steps::Step;
use crate::remedy;

/// What failed last and has not worked since, by container; `None` is the pod as a whole.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<Option<ContainerName>, Trouble>);

#[derive(Debug)]
struct Trouble {
    text: String,
    repeated: bool,
    /// When it is tried again has been said.
    retry_said: bool,
}

/// Steps that say why something failed.
const CAUSES: [&str; 5] =
    ["volumes_failed", "sandbox_failed", "image_failed", "create_failed", "start_failed"];
/// Steps that say what is done about it.
const RETRIES: [&str; 3] = ["retrying", "backing_off", "sandbox_recreated"];

impl Troubles {
    /// Marks those of an entry's steps that say nothing new.
    pub(crate) fn take_in(&mut self, what: &Happening, steps: &mut [Step]) {
        if let Happening::Observed(observation) = what {
            match observation {
                Observation::VolumesReady | Observation::SandboxCreated { .. } => drop(self.0.remove(&None)),
                Observation::ContainerStarted { container, .. } => {
                    self.0.remove(&Some(container.clone()));
                }
                _ => {}
            }
        }
        for step in steps {
            if CAUSES.contains(&step.step) {
                let known = self.0.get(&step.container).filter(|held| held.text == step.text);
                step.repeats = known.is_some();
                let retry_said = known.is_some_and(|held| held.retry_said);
                let trouble = Trouble { text: step.text.clone(), repeated: step.repeats, retry_said };
                self.0.insert(step.container.clone(), trouble);
            } else if RETRIES.contains(&step.step)
                && !step.text.ends_with("(CrashLoopBackOff)")
                && let Some(held) = self.0.get_mut(&step.container)
            {
                // What was tried again at once had no wait to speak of.
                step.repeats = held.repeated && held.retry_said;
                held.retry_said = true;
            }
        }
    }
}

/// `message; remedy: ...`, where the message does not say itself what to do. `reason` is Kubernetes'.
pub(crate) fn with_remedy(reason: &str, message: &str) -> String {
    match by_message(message).or_else(|| by_reason(reason)).or_else(|| remedy::by_errno(message)) {
        Some(remedy) => format!("{message}; remedy: {remedy}"),
        None => message.to_owned(),
    }
}

/// Messages that clients of Kubernetes know, and which therefore stay as they are.
fn by_message(message: &str) -> Option<&'static str> {
    const REMEDIES: [(&str, &str); 5] = [
        ("hostPath type check failed", "make it on the host, or change hostPath.path or hostPath.type"),
        (
            "container has runAsNonRoot and image will run as root",
            "set securityContext.runAsUser to a number above 0",
        ),
        (
            "container has runAsNonRoot and image has non-numeric user",
            "set securityContext.runAsUser to a number",
        ),
        (
            "container's runAsUser breaks non-root policy",
            "set securityContext.runAsUser to a number above 0, or runAsNonRoot to false",
        ),
        ("exec \"", "check command and args, and that the image has the program"),
    ];
    let known = |(text, _): &&(&str, &str)| message.contains(text);
    REMEDIES.iter().find(known).map(|(_, remedy)| *remedy)
}

fn by_reason(reason: &str) -> Option<&'static str> {
    match reason {
        "ErrImageNeverPull" => Some(
            "pull it with `monopod image pull`, load it with `monopod image load`, or name the secret it was pulled with",
        ),
        "InvalidImageName" => Some("write image as [REGISTRY/]NAME[:TAG], the name in lower case"),
        _ => None,
    }
}
