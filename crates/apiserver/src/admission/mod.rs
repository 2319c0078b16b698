//! What depends on other objects: a stock API server's admission plugins.

use apimachinery::Status;
use serde_json::Value;
use store::Tx;

use crate::request::Attributes;

/// Changes and judges an object that is about to be written, within the write itself: what is read here still holds
/// when it is stored. `object` is defaulted and not validated yet; `old` is what is there now. Of a deletion, `object`
/// is what is to be deleted, and changes are lost. Returns what to warn of.
///
/// # Errors
/// The client's answer.
pub fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let _ = (attributes, view, object, old);
    Ok(Vec::new())
}
