//! Namespaces, ConfigMaps, Secrets, Leases.

use podspec::json::{fields, text};

use super::{AGE, NAME, Printed, age, column, name};

pub static NAMESPACES: Printed = Printed {
    columns: const { &[NAME, column("Status", "Active, or Terminating while it is emptied"), AGE] },
    cells: |object, now| vec![name(object), text(&object["status"], "phase").into(), age(object, now)],
};

pub static CONFIG_MAPS: Printed = Printed {
    columns: const { &[NAME, column("Data", "How many keys it has"), AGE] },
    cells: |object, now| {
        let count = fields(&object["data"]).len() + fields(&object["binaryData"]).len();
        vec![name(object), count.into(), age(object, now)]
    },
};

pub static SECRETS: Printed = Printed {
    columns: const { &[NAME, column("Type", "What the data is for"), column("Data", "How many keys it has"), AGE] },
    cells: |object, now| {
        let count = fields(&object["data"]).len();
        vec![name(object), text(object, "type").into(), count.into(), age(object, now)]
    },
};

pub static LEASES: Printed = Printed {
    columns: const { &[NAME, column("Holder", "Who holds it"), AGE] },
    cells: |object, now| vec![name(object), text(&object["spec"], "holderIdentity").into(), age(object, now)],
};
