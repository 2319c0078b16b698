//! Reads the tables.

use std::collections::HashMap;

use crate::model::Schema;

pub(crate) fn read() -> Schema {
    Schema { types: vec![], names: HashMap::new() }
}
