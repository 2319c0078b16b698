//! The `continue` of a list: opaque to clients.

use apimachinery::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Where the next page begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Continue {
    /// The resourceVersion of the first page, which all pages have: who watches from it misses nothing that changed
    /// while the others were read.
    #[serde(rename = "rv")]
    pub(super) revision: u64,
    #[serde(rename = "ns")]
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Continue {
    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("numbers and texts can always be written"))
    }

    pub(super) fn decode(text: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
            Status::bad_request("continue key is not valid: use the one that the list before returned")
        })
    }
}
