//! What the error stream of exec and attach says at the end.

use serde_json::{Value, json};

use crate::exec::ExitReport;
use crate::upgrade::ExecVersion;

const NON_ZERO_EXIT_CODE: &str = "NonZeroExitCode";
const EXIT_CODE: &str = "ExitCode";

/// The bytes of the error stream; none where success is said by silence.
pub(crate) fn encode(report: &ExitReport, version: ExecVersion) -> Vec<u8> {
    if version < ExecVersion::V4 {
        return match report {
            ExitReport::Success => vec![],
            _ => message(report).into_bytes(),
        };
    }
    let metadata = json!({});
    let status = match report {
        ExitReport::Success => json!({ "metadata": metadata, "status": "Success" }),
        ExitReport::ExitCode(code) => json!({
            "metadata": metadata,
            "status": "Failure",
            "message": message(report),
            "reason": NON_ZERO_EXIT_CODE,
            "details": { "causes": [{ "reason": EXIT_CODE, "message": code.to_string() }] },
        }),
        ExitReport::Error(_) => json!({
            "metadata": metadata,
            "status": "Failure",
            "message": message(report),
            "reason": "InternalError",
            "details": { "causes": [{ "message": cause(report) }] },
            "code": 500,
        }),
    };
    status.to_string().into_bytes()
}

fn message(report: &ExitReport) -> String {
    match report {
        ExitReport::Success => String::new(),
        ExitReport::ExitCode(code) => {
            format!("command terminated with non-zero exit code: exit status {code}")
        }
        ExitReport::Error(_) => format!("Internal error occurred: {}", cause(report)),
    }
}

fn cause(report: &ExitReport) -> String {
    match report {
        ExitReport::Error(why) => why.clone(),
        _ => String::new(),
    }
}

/// What the error stream of protocol 4 or 5 said.
pub(crate) fn decode(bytes: &[u8]) -> ExitReport {
    let Ok(status) = serde_json::from_slice::<Value>(bytes) else {
        return ExitReport::Error(format!(
            "the server's last word is no Status: {:?}",
            String::from_utf8_lossy(bytes)
        ));
    };
    if status["status"] == "Success" {
        return ExitReport::Success;
    }
    if status["reason"] == NON_ZERO_EXIT_CODE {
        let causes = status["details"]["causes"].as_array();
        let mut codes = causes.into_iter().flatten().filter(|cause| cause["reason"] == EXIT_CODE);
        if let Some(code) = codes.find_map(|cause| cause["message"].as_str()?.parse().ok()) {
            return ExitReport::ExitCode(code);
        }
    }
    let message = status["message"].as_str().unwrap_or_default();
    ExitReport::Error(if message.is_empty() {
        "the server gave no reason".into()
    } else {
        message.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let failed = ExitReport::Error("no such container".into());
        for (version, report, expected) in [
            (ExecVersion::V5, ExitReport::Success, r#"{"metadata":{},"status":"Success"}"#),
            (
                ExecVersion::V4,
                ExitReport::ExitCode(3),
                r#"{"details":{"causes":[{"message":"3","reason":"ExitCode"}]},"message":"command terminated with non-zero exit code: exit status 3","metadata":{},"reason":"NonZeroExitCode","status":"Failure"}"#,
            ),
            (
                ExecVersion::V4,
                failed.clone(),
                r#"{"code":500,"details":{"causes":[{"message":"no such container"}]},"message":"Internal error occurred: no such container","metadata":{},"reason":"InternalError","status":"Failure"}"#,
            ),
            (ExecVersion::V1, ExitReport::Success, ""),
            (
                ExecVersion::V2,
                ExitReport::ExitCode(3),
                "command terminated with non-zero exit code: exit status 3",
            ),
            (ExecVersion::V3, failed, "Internal error occurred: no such container"),
        ] {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into());
            let bytes = encode(&report, version);
            assert_eq!(
                value(std::str::from_utf8(&bytes).unwrap()),
                value(expected),
                "{report:?} {version:?}"
            );
            if version >= ExecVersion::V4 && !matches!(report, ExitReport::Error(_)) {
                assert_eq!(decode(&bytes), report);
            }
        }
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        for bytes in ["", "nonsense", "{}", "[]", r#"{"status":"Failure","reason":"NonZeroExitCode"}"#] {
            assert!(matches!(decode(bytes.as_bytes()), ExitReport::Error(_)), "{bytes}");
        }
    }
}
