//! What `metrics.k8s.io` says of pods and of the machine.

use apiserver::backend::{BackendError, Measured, PodTarget, PodUsage, Used};
use kubelet::{Kubelet, Node};
use podspec::PodUid;

use super::pods::{Running, running};
use super::sampler::{MACHINE, Rate, Sampler};

/// As metrics-server: a pod of whose running containers one could not be measured is left out, for its sum would be
/// wrong.
pub(crate) async fn pods<N: Node>(
    kubelet: &Kubelet<N>,
    sampler: &Sampler,
    pods: &[PodTarget],
) -> Vec<Option<PodUsage>> {
    let running: Vec<Vec<Running>> =
        pods.iter().map(|pod| running(kubelet, &PodUid::new(&pod.uid))).collect();
    let groups = running.iter().flatten().map(|container| container.group.clone());
    let mut rates = sampler.rates(groups.collect()).await.into_iter();
    let usage = |containers: &Vec<Running>| {
        // All of them are taken, whatever becomes of them: the next pod's follow.
        let rates: Vec<Option<Rate>> = rates.by_ref().take(containers.len()).collect();
        let rates: Option<Vec<Rate>> = rates.into_iter().collect();
        pod_usage(containers, &rates?)
    };
    running.iter().map(usage).collect()
}

fn pod_usage(containers: &[Running], rates: &[Rate]) -> Option<PodUsage> {
    let used = containers.iter().zip(rates).map(|(of, rate)| Some((of.name.clone(), used(rate)?)));
    let used = used.collect::<Option<Vec<_>>>()?;
    let longest = rates.iter().max_by_key(|rate| rate.window)?;
    Some(Measured { at: longest.reading.at, window: longest.window, used })
}

pub(crate) async fn node(sampler: &Sampler) -> Result<Measured<Used>, BackendError> {
    let rate = sampler.rates(vec![MACHINE.to_owned()]).await.pop().flatten();
    let measured =
        rate.and_then(|rate| Some(Measured { at: rate.reading.at, window: rate.window, used: used(&rate)? }));
    measured.ok_or_else(|| BackendError::Internal("the kernel does not say what the machine uses".to_owned()))
}

/// `None` when the kernel counts no memory for groups.
fn used(rate: &Rate) -> Option<Used> {
    let memory_bytes = rate.reading.usage.working_set_bytes?;
    Some(Used { cpu_nanocores: rate.nanocores, memory_bytes })
}
