//! PodTemplates. There are never objects of the kinds that run pods from templates, so those need no columns.

use super::{NAME, Printed, column, containers, labels, name};

pub static POD_TEMPLATES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Containers", "The names of its containers"),
            column("Images", "Their images"),
            column("Pod Labels", "The labels of pods made from it"),
        ]
    },
    cells: |object, _| {
        let template = &object["template"];
        let (names, images) = containers(&template["spec"]);
        vec![name(object), names.into(), images.into(), labels(&template["metadata"]["labels"]).into()]
    },
};
