//! Images that cannot be had.

use lifecycle::PullState;
use podspec::Container;

use super::case::{Case, kind_word};
use super::exit::one_line;
use super::explanation::{Health, Link, Remedy, Trouble};

pub(super) fn trouble(case: &Case<'_>, container: &Container) -> Option<Trouble> {
    // Images are shared: only one whose turn it is has to do with it.
    if !case.waits(&container.name).any(|wait| {
        use lifecycle::Wait::{CreateRetry, ImagePullBackOff};
        matches!(wait, ImagePullBackOff { .. } | CreateRetry { .. })
    }) {
        return None;
    }
    let images =
        case.spec().volume_images(container).map(|(image, _)| image).chain([container.image.as_str()]);
    let (image, reason, message, at, delay) =
        images.into_iter().find_map(|image| match case.record.observed.pulls.get(image)? {
            PullState::Failed { reason, message, at, delay } => Some((image, reason, message, *at, *delay)),
            PullState::Pulling { .. } => None,
        })?;
    let text = one_line(message);
    let mut trouble = Trouble::new(
        Health::Stuck,
        format!("{} {} has no image: {image} cannot be had", kind_word(container), container.name),
    );
    trouble.chain.push(
        Link::of(container, format!("{reason}: {text}"))
            .since(case.when(at.boot))
            .until(case.when(at.boot.after(delay))),
    );
    trouble.remedies.push(remedy(image, reason, &message.to_lowercase()));
    Some(trouble)
}

fn remedy(image: &str, reason: &str, message: &str) -> Remedy {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    Remedy::new(match reason {
        "InvalidImageName" => format!("correct the name {image:?}: HOST/REPOSITORY:TAG, in lower case"),
        "ErrImageNeverPull" => {
            "imagePullPolicy is Never: load it (monopod image load FILE), or allow it to be pulled (IfNotPresent). `monopod image ls` shows what is there".to_owned()
        }
        "SignatureValidationFailed" => "have the image signed as the policy demands, or change the policy".to_owned(),
        _ if says(&["unauthorized", "denied", "authentication", "401", "403", "forbidden"]) => {
            "say who asks: a secret of type kubernetes.io/dockerconfigjson, named in imagePullSecrets; or correct the name, if the image is public".to_owned()
        }
        _ if says(&["not found", "manifest unknown", "404", "name unknown"]) => {
            format!("correct the name or tag {image:?}, or load the image: monopod image load FILE")
        }
        _ => "see that the registry can be reached from this machine, or load the image: monopod image load FILE".to_owned(),
    })
}
