//! Pods that a node does not take.

use lifecycle::{Observation, Observed, Phase, Rejection, RejectionReason, plan, rejection};
use podspec::{AppArmorProfile, BootTime, IDENTITY_BYTES, Moment, PodSpec, Sysctl, WallTime};

const NOW: Moment = Moment { boot: BootTime(0), wall: WallTime(0) };

fn pod() -> PodSpec {
    let text =
        "{kind: Pod, apiVersion: v1, metadata: {name: a}, spec: {containers: [{name: main, image: b}]}}";
    let pods = podspec::load_pods("pod.yaml", text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    pods.into_iter().next().expect("one pod").admitted.pod.spec
}

fn with(sysctls: &[&str]) -> PodSpec {
    let sysctl = |name: &&str| Sysctl { name: (*name).to_owned(), value: "1".to_owned() };
    PodSpec { sysctls: sysctls.iter().map(sysctl).collect(), ..pod() }
}

#[test]
fn only_parameters_that_are_the_pods_own_are_allowed() {
    let refused = |spec: &PodSpec| {
        rejection(spec, false, false).map(|refused| (refused.reason.as_str(), refused.message))
    };
    assert_eq!(refused(&with(&["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem"])), None);
    for name in ["kernel.msgmax", "net.ipv4.ip_forward", "vm.swappiness", "kernel.shm_rmid_forced/x"] {
        let expected = ("SysctlForbidden", format!("forbidden sysctl: \"{name}\" not allowlisted"));
        assert_eq!(refused(&with(&["net.ipv4.tcp_rmem", name])), Some(expected));
    }
    let on_host = PodSpec { host_network: true, ..with(&["net.ipv4.tcp_rmem"]) };
    let message = "forbidden sysctl: \"net.ipv4.tcp_rmem\" not allowed with host Net enabled".to_owned();
    assert_eq!(refused(&on_host), Some(("SysctlForbidden", message)));
}

#[test]
fn what_is_to_be_confined_by_app_armor_is_not_run_without() {
    let spec = PodSpec { app_armor: true, ..pod() };
    let message = "Cannot enforce AppArmor: AppArmor is not enabled on the host".to_owned();
    assert_eq!(
        rejection(&spec, false, false),
        Some(Rejection { reason: RejectionReason::AppArmor, message })
    );
    // With it, the pod's containers are asked for.
    let with = |profile| {
        let mut spec = spec.clone();
        spec.containers[0].security.app_armor = profile;
        rejection(&spec, true, false).map(|refused| (refused.reason, refused.message))
    };
    assert_eq!(with(AppArmorProfile::Localhost("mine".to_owned())), None);
    assert_eq!(with(AppArmorProfile::Unconfined), None);
    let (reason, message) = with(AppArmorProfile::RuntimeDefault).unwrap();
    assert_eq!(reason, RejectionReason::AppArmor);
    assert!(message.starts_with("Cannot enforce AppArmor: monopod has no default profile"), "{message}");
    assert_eq!(rejection(&pod(), false, false), None);
}

#[test]
fn labels_are_nothing_without_se_linux_and_refused_with_it() {
    let spec = PodSpec { se_linux: true, ..pod() };
    assert_eq!(rejection(&spec, false, false), None);
    let message = "Cannot enforce SELinux: monopod sets no labels yet; remove seLinuxOptions".to_owned();
    let refused = Rejection { reason: RejectionReason::SeLinux, message };
    assert_eq!(rejection(&spec, false, true), Some(refused));
    assert_eq!(rejection(&pod(), false, true), None);
}

#[test]
fn pods_of_other_systems_are_not_run() {
    let of = |os: &str| rejection(&PodSpec { os: Some(os.to_owned()), ..pod() }, false, false);
    let message = "Failed to admit pod as the OS field doesn't match node OS".to_owned();
    assert_eq!(of("windows"), Some(Rejection { reason: RejectionReason::PodOSNotSupported, message }));
    assert_eq!(of("linux"), None);
}

#[test]
fn reasons_have_the_names_of_a_kubelet() {
    for name in
        ["OutOfcpu", "OutOfmemory", "OutOfephemeral-storage", "OutOfpods", "NodeAffinity", "NodePorts"]
    {
        assert_eq!(RejectionReason::named(name).map(RejectionReason::as_str), Some(name));
    }
    assert_eq!(RejectionReason::named("OutOfluck"), None);
}

#[test]
fn a_pod_that_was_rejected_has_failed_and_begins_nothing() {
    let spec = pod();
    let mut observed = Observed::default();
    observed.observe(&spec, &Observation::Accepted, NOW);
    let reason = RejectionReason::SysctlForbidden;
    observed.observe(&spec, &Observation::Rejected { reason, message: "why".to_owned() }, NOW);
    let plan = plan(&spec, &observed, NOW);
    assert!(plan.actions.is_empty() && plan.at_rest, "{:?}", plan.actions);
    assert_eq!(plan.status.phase, Phase::Failed);
    assert_eq!(plan.status.reason.as_deref(), Some("SysctlForbidden"));
    assert!(plan.status.containers.is_empty());
    assert_eq!(plan.status.message.as_deref(), Some("Pod was rejected: why"));
}
