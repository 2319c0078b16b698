//! A record with what the plan says of it now, and what the journal says that was before.

use std::collections::BTreeSet;

use journal::{Happening, Record};
use lifecycle::{
    Attempt, AttemptState, ContainerStatus, Decision, Exit, Observation, Plan, ProbeKind, ProbeOutcome,
    StopReason, Verdict, Wait,
};
use lint::{Context, Finding, Severity};
use podspec::{BootTime, Container, ContainerName, Moment, PodSpec};

use super::explanation::{Remedy, When};
use super::{Surroundings, manifest};

pub(super) struct Case<'a> {
    pub(super) record: &'a Record,
    pub(super) around: &'a Surroundings,
    pub(super) plan: Plan,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Case<'a> {
    pub(super) fn new(record: &'a Record, around: &'a Surroundings) -> Self {
        let plan = lifecycle::plan(&record.pod.spec, &record.observed, record.now);
        let services: BTreeSet<String> = around.services.keys().cloned().collect();
        let context = Context { services, complete: around.complete };
        let findings = lint::check(&manifest::of(&record.pod), &context);
        Self { record, around, plan, findings }
    }

    pub(super) fn spec(&self) -> &'a PodSpec {
        &self.record.pod.spec
    }

    pub(super) fn when(&self, at: BootTime) -> When {
        When::of(at, self.record.now)
    }

    pub(super) fn attempt(&self, name: &ContainerName) -> Option<&'a Attempt> {
        self.record.observed.containers.get(name)?.current.as_deref()
    }

    pub(super) fn running(&self, name: &ContainerName) -> Option<(&'a Attempt, Moment)> {
        let attempt = self.attempt(name)?;
        match attempt.state {
            AttemptState::Running { since } => Some((attempt, since)),
            _ => None,
        }
    }

    /// How the newest attempt, or the one before, has ended.
    pub(super) fn last_exit(&self, name: &ContainerName) -> Option<(&'a Attempt, &'a Exit)> {
        let observed = self.record.observed.containers.get(name)?;
        let attempts = [&observed.current, &observed.previous, &observed.outgoing];
        attempts.into_iter().filter_map(Option::as_deref).find_map(|attempt| match &attempt.state {
            AttemptState::Exited(exit) => Some((attempt, exit)),
            _ => None,
        })
    }

    pub(super) fn status(&self, name: &ContainerName) -> Option<&ContainerStatus> {
        self.plan.status.all_containers().find(|status| status.name == *name)
    }

    /// What the plan says of a container.
    pub(super) fn verdicts<'s>(&'s self, name: &'s ContainerName) -> impl Iterator<Item = &'s Verdict> {
        let of_it = move |decision: &&Decision| decision.container.as_ref() == Some(name);
        self.plan.decisions.iter().filter(of_it).map(|decision| &decision.verdict)
    }

    pub(super) fn waits<'s>(&'s self, name: &'s ContainerName) -> impl Iterator<Item = &'s Wait> {
        self.verdicts(name).filter_map(|verdict| match verdict {
            Verdict::Wait(wait) => Some(wait),
            _ => None,
        })
    }

    /// Since when this has been decided without a break, as far as the journal goes back.
    pub(super) fn since(&self, is_it: impl Fn(&Decision) -> bool) -> Option<When> {
        let mut since = None;
        for entry in self.record.entries.iter().rev() {
            let decisions = match &entry.what {
                Happening::Decided(decisions) => decisions,
                Happening::Snapshot(snapshot) => &snapshot.decisions,
                _ => continue,
            };
            if !decisions.iter().any(&is_it) {
                break;
            }
            since = Some(entry.at.boot);
        }
        since.map(|at| self.when(at))
    }

    /// What the newest probe of this kind said that failed, and when, and how many did in the journal since the attempt began.
    pub(super) fn last_failure(&self, name: &ContainerName, kind: ProbeKind) -> Option<(&'a str, When)> {
        let number = self.attempt(name)?.number;
        self.record.entries.iter().rev().find_map(|entry| match &entry.what {
            Happening::Observed(Observation::ProbeFinished {
                container,
                attempt,
                probe,
                outcome: ProbeOutcome::Failure(text) | ProbeOutcome::Error(text),
            }) if container == name && *attempt == number && *probe == kind => {
                Some((text.as_str(), self.when(entry.at.boot)))
            }
            _ => None,
        })
    }

    /// The failure of a probe that ended this attempt.
    pub(super) fn failure_of(&self, name: &ContainerName, number: u32) -> Option<(ProbeKind, &'a str)> {
        self.record.entries.iter().rev().find_map(|entry| match &entry.what {
            Happening::Observed(Observation::ProbeFinished {
                container,
                attempt,
                probe,
                outcome: ProbeOutcome::Failure(text),
            }) if container == name && *attempt == number && *probe != ProbeKind::Readiness => {
                Some((*probe, text.as_str()))
            }
            _ => None,
        })
    }

    /// Why the engine stopped this attempt of the container alone.
    pub(super) fn stopped(&self, name: &ContainerName, number: u32) -> Option<StopReason> {
        let mut reason = None;
        for entry in &self.record.entries {
            match &entry.what {
                Happening::Decided(decisions) => {
                    reason = decisions
                        .iter()
                        .find_map(|decision| match decision.verdict {
                            Verdict::StopContainer(why) if decision.container.as_ref() == Some(name) => {
                                Some(why)
                            }
                            _ => None,
                        })
                        .or(reason);
                }
                Happening::Observed(Observation::ContainerStarted { container, .. }) if container == name => {
                    reason = None;
                }
                Happening::Observed(Observation::ContainerExited { container, attempt, .. })
                    if container == name && *attempt == number =>
                {
                    return reason;
                }
                _ => {}
            }
        }
        None
    }

    /// When the container's last start was issued or observed, of whatever attempt.
    pub(super) fn position(&self, name: &ContainerName) -> Option<String> {
        let spec = self.spec();
        for (list, containers) in
            [("initContainers", &spec.init_containers), ("containers", &spec.containers)]
        {
            if let Some(at) = containers.iter().position(|container| container.name == *name) {
                return Some(format!("spec.{list}[{at}]"));
            }
        }
        None
    }

    pub(super) fn findings_of<'s>(&'s self, name: &ContainerName) -> impl Iterator<Item = &'s Finding> {
        let position = self.position(name).unwrap_or_else(|| "nowhere".to_owned());
        self.findings.iter().filter(move |finding| {
            let about = |path: String| path == position || path.starts_with(&format!("{position}."));
            about(finding.path.to_string()) || finding.related.iter().any(|(path, _)| about(path.to_string()))
        })
    }

    /// What the rules find in the container itself.
    pub(super) fn own_findings_of<'s>(&'s self, name: &ContainerName) -> impl Iterator<Item = &'s Finding> {
        let position = self.position(name).unwrap_or_else(|| "nowhere".to_owned());
        self.findings.iter().filter(move |finding| {
            let path = finding.path.to_string();
            path == position || path.starts_with(&format!("{position}."))
        })
    }

    /// What cannot work of it.
    pub(super) fn error_of(&self, name: &ContainerName) -> Option<&Finding> {
        self.own_findings_of(name).find(|finding| finding.rule.severity == Severity::Error)
    }

    /// What mends it after the rules with these ids, of what they find in the container.
    pub(super) fn remedies_of(&self, name: &ContainerName, rules: &[&str]) -> Vec<Remedy> {
        self.findings_of(name).filter(|finding| rules.contains(&finding.rule.id)).map(Remedy::of).collect()
    }
}

pub(super) fn kind_word(container: &Container) -> &'static str {
    match container.kind {
        podspec::ContainerKind::Init => "init container",
        podspec::ContainerKind::Sidecar => "sidecar",
        podspec::ContainerKind::App => "container",
        podspec::ContainerKind::Ephemeral => "ephemeral container",
    }
}
