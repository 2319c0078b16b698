//! The pods that are started, as manifests that monopod and podman both take.

use serde_json::{Value, json};

use crate::image;
use crate::pod::PROGRAM;

/// Of a container that does not end on its signal.
const GRACE_S: u32 = 5;
const SHARED: &str = "shared";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    A,
    B,
    C,
    /// [`Self::C`] for podman, which takes a sidecar for an init container that never ends.
    Cx,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// Of the pod, too.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
            Self::Cx => "cx",
        }
    }

    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::A => "1 container",
            Self::B => "3 containers",
            Self::C => "2 init, sidecar, app",
            Self::Cx => "2 init, 2 apps",
        }
    }

    pub(super) const fn of_podman(self) -> Self {
        match self {
            Self::C => Self::Cx,
            other => other,
        }
    }

    /// The containers that run until they are told to end.
    pub(super) const fn lasting(self) -> &'static [&'static str] {
        match self {
            Self::A => &["one"],
            Self::B => &["one", "two", "three"],
            Self::C | Self::Cx => &["main", "side"],
        }
    }

    pub(super) fn manifest(self) -> Value {
        let shares = matches!(self, Self::C | Self::Cx);
        let container = |name: &str, args: &[&str]| {
            let mut container = json!({
                "name": name, "image": image::NAME, "imagePullPolicy": "IfNotPresent",
                "command": [PROGRAM], "args": args,
            });
            if shares {
                container["volumeMounts"] = json!([{"name": SHARED, "mountPath": format!("/{SHARED}")}]);
            }
            container
        };
        let mut apps: Vec<Value> =
            self.lasting().iter().map(|name| container(name, &["hold", name])).collect();
        let mut spec = json!({
            "restartPolicy": "Never",
            // The floor makes no mount for it.
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": GRACE_S,
        });
        if shares {
            let mut init = vec![container("first", &["true"]), container("second", &["true"])];
            if self == Self::C {
                let mut side = apps.pop().unwrap_or_default();
                side["restartPolicy"] = json!("Always");
                init.push(side);
            }
            spec["initContainers"] = json!(init);
            spec["volumes"] = json!([{"name": SHARED, "emptyDir": {}}]);
        }
        spec["containers"] = json!(apps);
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name()}, "spec": spec})
    }
}
