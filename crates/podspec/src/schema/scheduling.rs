//! Where a pod may run.

use super::Type::{List, Nested};
use super::{INT32, INT64, Object, STRING, STRING_MAP, STRINGS, inner, not_yet, ok};

pub(crate) static TOLERATION: Object = Object {
    name: "Toleration",
    fields: &[
        ok("key", STRING),
        ok("operator", STRING),
        ok("value", STRING),
        ok("effect", STRING),
        ok("tolerationSeconds", INT64),
    ],
};

pub(crate) static AFFINITY: Object = Object {
    name: "Affinity",
    fields: &[
        ok("nodeAffinity", Nested(&NODE_AFFINITY)),
        not_yet("podAffinity", Nested(&POD_AFFINITY), "affinity to pods"),
        not_yet("podAntiAffinity", Nested(&POD_ANTI_AFFINITY), "affinity to pods"),
    ],
};

pub(crate) static NODE_AFFINITY: Object = Object {
    name: "NodeAffinity",
    fields: &[
        ok("requiredDuringSchedulingIgnoredDuringExecution", Nested(&NODE_SELECTOR)),
        ok("preferredDuringSchedulingIgnoredDuringExecution", List(&Nested(&PREFERRED_SCHEDULING_TERM))),
    ],
};

pub(crate) static NODE_SELECTOR: Object =
    Object { name: "NodeSelector", fields: &[ok("nodeSelectorTerms", List(&Nested(&NODE_SELECTOR_TERM)))] };

pub(crate) static NODE_SELECTOR_TERM: Object = Object {
    name: "NodeSelectorTerm",
    fields: &[
        ok("matchExpressions", List(&Nested(&NODE_SELECTOR_REQUIREMENT))),
        ok("matchFields", List(&Nested(&NODE_SELECTOR_REQUIREMENT))),
    ],
};

pub(crate) static NODE_SELECTOR_REQUIREMENT: Object = Object {
    name: "NodeSelectorRequirement",
    fields: &[ok("key", STRING), ok("operator", STRING), ok("values", STRINGS)],
};

pub(crate) static PREFERRED_SCHEDULING_TERM: Object = Object {
    name: "PreferredSchedulingTerm",
    fields: &[ok("weight", INT32), ok("preference", Nested(&NODE_SELECTOR_TERM))],
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
