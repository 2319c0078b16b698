//! What a namespace's labels allow its pods.

use serde_json::{Value, json};
use store::Durability;

use super::Bed;
use crate::change::{Change, Changed, Edit, create, update};
use crate::kinds::Kind;

const PLAIN: &str = "allowPrivilegeEscalation != false (container \"c\" must set \
                     securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set \
                     securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set \
                     securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
                     securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";

fn kind(plural: &str) -> &'static Kind {
    Kind::find("", "v1", plural).unwrap()
}

fn labels(of: &[(&str, &str)]) -> Value {
    of.iter().map(|(name, value)| (format!("pod-security.kubernetes.io/{name}"), json!(value))).collect()
}

fn plain() -> Value {
    json!({"containers": [{"name": "c", "image": "i:1"}]})
}

fn hardened() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "c", "image": "i:1",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}

fn pod(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": name}, "spec": spec})
}

impl Bed {
    /// With the namespace `n` so labelled.
    async fn labelled(of: &[(&str, &str)]) -> Self {
        let bed = Self::with(&[]).await;
        bed.label(of).await.unwrap();
        bed
    }

    async fn label(&self, of: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let labels = labels(of);
        let set = move |namespace: &mut Value| namespace["metadata"]["labels"] = labels;
        self.edit("namespaces", "n", None, set).await
    }

    /// What is warned of.
    async fn make(&self, plural: &'static str, object: Value) -> Result<Vec<String>, String> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let change = Change::of_engine("test", kind(plural), &namespace, "");
        let made = self.store.write(Durability::Lazy, move |tx| create(tx, &change, object)).await.unwrap();
        answer(made)
    }

    async fn edit(
        &self,
        plural: &'static str,
        name: &str,
        subresource: Option<&'static str>,
        edit: impl FnOnce(&mut Value) + Send + 'static,
    ) -> Result<Vec<String>, String> {
        let kind = kind(plural);
        let namespace = if kind.namespaced { "n" } else { "" };
        let change = Change { subresource, ..Change::of_engine("test", kind, namespace, name) };
        let edit = Edit::Replace(Box::new(move |old| {
            let mut new = old.clone();
            edit(&mut new);
            Ok((new, Vec::new()))
        }));
        let written = self.store.write(Durability::Lazy, move |tx| update(tx, &change, edit)).await.unwrap();
        answer(written)
    }
}

fn answer(changed: Result<Changed, apimachinery::Status>) -> Result<Vec<String>, String> {
    changed.map(|changed| changed.warnings).map_err(|status| format!("{} {}", status.code, status.message))
}

#[tokio::test]
async fn what_a_namespace_forbids_is_refused() {
    let bed = Bed::labelled(&[("enforce", "restricted")]).await;
    let refused = bed.make("pods", pod("p", &plain())).await.unwrap_err();
    assert_eq!(
        refused,
        format!("403 pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": {PLAIN}")
    );
    assert_eq!(bed.make("pods", pod("p", &hardened())).await, Ok(vec![]));
    // A release knows no more than it did.
    bed.label(&[("enforce", "restricted"), ("enforce-version", "v1.7")]).await.unwrap();
    assert_eq!(
        bed.make("pods", pod("q", &plain())).await.unwrap_err(),
        "403 pods \"q\" is forbidden: violates PodSecurity \"restricted:v1.7\": runAsNonRoot != true (pod or container \
         \"c\" must set securityContext.runAsNonRoot=true)"
    );
    // What this engine would refuse by itself is judged first; a volume without a source is an emptyDir.
    bed.label(&[("enforce", "baseline")]).await.unwrap();
    let mut odd = hardened();
    odd["securityContext"]["sysctls"] = json!([{"name": "vm.swappiness", "value": "1"}]);
    odd["securityContext"]["windowsOptions"] = json!({"hostProcess": true});
    odd["volumes"] = json!([{"name": "v"}, {"name": "w", "gcePersistentDisk": {"pdName": "d"}}]);
    assert_eq!(
        bed.make("pods", pod("q", &odd)).await.unwrap_err(),
        "403 pods \"q\" is forbidden: violates PodSecurity \"baseline:latest\": forbidden sysctls (vm.swappiness), \
         hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"
    );
    bed.label(&[("enforce", "restricted"), ("warn", "baseline")]).await.unwrap();
    odd["securityContext"] = hardened()["securityContext"].clone();
    assert_eq!(
        bed.make("pods", pod("q", &odd)).await.unwrap_err(),
        "403 pods \"q\" is forbidden: violates PodSecurity \"restricted:latest\": restricted volume types (volume \"w\" \
         uses restricted volume type \"gcePersistentDisk\")"
    );
    bed.label(&[]).await.unwrap();
    assert_eq!(bed.make("pods", pod("q", &plain())).await, Ok(vec![]));
}

#[tokio::test]
async fn what_a_namespace_warns_of_is_said() {
    let bed = Bed::labelled(&[("warn", "restricted"), ("audit", "restricted")]).await;
    let said = format!("would violate PodSecurity \"restricted:latest\": {PLAIN}");
    assert_eq!(bed.make("pods", pod("p", &plain())).await, Ok(vec![said.clone()]));
    assert_eq!(bed.make("pods", pod("h", &hardened())).await, Ok(vec![]));
    // After what is said of the pod anywhere.
    let mut hasty = plain();
    hasty["containers"][0]["env"] = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let warnings = bed.make("pods", pod("q", &hasty)).await.unwrap();
    assert_eq!((warnings.len(), warnings.last()), (2, Some(&said)), "{warnings:?}");
    // It is refused or warned about.
    bed.label(&[("enforce", "baseline"), ("warn", "restricted"), ("warn-version", "v1.7")]).await.unwrap();
    let mut bold = plain();
    bold["hostPID"] = true.into();
    assert_eq!(
        bed.make("pods", pod("r", &bold)).await.unwrap_err(),
        "403 pods \"r\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"
    );
    assert_eq!(
        bed.make("pods", pod("r", &plain())).await,
        Ok(vec![
            "would violate PodSecurity \"restricted:v1.7\": runAsNonRoot != true (pod or container \"c\" must set \
             securityContext.runAsNonRoot=true)"
                .to_owned()
        ])
    );
}

#[tokio::test]
async fn a_template_is_warned_about_by_what_is_enforced() {
    let bed = Bed::labelled(&[("enforce", "restricted")]).await;
    let template = |name: &str, spec: Value| {
        json!({
            "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"namespace": "n", "name": name},
            "template": {"metadata": {}, "spec": spec},
        })
    };
    let said = format!("would violate PodSecurity \"restricted:latest\": {PLAIN}");
    assert_eq!(bed.make("podtemplates", template("t", plain())).await, Ok(vec![said.clone()]));
    assert_eq!(bed.make("podtemplates", template("h", hardened())).await, Ok(vec![]));
    let spec = plain();
    let changed = bed.edit("podtemplates", "h", None, move |object| object["template"]["spec"] = spec).await;
    assert_eq!(changed, Ok(vec![said]));
}

#[tokio::test]
async fn a_pod_that_is_there_is_judged_when_it_runs_something_else() {
    let bed = Bed::with(&[]).await;
    bed.make("pods", pod("p", &plain())).await.unwrap();
    bed.label(&[("enforce", "restricted")]).await.unwrap();
    let label = |pod: &mut Value| pod["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(bed.edit("pods", "p", None, label).await, Ok(vec![]));
    let run = |pod: &mut Value| pod["status"]["phase"] = "Running".into();
    assert_eq!(bed.edit("pods", "p", Some("status"), run).await, Ok(vec![]));
    let fault = format!("403 pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": {PLAIN}");
    let other_image = |pod: &mut Value| pod["spec"]["containers"][0]["image"] = "i:2".into();
    assert_eq!(bed.edit("pods", "p", None, other_image).await, Err(fault));
    // The pod is fine, and what is added to it is not.
    bed.make("pods", pod("h", &hardened())).await.unwrap();
    let debug = |context: Value| {
        move |pod: &mut Value| {
            let container = json!({"name": "d", "image": "i:1", "securityContext": context});
            pod["spec"]["ephemeralContainers"] = json!([container]);
        }
    };
    let privileged =
        bed.edit("pods", "h", Some("ephemeralcontainers"), debug(json!({"privileged": true}))).await;
    assert_eq!(
        privileged.unwrap_err(),
        "403 pods \"h\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (container \"d\" must not \
         set securityContext.privileged=true), allowPrivilegeEscalation != false (container \"d\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"d\" must set \
         securityContext.capabilities.drop=[\"ALL\"])"
    );
    let context = hardened()["containers"][0]["securityContext"].clone();
    assert_eq!(bed.edit("pods", "h", Some("ephemeralcontainers"), debug(context)).await, Ok(vec![]));
}

#[tokio::test]
async fn labels_have_to_be_known() {
    let bed = Bed::with(&[]).await;
    let namespace = |of: &[(&str, &str)]| json!({"metadata": {"name": "m", "labels": labels(of)}});
    let fault = "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, \
                 baseline, restricted";
    assert_eq!(
        bed.make("namespaces", namespace(&[("enforce", "strict")])).await.unwrap_err(),
        format!("422 Namespace \"m\" is invalid: {fault}")
    );
    assert_eq!(
        bed.label(&[("enforce", "strict"), ("warn-version", "1.25")]).await.unwrap_err(),
        format!(
            "422 Namespace \"n\" is invalid: [{fault}, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid \
             value: \"1.25\": must be \"latest\" or \"v1.x\"]"
        )
    );
    assert_eq!(bed.make("namespaces", namespace(&[("enforce", "restricted")])).await, Ok(vec![]));
}

/// An engine that did not know these labels took any.
#[tokio::test]
async fn labels_that_were_wrong_are_enforced_strictly_and_may_stay() {
    let old = json!({
        "metadata": {"name": "old", "labels": labels(&[("enforce", "strict")])}, "status": {"phase": "Active"},
    });
    let bed = Bed::with(&[("", "namespaces", old)]).await;
    let annotate = |namespace: &mut Value| namespace["metadata"]["annotations"] = json!({"a": "b"});
    assert_eq!(bed.edit("namespaces", "old", None, annotate).await, Ok(vec![]));
    let mut pod = pod("p", &plain());
    pod["metadata"]["namespace"] = "old".into();
    let refused = bed.make("pods", pod).await.unwrap_err();
    assert_eq!(
        refused,
        format!("403 pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": {PLAIN}")
    );
    let worse = |namespace: &mut Value| namespace["metadata"]["labels"] = labels(&[("enforce", "stricter")]);
    assert!(bed.edit("namespaces", "old", None, worse).await.is_err());
    let right = |namespace: &mut Value| namespace["metadata"]["labels"] = labels(&[("enforce", "baseline")]);
    assert_eq!(bed.edit("namespaces", "old", None, right).await, Ok(vec![]));
}

#[tokio::test]
async fn who_labels_is_told_of_the_pods_that_are_there() {
    let bed = Bed::with(&[]).await;
    for name in ["b", "a", "c"] {
        bed.make("pods", pod(name, &plain())).await.unwrap();
    }
    bed.make("pods", pod("h", &hardened())).await.unwrap();
    let told = |policy: &str| {
        vec![
            format!("existing pods in namespace \"n\" violate the new PodSecurity enforce level \"{policy}\""),
            "a (and 2 other pods): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, \
             seccompProfile"
                .to_owned(),
        ]
    };
    assert_eq!(bed.label(&[("warn", "restricted")]).await, Ok(vec![]));
    assert_eq!(bed.label(&[("enforce", "baseline")]).await, Ok(vec![]));
    assert_eq!(bed.label(&[("enforce", "restricted")]).await, Ok(told("restricted:latest")));
    // Nothing new, and nothing stricter.
    assert_eq!(bed.label(&[("enforce", "restricted"), ("warn", "baseline")]).await, Ok(vec![]));
    assert_eq!(
        bed.label(&[("enforce", "restricted"), ("enforce-version", "v1.36")]).await,
        Ok(told("restricted:v1.36"))
    );
    assert_eq!(bed.label(&[("enforce", "baseline"), ("enforce-version", "v1.36")]).await, Ok(vec![]));
    assert_eq!(bed.label(&[("enforce", "privileged")]).await, Ok(vec![]));
}
