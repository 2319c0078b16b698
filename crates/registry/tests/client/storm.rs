use std::time::Duration;

use registry::{Candidate, Kind, Limits, Repository};
use registry_double::{Auth, Bearer, Double, Fault, Image, Layer, Pushed};

use crate::{SOON, basic, brisk, client, content, node, of, read, tag};

const SCENARIOS: u64 = 60;

/// Xorshift: the same scenarios in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn fault(&mut self, other: &Double, bytes: u64) -> Fault {
        let after = self.below(bytes + 2);
        let header = |name: &str, value: &str| Fault::Header(name.to_owned(), value.to_owned());
        match self.below(22) {
            0 => Fault::Status([400, 401, 403, 404, 416][usize::try_from(self.below(5)).unwrap()]),
            1..=3 => Fault::Status([429, 500, 502, 503][usize::try_from(self.below(4)).unwrap()]),
            4..=6 => Fault::CutAfter(after),
            7 => Fault::ChunkedCutAfter(after),
            8 => Fault::Close,
            9 => Fault::HangAfter(after),
            10 => Fault::Hang,
            11 => Fault::IgnoreRange,
            12 => Fault::Truncate(after),
            13 => Fault::Endless,
            14 => Fault::ContentLength(after),
            15 => Fault::Body(content(usize::try_from(after).unwrap()).into()),
            16 => Fault::Redirect(format!("{}/storage?signed=hunter2", other.url())),
            17 => Fault::Redirect("/v2/".to_owned()),
            18 => header("content-encoding", "gzip"),
            19 => header("content-range", "bytes 7-9/11"),
            20 => header("docker-content-digest", "sha256:0"),
            _ => Fault::Drip { bytes: 4000, pause: Duration::from_millis(1) },
        }
    }

    fn auth(&mut self) -> Auth {
        match self.below(4) {
            0 => Auth::Nobody,
            1 => Auth::Basic { username: "ann".to_owned(), password: "hunter2".to_owned() },
            2 => Auth::Bearer(Bearer {
                uses: Some(1 + u32::try_from(self.below(3)).unwrap()),
                ..Bearer::of("ann", "hunter2")
            }),
            _ => Auth::Bearer(Bearer { expires_in_s: Some(0), ..Bearer::default() }),
        }
    }
}

/// Whether all of it came, and then what was pushed.
async fn pull(repository: &Repository, pushed: &Pushed) -> Result<(), (Kind, String)> {
    let told = |error: registry::Error| (error.kind(), format!("{error} {error:?}"));
    let manifest = repository.manifest(&tag("v1")).await.map_err(told)?;
    // A hostile registry may say what it likes of a tag, but nothing else of a digest.
    if manifest.digest.to_string() == pushed.manifest.digest {
        assert_eq!(manifest.bytes.len() as u64, pushed.manifest.bytes);
    }
    let layer = &pushed.layers[0];
    let found = read(repository, &layer.digest, layer.bytes).await.map_err(told)?;
    assert_eq!(registry_double::digest(&found), layer.digest);
    Ok(())
}

#[tokio::test]
async fn whatever_a_registry_does_the_bytes_are_right_or_there_is_an_error() {
    let other = Double::start();
    let mut layer = Layer::new(content(60_000));
    layer.compression = registry_double::Compression::None;
    other.put_file("/storage", layer.tar.clone());
    let limits = Limits { stall: Duration::from_millis(60), resumes_max: 10, ..brisk() };
    let client = client(std::path::Path::new("/nonexistent"), limits, &[]);
    let (mut whole, mut failed) = (0, Vec::new());
    for seed in 1..=SCENARIOS {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let double = Double::start();
        let pushed = double.push("app", Some("v1"), &Image::new(vec![layer.clone()]));
        double.require(chance.auth());
        for _ in 0..=chance.below(4) {
            let path =
                ["/manifests/", "/blobs/", "/blobs/", "/token"][usize::try_from(chance.below(4)).unwrap()];
            let times = 1 + u32::try_from(chance.below(3)).unwrap();
            let fault = chance.fault(&other, 60_000);
            double.misbehave_times(path, times, fault);
        }
        let candidates: Vec<Candidate> = vec![node(basic("ann", "hunter2"))];
        let repository = of(&client, &double.host(), candidates);
        let result = tokio::time::timeout(SOON, pull(&repository, &pushed)).await;
        match result.unwrap_or_else(|_| panic!("seed {seed} has no end")) {
            Ok(()) => whole += 1,
            Err((kind, text)) => {
                assert!(
                    !text.contains("hunter") && !text.contains("token-") && text.len() < 4000,
                    "seed {seed}: {text}"
                );
                failed.push(kind);
            }
        }
        assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none()), "seed {seed}");
    }
    // Faults that pass are survived, and there are some that do not.
    assert!(
        whole > SCENARIOS / 4 && failed.contains(&Kind::Corrupt) && failed.contains(&Kind::Denied),
        "{whole} {failed:?}"
    );
    println!("{whole} of {SCENARIOS} came whole");
}
