//! Where a pod may run. One machine has nothing to choose, so none of it is read.

use super::Type::{List, Nested};
use super::{INT32, INT64, Object, STRING, STRING_MAP, STRINGS, inner};

pub(crate) static TOLERATION: Object = Object {
    name: "Toleration",
    fields: &[
        inner("key", STRING),
        inner("operator", STRING),
        inner("value", STRING),
        inner("effect", STRING),
        inner("tolerationSeconds", INT64),
    ],
};

pub(crate) static AFFINITY: Object = Object {
    name: "Affinity",
    fields: &[
        inner("nodeAffinity", Nested(&NODE_AFFINITY)),
        inner("podAffinity", Nested(&POD_AFFINITY)),
        inner("podAntiAffinity", Nested(&POD_ANTI_AFFINITY)),
    ],
};

pub(crate) static NODE_AFFINITY: Object = Object {
    name: "NodeAffinity",
    fields: &[
        inner("requiredDuringSchedulingIgnoredDuringExecution", Nested(&NODE_SELECTOR)),
        inner("preferredDuringSchedulingIgnoredDuringExecution", List(&Nested(&PREFERRED_SCHEDULING_TERM))),
    ],
};

pub(crate) static NODE_SELECTOR: Object = Object {
    name: "NodeSelector",
    fields: &[inner("nodeSelectorTerms", List(&Nested(&NODE_SELECTOR_TERM)))],
};

pub(crate) static NODE_SELECTOR_TERM: Object = Object {
    name: "NodeSelectorTerm",
    fields: &[
        inner("matchExpressions", List(&Nested(&NODE_SELECTOR_REQUIREMENT))),
        inner("matchFields", List(&Nested(&NODE_SELECTOR_REQUIREMENT))),
    ],
};

pub(crate) static NODE_SELECTOR_REQUIREMENT: Object = Object {
    name: "NodeSelectorRequirement",
    fields: &[inner("key", STRING), inner("operator", STRING), inner("values", STRINGS)],
};

pub(crate) static PREFERRED_SCHEDULING_TERM: Object = Object {
    name: "PreferredSchedulingTerm",
    fields: &[inner("weight", INT32), inner("preference", Nested(&NODE_SELECTOR_TERM))],
};

pub(crate) static POD_AFFINITY: Object = Object {
    name: "PodAffinity",
    fields: &[
        inner("requiredDuringSchedulingIgnoredDuringExecution", List(&Nested(&POD_AFFINITY_TERM))),
        inner("preferredDuringSchedulingIgnoredDuringExecution", List(&Nested(&WEIGHTED_POD_AFFINITY_TERM))),
    ],
};

pub(crate) static POD_ANTI_AFFINITY: Object = Object {
    name: "PodAntiAffinity",
    fields: &[
        inner("requiredDuringSchedulingIgnoredDuringExecution", List(&Nested(&POD_AFFINITY_TERM))),
        inner("preferredDuringSchedulingIgnoredDuringExecution", List(&Nested(&WEIGHTED_POD_AFFINITY_TERM))),
    ],
};

pub(crate) static POD_AFFINITY_TERM: Object = Object {
    name: "PodAffinityTerm",
    fields: &[
        inner("labelSelector", Nested(&LABEL_SELECTOR)),
        inner("namespaces", STRINGS),
        inner("topologyKey", STRING),
        inner("namespaceSelector", Nested(&LABEL_SELECTOR)),
        inner("matchLabelKeys", STRINGS),
        inner("mismatchLabelKeys", STRINGS),
    ],
};

pub(crate) static WEIGHTED_POD_AFFINITY_TERM: Object = Object {
    name: "WeightedPodAffinityTerm",
    fields: &[inner("weight", INT32), inner("podAffinityTerm", Nested(&POD_AFFINITY_TERM))],
};

pub(crate) static TOPOLOGY_SPREAD_CONSTRAINT: Object = Object {
    name: "TopologySpreadConstraint",
    fields: &[
        inner("maxSkew", INT32),
        inner("topologyKey", STRING),
        inner("whenUnsatisfiable", STRING),
        inner("labelSelector", Nested(&LABEL_SELECTOR)),
        inner("minDomains", INT32),
        inner("nodeAffinityPolicy", STRING),
        inner("nodeTaintsPolicy", STRING),
        inner("matchLabelKeys", STRINGS),
    ],
};

pub(crate) static LABEL_SELECTOR: Object = Object {
    name: "LabelSelector",
    fields: &[
        inner("matchLabels", STRING_MAP),
        inner("matchExpressions", List(&Nested(&LABEL_SELECTOR_REQUIREMENT))),
    ],
};

pub(crate) static LABEL_SELECTOR_REQUIREMENT: Object = Object {
    name: "LabelSelectorRequirement",
    fields: &[inner("key", STRING), inner("operator", STRING), inner("values", STRINGS)],
};
