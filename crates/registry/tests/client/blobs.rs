use std::time::Duration;

use registry::{Kind, Limits};
use registry_double::{Descriptor, Double, Fault};

use crate::{brisk, content, digest, impatient, read, repository};

const BYTES: usize = 300_000;

fn with_blob() -> (Double, Descriptor, Vec<u8>) {
    let double = Double::start();
    let content = content(BYTES);
    let blob = double.push_blob("app", "application/octet-stream", content.clone());
    (double, blob, content)
}

fn ranges(double: &Double) -> Vec<String> {
    double
        .seen()
        .iter()
        .filter(|seen| seen.path.contains("/blobs/"))
        .map(|seen| seen.header("range").unwrap_or("").to_owned())
        .collect()
}

#[tokio::test]
async fn a_blob_is_what_was_pushed() {
    let (double, blob, content) = with_blob();
    assert_eq!(read(&repository(&double, brisk()), &blob.digest, blob.bytes).await.unwrap(), content);
    let empty = double.push_blob("app", "", Vec::new());
    assert!(read(&repository(&double, brisk()), &empty.digest, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_blob_that_was_cut_goes_on_where_it_was() {
    let (double, blob, content) = with_blob();
    for (fault, times) in
        [(Fault::CutAfter(100_000), 2), (Fault::CutAfter(0), 3), (Fault::HangAfter(100_000), 1)]
    {
        double.behave();
        double.misbehave_times("/blobs/", times, fault.clone());
        let found = read(&repository(&double, impatient()), &blob.digest, blob.bytes).await;
        assert!(found.is_ok_and(|found| found == content), "{fault:?}");
    }
    // Each connection brings something, and so it always goes on.
    double.behave();
    double.misbehave("/blobs/", Fault::CutAfter(20_000));
    let before = ranges(&double).len();
    let limits = Limits { progress_bytes_min: 10_000, ..impatient() };
    assert_eq!(read(&repository(&double, limits), &blob.digest, blob.bytes).await.unwrap(), content);
    let ranges = ranges(&double).split_off(before);
    assert_eq!(
        (ranges.len(), ranges[0].as_str(), ranges[1].as_str()),
        (15, "", "bytes=20000-"),
        "{ranges:?}"
    );
    assert_eq!(ranges[14], "bytes=280000-");
}

#[tokio::test]
async fn a_registry_without_ranges_is_read_from_the_start() {
    let (double, blob, content) = with_blob();
    double.misbehave_times("/blobs/", 1, Fault::CutAfter(100_000));
    double.misbehave("/blobs/", Fault::IgnoreRange);
    assert_eq!(read(&repository(&double, brisk()), &blob.digest, blob.bytes).await.unwrap(), content);
    assert_eq!(ranges(&double), ["", "bytes=100000-"]);
    assert_eq!(double.bytes_sent("/blobs/"), 100_000 + BYTES as u64);
}

#[tokio::test]
async fn attempts_have_an_end() {
    let (double, blob, _) = with_blob();
    for (fault, limits, requests) in [
        // One after which nothing new comes, and four more.
        (Fault::CutAfter(0), impatient(), 5),
        (Fault::HangAfter(0), impatient(), 5),
        // Always something new, but for a limited number of times.
        (Fault::CutAfter(10), Limits { progress_bytes_min: 1, resumes_max: 7, ..impatient() }, 8),
        // Too little that is new to count.
        (Fault::CutAfter(10), impatient(), 5),
        (
            Fault::Drip { bytes: 1, pause: Duration::from_millis(10) },
            Limits { slow_window: Duration::from_millis(100), attempts: 2, ..impatient() },
            2,
        ),
    ] {
        double.behave();
        double.misbehave("/blobs/", fault.clone());
        let before = double.requests("/blobs/");
        let error = read(&repository(&double, limits), &blob.digest, blob.bytes).await.unwrap_err();
        assert_eq!(
            (error.kind(), double.requests("/blobs/") - before),
            (Kind::Failing, requests),
            "{fault:?}: {error}"
        );
        assert!(error.to_string().contains(&blob.digest), "{error}");
    }
}

#[tokio::test]
async fn what_was_not_promised_is_an_error_at_once() {
    let (double, blob, content) = with_blob();
    let mut wrong = content.clone();
    wrong[BYTES - 1] ^= 1;
    let mut long = content.clone();
    long.push(0);
    let header = |name: &str, value: &str| Fault::Header(name.to_owned(), value.to_owned());
    let bytes = BYTES as u64;
    for (fault, says) in [
        (Fault::Body(wrong.into()), "what came has the digest"),
        (Fault::Body(long.into()), "sends 300001 bytes where 300000 were promised"),
        (Fault::Truncate(1000), "sends 1000 bytes where 300000 were promised"),
        (Fault::ContentLength(bytes + 1), "sends 300001 bytes"),
        (Fault::Endless, "more bytes come than the promised 300000"),
        (header("content-encoding", "zstd"), "encoded (zstd)"),
        (Fault::Answer { status: 206, headers: vec![], body: content.clone().into() }, "status 206"),
    ] {
        double.behave();
        double.misbehave("/blobs/", fault.clone());
        let before = double.requests("/blobs/");
        let error = read(&repository(&double, brisk()), &blob.digest, blob.bytes).await.unwrap_err();
        assert_eq!(
            (error.kind(), double.requests("/blobs/") - before),
            (Kind::Corrupt, 1),
            "{fault:.60?}: {error}"
        );
        assert!(error.to_string().contains(says), "{error}");
    }
    double.behave();
    let error = read(&repository(&double, brisk()), &blob.digest, bytes - 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "the descriptor was wrong: {error}");
}

#[tokio::test]
async fn a_part_must_be_the_part_that_was_asked_for() {
    let (double, blob, content) = with_blob();
    let part = |range: &str, body: &[u8]| Fault::Answer {
        status: 206,
        headers: vec![("content-range".to_owned(), range.to_owned())],
        body: body.to_vec().into(),
    };
    for (fault, expected) in [
        (part("bytes 100000-299999/300000", &content[100_000..]), Ok(2)),
        (part("bytes 100000-299999/*", &content[100_000..]), Ok(2)),
        // Less than what was asked for, of which there is more.
        (part("bytes 100000-199999/300000", &content[100_000..200_000]), Ok(3)),
        (part("bytes 0-299999/300000", &content), Err("sends the range")),
        (part("bytes 99999-299999/300000", &content[99_999..]), Err("sends the range")),
        (part("bytes 100000-299999/300001", &content[100_000..]), Err("sends the range")),
        (part("bytes 100000-300000/300001", &content[100_000..]), Err("sends the range")),
        (part("nonsense", &content[100_000..]), Err("sends the range")),
        (part("bytes 100000-299999/300000", &content[99_999..]), Err("sends 200001 bytes")),
        (Fault::Status(416), Err("nothing after byte 100000")),
    ] {
        double.behave();
        double.misbehave_times("/blobs/", 1, Fault::CutAfter(100_000));
        double.misbehave_times("/blobs/", 1, fault.clone());
        let before = double.requests("/blobs/");
        match (read(&repository(&double, brisk()), &blob.digest, blob.bytes).await, expected) {
            (Ok(found), Ok(requests)) => {
                assert!(found == content, "{fault:.60?}");
                assert_eq!(double.requests("/blobs/") - before, requests, "{fault:.60?}");
            }
            (Err(error), Err(says)) => {
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
                assert!(error.to_string().contains(says), "{error}");
            }
            (found, expected) => panic!("{fault:.60?}: {found:.60?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn all_bytes_are_enough_also_when_the_answer_does_not_end() {
    let (double, blob, content) = with_blob();
    for fault in [Fault::ChunkedCutAfter(BYTES as u64), Fault::HangAfter(BYTES as u64)] {
        double.behave();
        double.misbehave("/blobs/", fault.clone());
        let before = double.requests("/blobs/");
        assert!(
            read(&repository(&double, impatient()), &blob.digest, blob.bytes).await.unwrap() == content,
            "{fault:?}"
        );
        assert_eq!(double.requests("/blobs/") - before, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let (double, blob, content) = with_blob();
    let gate = double.hold_after("/blobs/", 100_000);
    let mut stream = repository(&double, brisk()).blob(digest(&blob.digest), blob.bytes).await.unwrap();
    let mut found = Vec::new();
    while found.len() < 100_000 {
        found.extend_from_slice(&stream.chunk().await.unwrap().unwrap());
    }
    for _ in 0..3 {
        assert!(tokio::time::timeout(Duration::from_millis(20), stream.chunk()).await.is_err());
    }
    gate.open();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        found.extend_from_slice(&chunk);
    }
    assert!(found == content);
    assert_eq!(double.requests("/blobs/"), 1);
}

#[tokio::test]
async fn bytes_come_while_the_rest_is_held() {
    let (double, blob, content) = with_blob();
    let gate = double.hold_after("/blobs/", 100_000);
    let mut stream = repository(&double, brisk()).blob(digest(&blob.digest), blob.bytes).await.unwrap();
    let mut found = Vec::new();
    while found.len() < 100_000 {
        found.extend_from_slice(&stream.chunk().await.unwrap().unwrap());
    }
    assert_eq!(found.len(), 100_000);
    assert!(format!("{stream:?}").contains("bytes_done: 100000"));
    gate.open();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        found.extend_from_slice(&chunk);
    }
    assert!(found == content);
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_not_found() {
    let (double, blob, _) = with_blob();
    double.forget_blob("app", &blob.digest);
    let error = read(&repository(&double, brisk()), &blob.digest, blob.bytes).await.unwrap_err();
    assert_eq!((error.kind(), double.requests("/blobs/")), (Kind::NotFound, 1), "{error}");
    assert!(error.to_string().contains("blob unknown to registry (BLOB_UNKNOWN)"), "{error}");
}
