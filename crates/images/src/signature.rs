//! Which images may be pulled at all: a policy file, and the signatures that it may demand.
//!
//! The file is that of containers-policy.json(5), of which the requirements `insecureAcceptAnything`, `reject` and `sigstoreSigned`
//! with keys are known. Whatever else is in it is an error, with its place in the file: a policy that is half understood is none.
//! It is for what comes from registries (the transport `docker`); what is loaded or imported was chosen by whoever did
//! that.
//!
//! Signatures are those of cosign, with a key: in the image's repository, under the tag `sha256-HEX.sig` of what is signed, is a
//! manifest whose layers are payloads, each with its signature as an annotation
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>). Nothing of a payload is believed before its signature has
//! been verified.

mod cosign;
mod identity;
mod json;
mod key;
mod policy;

use std::fmt;

use registry::{Digest, Reference, Repository};

use cosign::{Attachment, Flaw};
use identity::Named;
pub use policy::{Policy, PolicyError};
use policy::{Requirement, SigstoreSigned};

/// Where the policy of this machine is, unless one is named. It need not exist.
pub const DEFAULT_POLICY_PATH: &str = "/etc/monopod/policy.json";

/// Why an image may not be pulled; the reason of a container that waits for it is `SignatureValidationFailed`.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("the policy of this machine rejects it: {scope}")]
    Rejected { scope: String },
    #[error(
        "the policy of this machine demands a signature ({scope}), and there is none: no image in its repository has the \
         tag {}", tags.join(" or ")
    )]
    Unsigned { scope: String, tags: Vec<String> },
    #[error("the policy of this machine demands a signature ({scope}), and none of those there are is enough: {}", flaws.join("; "))]
    Insufficient { scope: String, flaws: Vec<String> },
    #[error("its signatures, which the policy of this machine demands ({scope}), cannot be fetched")]
    Fetch { scope: String, source: registry::Error },
    #[error("its signatures, which the policy of this machine demands ({scope}), cannot be read: {problem}")]
    Malformed { scope: String, problem: String },
}

impl Policy {
    /// Whether the image may be pulled. `digests` are those of its manifest, and of the index above it if there is
    /// one: whichever of them was signed. Asks the registry only when a signature is demanded.
    ///
    /// # Errors
    /// When it may not, or when that cannot be told.
    pub async fn check(
        &self,
        reference: &Reference,
        digests: &[Digest],
        repository: &Repository,
    ) -> Result<(), SignatureError> {
        let (scope, requirements) = self.requirements(reference);
        let Some(demands) = demands(requirements) else {
            return Err(SignatureError::Rejected { scope: scope.to_string() });
        };
        if demands.is_empty() {
            return Ok(());
        }
        let attachments = cosign::fetch(digests, repository).await.map_err(|error| match error {
            cosign::FetchError::Registry(source) => {
                SignatureError::Fetch { scope: scope.to_string(), source }
            }
            cosign::FetchError::Malformed(problem) => {
                SignatureError::Malformed { scope: scope.to_string(), problem }
            }
        })?;
        decide(&demands, reference, digests, &attachments, &scope)
    }
}

/// The signatures that are demanded; `None` when the image is rejected.
fn demands(requirements: &[Requirement]) -> Option<Vec<&SigstoreSigned>> {
    let mut demands = vec![];
    for requirement in requirements {
        match requirement {
            Requirement::AcceptAnything => {}
            Requirement::Reject => return None,
            Requirement::Signed(signed) => demands.push(signed),
        }
    }
    Some(demands)
}

/// Every demand has to be met, each by any of the attachments.
fn decide(
    demands: &[&SigstoreSigned],
    reference: &Reference,
    digests: &[Digest],
    attachments: &[Attachment],
    scope: &dyn fmt::Display,
) -> Result<(), SignatureError> {
    if attachments.is_empty() {
        let tags = digests.iter().map(cosign::tag_of).collect();
        return Err(SignatureError::Unsigned { scope: scope.to_string(), tags });
    }
    let image = Named::of(reference);
    for demand in demands {
        let flaw = |attachment: &Attachment| meets(demand, &image, digests, attachment).err();
        let flaws: Vec<Flaw> = attachments.iter().map_while(flaw).collect();
        if flaws.len() == attachments.len() {
            let flaws = flaws.iter().map(ToString::to_string).collect();
            return Err(SignatureError::Insufficient { scope: scope.to_string(), flaws });
        }
    }
    Ok(())
}

fn meets(
    demand: &SigstoreSigned,
    image: &Named,
    digests: &[Digest],
    attachment: &Attachment,
) -> Result<(), Flaw> {
    let payload = attachment.verify(&demand.keys)?;
    if !digests.contains(&payload.digest) {
        return Err(Flaw::Digest { signed: payload.digest });
    }
    match demand.identity.accepts(image, &payload.reference) {
        true => Ok(()),
        false => Err(Flaw::Identity { signed: payload.reference }),
    }
}

#[cfg(test)]
mod tests;
