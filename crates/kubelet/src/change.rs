//! How a pod may change that is here. What the API allows is the API's to say; this is what the records of a running pod
//! can bear.

use std::time::Duration;

use podspec::{Container, Pod, Resources};

/// Why `new` cannot take the place of `old`.
pub(crate) fn check(old: &Pod, new: &Pod) -> Result<(), &'static str> {
    // In any order: a strategic merge puts what it adds before what is there.
    let changed = |held: &Container| !new.spec.ephemeral_containers.contains(held);
    if old.spec.ephemeral_containers.iter().any(changed) {
        return Err("an ephemeral container was changed or removed");
    }
    let mut names: Vec<_> = new.spec.all_containers().map(|container| &container.name).collect();
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("two containers have one name");
    }
    if fixed(old) == fixed(new) { Ok(()) } else { Err("something else than what is mutable is another") }
}

/// Without what may change.
fn fixed(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    pod.generation = 0;
    pod.labels.clear();
    pod.annotations.clear();
    let spec = &mut pod.spec;
    spec.active_deadline = None;
    spec.termination_grace_period = Duration::ZERO;
    spec.ephemeral_containers.clear();
    spec.resources = None;
    // A pod that an earlier version wrote down has none.
    spec.image_pull_secrets.clear();
    let without = |container: &mut Container| {
        container.image.clear();
        container.resources = Resources::default();
    };
    spec.init_containers.iter_mut().chain(&mut spec.containers).for_each(without);
    pod
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podspec::{ContainerKind, ContainerName, IDENTITY_BYTES, Pod};

    use super::check;

    fn pod() -> Pod {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: i}]}}";
        podspec::load_pods("test", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod
    }

    fn changed(from: &Pod, change: impl FnOnce(&mut Pod)) -> Pod {
        let mut pod = from.clone();
        change(&mut pod);
        pod
    }

    #[test]
    fn what_the_records_of_a_pod_cannot_bear_is_refused() {
        let old = pod();
        let mut debugger = old.spec.containers[0].clone();
        debugger.kind = ContainerKind::Ephemeral;
        debugger.name = ContainerName::new("debugger");
        let with = changed(&old, |pod| pod.spec.ephemeral_containers.push(debugger.clone()));
        let mutable = changed(&old, |pod| {
            pod.spec.containers[0].image = "j".to_owned();
            pod.spec.active_deadline = Some(Duration::from_secs(1));
            pod.labels.insert("a".to_owned(), "b".to_owned());
        });
        for new in [&old, &with, &mutable] {
            assert_eq!(check(&old, new), Ok(()));
        }
        let mut second = debugger.clone();
        second.name = ContainerName::new("second");
        let before = changed(&with, |pod| pod.spec.ephemeral_containers.insert(0, second));
        assert_eq!(check(&with, &before), Ok(()));
        let renamed = changed(&old, |pod| pod.spec.containers[0].name = ContainerName::new("b"));
        let twice = changed(&with, |pod| pod.spec.ephemeral_containers.push(debugger.clone()));
        let other = changed(&with, |pod| pod.spec.ephemeral_containers[0].tty = true);
        let elsewhere = changed(&old, |pod| pod.namespace = "other".to_owned());
        for (from, to) in
            [(&with, &old), (&old, &renamed), (&with, &twice), (&with, &other), (&old, &elsewhere)]
        {
            assert!(check(from, to).is_err());
        }
    }
}
