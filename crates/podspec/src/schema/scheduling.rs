//! Where a pod may run.

use super::Type::{List, Nested};
use super::{INT32, INT64, Object, STRING, STRING_MAP, STRINGS, inner, ok, unread, when};

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
        ok("podAffinity", Nested(&POD_AFFINITY)),
        ok("podAntiAffinity", Nested(&POD_ANTI_AFFINITY)),
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
        ok("requiredDuringSchedulingIgnoredDuringExecution", List(&Nested(&POD_AFFINITY_TERM))),
        unread(
            "preferredDuringSchedulingIgnoredDuringExecution",
            List(&Nested(&WEIGHTED_POD_AFFINITY_TERM)),
            "there is one node, so nothing to prefer",
        ),
    ],
};

pub(crate) static POD_ANTI_AFFINITY: Object = Object {
    name: "PodAntiAffinity",
    fields: &[
        ok("requiredDuringSchedulingIgnoredDuringExecution", List(&Nested(&POD_AFFINITY_TERM))),
        unread(
            "preferredDuringSchedulingIgnoredDuringExecution",
            List(&Nested(&WEIGHTED_POD_AFFINITY_TERM)),
            "there is one node, so nothing to prefer",
        ),
    ],
};

pub(crate) static POD_AFFINITY_TERM: Object = Object {
    name: "PodAffinityTerm",
    fields: &[
        ok("labelSelector", Nested(&LABEL_SELECTOR)),
        ok("namespaces", STRINGS),
        ok("topologyKey", STRING),
        when(
            "namespaceSelector",
            Nested(&LABEL_SELECTOR),
            "with `{}`, which selects all; not yet: namespaces by their labels",
        ),
        ok("matchLabelKeys", STRINGS),
        ok("mismatchLabelKeys", STRINGS),
    ],
};

pub(crate) static WEIGHTED_POD_AFFINITY_TERM: Object = Object {
    name: "WeightedPodAffinityTerm",
    fields: &[inner("weight", INT32), inner("podAffinityTerm", Nested(&POD_AFFINITY_TERM))],
};

pub(crate) static TOPOLOGY_SPREAD_CONSTRAINT: Object = Object {
    name: "TopologySpreadConstraint",
    fields: &[
        ok("maxSkew", INT32),
        ok("topologyKey", STRING),
        ok("whenUnsatisfiable", STRING),
        ok("labelSelector", Nested(&LABEL_SELECTOR)),
        ok("minDomains", INT32),
        ok("nodeAffinityPolicy", STRING),
        ok("nodeTaintsPolicy", STRING),
        ok("matchLabelKeys", STRINGS),
    ],
};

pub(crate) static LABEL_SELECTOR: Object = Object {
    name: "LabelSelector",
    fields: &[
        ok("matchLabels", STRING_MAP),
        ok("matchExpressions", List(&Nested(&LABEL_SELECTOR_REQUIREMENT))),
    ],
};

pub(crate) static LABEL_SELECTOR_REQUIREMENT: Object = Object {
    name: "LabelSelectorRequirement",
    fields: &[ok("key", STRING), ok("operator", STRING), ok("values", STRINGS)],
};
