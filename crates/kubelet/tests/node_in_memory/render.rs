//! What rendering adds to a status.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubelet::PodView;
use kubelet::render::{self, RenderFacts};
use lifecycle::{ContainerState, ContainerStatus, Phase, PodStatus};
use podspec::Pod;
use ports::{Paths, PodContext};

fn context(pod: &Pod) -> PodContext {
    let [data_dir, run_dir, log_dir] = ["data", "run", "log"].map(Into::into);
    Paths { data_dir, run_dir, log_dir }.context(pod.clone(), true)
}

#[test]
fn the_message_of_a_crash_loop_ends_with_the_pods_name() {
    let waiting = |reason: &str, message: &str| ContainerStatus {
        resources: None,
        name: "main".into(),
        state: ContainerState::Waiting { reason: reason.to_owned(), message: Some(message.to_owned()) },
        last_state: None,
        last_container_id: String::new(),
        ready: false,
        started: false,
        restart_count: 1,
        image: "img".to_owned(),
        image_id: String::new(),
        user: None,
        container_id: String::new(),
    };
    let rendered = |container: ContainerStatus| {
        let status = PodStatus {
            phase: Phase::Running,
            reason: None,
            message: None,
            start_time: None,
            pod_ips: Vec::new(),
            conditions: Vec::new(),
            init_containers: Vec::new(),
            containers: vec![container],
            ephemeral_containers: Vec::new(),
        };
        let pod = crate::fakes::pod("u1", "Always", &[], &["main"]);
        let view = PodView {
            pod: Arc::new(context(&pod)),
            status,
            conditions: BTreeMap::new(),
            deleting: false,
            at_rest: false,
            seq: 0,
        };
        let facts = RenderFacts { host_ips: vec!["10.0.0.1".parse().unwrap()], generation: 1 };
        let status = render::pod_status(&pod, &view, &facts);
        status["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        rendered(waiting("CrashLoopBackOff", "back-off 10s restarting failed container=main")),
        "back-off 10s restarting failed container=main pod=pod-u1_default(u1)"
    );
    assert_eq!(rendered(waiting("ErrImagePull", "why")), "why");
}
