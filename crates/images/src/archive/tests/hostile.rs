//! What is wrong with an archive is said, and nothing of it stays.

use serde_json::{Value, json};

use super::{
    Bed, Digest, Files, IMAGE_INDEX, INDEX_DEPTH_MAX, LAYER, NAME, blob_path, config, docker, gzip, named,
    oci, tar, two_layers,
};

/// Loads `bytes` and expects an error with `part` in its chain, and a store as it was.
fn expect_refused(bytes: &[u8], part: &str) {
    let Some(bed) = Bed::new() else { return };
    let error = bed.load(bytes).expect_err(part);
    let chain = ports::PortError::chain(&error).0;
    assert!(chain.contains(part), "{chain}, not {part}");
    bed.expect_empty();
}

/// An OCI layout whose only manifest is what `change` makes of a good one.
fn oci_with_manifest(change: impl FnOnce(&mut Files, &mut Value)) -> Vec<u8> {
    let (mut files, layers) = (Files::default(), two_layers());
    let manifest = files.image(&config(&layers), &layers);
    let mut document: Value = serde_json::from_slice(&files.0[&blob_path(&manifest)]).unwrap();
    change(&mut files, &mut document);
    let manifest = files.blob(super::IMAGE_MANIFEST, document.to_string());
    files.index(&[named(manifest, NAME, "x/a:1")]);
    files.tar()
}

fn docker_with(change: impl FnOnce(&mut Files, &mut Value)) -> Vec<u8> {
    let mut files = docker("x/a:1");
    let mut manifest: Value = serde_json::from_slice(&files.0["manifest.json"]).unwrap();
    change(&mut files, &mut manifest[0]);
    files.add_json("manifest.json", &manifest);
    files.tar()
}

#[test]
fn what_is_no_archive_of_images() {
    expect_refused(b"", "it is empty");
    expect_refused(b"hello", "it is cut off within a header");
    expect_refused(&[b'x'; 1024], "a header has a wrong checksum");
    expect_refused(&[0; 1024], "it holds no images");
    expect_refused(&tar(&[("etc/passwd", b"x")]), "`monopod image import`");
    expect_refused(b"BZh91AY", "compressed by bzip2, which is not supported");
    let whole = oci("x/a:1").tar();
    expect_refused(&whole[..whole.len() / 2], "cut off");
    let zipped = gzip(&whole);
    expect_refused(&zipped[..zipped.len() / 2], "cannot read the archive");
}

#[test]
fn json_that_is_absurd() {
    let deep = "[".repeat(100_000);
    for (index, part) in [
        ("", "\"index.json\" cannot be read"),
        ("7", "\"index.json\" cannot be read"),
        (r#"{"manifests": 7}"#, "\"index.json\" cannot be read"),
        (r#"{"manifests": [{}]}"#, "\"index.json\" cannot be read"),
        (r#"{"manifests": [{"digest": "sha256:x", "size": -1}]}"#, "\"index.json\" cannot be read"),
        (&deep, "\"index.json\" cannot be read"),
        (&" ".repeat(5 << 20), "\"index.json\" has more than 4194304 bytes"),
        (r#"{"manifests": []}"#, "it holds no images"),
        ("{}", "it holds no images"),
        (r#"{"manifests": [{"digest": "../../etc/passwd", "size": 1}]}"#, "which is not a sha256 digest"),
        (
            r#"{"manifests": [{"digest": "sha512:00", "mediaType": "application/vnd.oci.image.index.v1+json", "size": 1}]}"#,
            "which is not a sha256 digest",
        ),
    ] {
        let mut files = oci("x/a:1");
        files.add("index.json", index);
        expect_refused(&files.tar(), part);
    }
    for (manifest, part) in [
        ("{}", "\"manifest.json\" cannot be read"),
        (&*deep, "\"manifest.json\" cannot be read"),
        ("[]", "it holds no images"),
        (r#"[{"Layers": []}]"#, "\"manifest.json\" cannot be read"),
        (r#"[{"Config": ["x"]}]"#, "\"manifest.json\" cannot be read"),
    ] {
        let mut files = docker("x/a:1");
        files.add("manifest.json", manifest);
        expect_refused(&files.tar(), part);
    }
}

#[test]
fn names_of_files_that_lead_out_of_the_archive() {
    for name in ["/etc/passwd", "../../../../etc/passwd", "one/../../../etc/passwd", "", ".", "one", "x\0y"] {
        expect_refused(
            &docker_with(|_, image| image["Config"] = json!(name)),
            &format!("its {name:?} is no regular file of the archive"),
        );
        expect_refused(
            &docker_with(|_, image| image["Layers"][1] = json!(name)),
            &format!("its {name:?} is no regular file of the archive"),
        );
    }
}

/// The names are good ones; the links of a directory are what is bad.
#[test]
fn links_that_lead_out_of_a_directory() {
    let Some(bed) = Bed::new() else { return };
    let outside = bed.directory.path().join("outside.json");
    let layout = bed.directory.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    std::fs::write(&outside, r#"{"manifests": []}"#).unwrap();
    for target in
        [outside.as_path(), std::path::Path::new("../outside.json"), std::path::Path::new("index.json")]
    {
        let _ = std::fs::remove_file(layout.join("index.json"));
        std::os::unix::fs::symlink(target, layout.join("index.json")).unwrap();
        let error = bed.load_as(layout.clone(), None).unwrap_err().to_string();
        assert!(error.contains("neither an OCI layout"), "{error}");
    }
    std::fs::remove_file(layout.join("index.json")).unwrap();
    let path = layout.join("index.json");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let error = bed.load_as(layout, None).unwrap_err().to_string();
    assert!(error.contains("neither an OCI layout"), "a pipe holds nobody up: {error}");
}

/// Loads what `write` writes into a pipe.
fn load_piped(
    bed: &Bed,
    write: impl FnOnce(std::fs::File) + Send,
) -> Result<Vec<super::Loaded>, super::ArchiveError> {
    let path = bed.directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| write(std::fs::File::create(&path).unwrap()));
        bed.load_as(path.clone(), None)
    })
}

/// It could be endless, and would be copied until the disk is full.
#[test]
fn a_pipe_of_something_else_is_not_read_to_its_end() {
    const ALL_BYTES: usize = 16 << 20;
    for (byte, part) in [(0, "it holds no images"), (b'y', "a header has a wrong checksum")] {
        let Some(bed) = Bed::new() else { return };
        let mut written = 0;
        let refused = load_piped(&bed, |mut pipe| {
            while written < ALL_BYTES && std::io::Write::write_all(&mut pipe, &[byte; 4096]).is_ok() {
                written += 4096;
            }
        });
        let error = refused.expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
        assert!(written < ALL_BYTES, "all of it was read");
        bed.expect_empty();
    }
}

/// Gigabytes would stay until the next load when this one is killed.
#[test]
fn what_is_copied_from_a_pipe_has_no_name() {
    let Some(bed) = Bed::new() else { return };
    let archive = oci("x/a:1").tar();
    let staged = || -> Vec<_> {
        let entries =
            |path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        entries(bed.store.directory().join("staging")).flat_map(entries).collect()
    };
    load_piped(&bed, |mut pipe| {
        // More than a pipe holds: when all of it is written, the reader is past its first block.
        let (last, most) = archive.split_last().unwrap();
        std::io::Write::write_all(&mut pipe, most).unwrap();
        while rustix::io::ioctl_fionread(&pipe).unwrap() > 0 {
            std::thread::yield_now();
        }
        // It has one until it is opened.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !staged().is_empty() {
            assert!(std::time::Instant::now() < deadline, "{:?}", staged());
            std::thread::yield_now();
        }
        std::io::Write::write_all(&mut pipe, &[*last]).unwrap();
    })
    .unwrap();
    bed.expect_one_image(2);
}

#[test]
fn links_that_lead_in_a_circle() {
    let mut files = docker("x/a:1");
    files.0.remove("two/layer.tar");
    let mut builder = tar::Builder::new(files.tar().strip_suffix(&[0; 1024]).unwrap().to_vec());
    for (kind, from, to) in [
        (tar::EntryType::Symlink, "two/layer.tar", "../three"),
        (tar::EntryType::Link, "three", "two/layer.tar"),
    ] {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(kind);
        link.set_size(0);
        builder.append_link(&mut link, from, to).unwrap();
    }
    expect_refused(&builder.into_inner().unwrap(), "its \"two/layer.tar\" is no regular file");
}

#[test]
fn content_that_is_not_what_its_digest_says() {
    for file in oci("x/a:1").0.keys().filter(|name| name.starts_with("blobs/")) {
        let mut files = oci("x/a:1");
        let mut bytes = files.0[file].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        files.add(file, bytes);
        let Some(bed) = Bed::new() else { return };
        let error = bed.load(&files.tar()).expect_err(file);
        let chain = ports::PortError::chain(&error).0;
        assert!(chain.contains("damaged") || chain.contains("not what the image's configuration"), "{chain}");
        bed.expect_empty();
        let mut files = oci("x/a:1");
        files.0.remove(file);
        expect_refused(&files.tar(), "is no regular file of the archive");
        let mut files = oci("x/a:1");
        files.0.get_mut(file).unwrap().push(0);
        expect_refused(&files.tar(), "the archive is damaged");
    }
}

/// The tar is right and what stands behind its compressed stream is not.
#[test]
fn a_compressed_layer_that_is_longer_than_its_content() {
    let layers = two_layers();
    let zipped = gzip(&layers[1]);
    let mut garbage = zipped.clone();
    garbage.extend_from_slice(&gzip(b""));
    expect_refused(
        &oci_with_manifest(|files, manifest| {
            let descriptor = files.blob(LAYER, zipped.clone());
            files.add(&blob_path(&descriptor), garbage.clone());
            manifest["layers"][1] = descriptor;
            manifest["layers"][1]["size"] = json!(garbage.len());
        }),
        "has the digest",
    );
}

#[test]
fn a_configuration_that_promises_other_layers() {
    let layers = two_layers();
    let other = vec![layers[1].clone(), layers[0].clone()];
    expect_refused(
        &oci_with_manifest(|files, manifest| {
            manifest["config"] = files.blob(super::CONFIG, config(&other).to_string());
        }),
        "not what the image's configuration promises",
    );
    expect_refused(
        &docker_with(|files, image| {
            let config = config(&other).to_string();
            files.add("c", config);
            image["Config"] = json!("c");
        }),
        "not what the image's configuration promises",
    );
    expect_refused(
        &oci_with_manifest(|_, manifest| manifest["layers"] = json!([])),
        "has 0 layers, and its configuration names 2",
    );
    expect_refused(
        &docker_with(|files, image| {
            let wrong = format!("{}.json", Digest::of(b"").hex());
            let config = image["Config"].as_str().unwrap();
            let config = files.0[config].clone();
            files.add(&wrong, config);
            image["Config"] = json!(wrong);
        }),
        "the archive is damaged",
    );
    expect_refused(
        &docker_with(|files, image| {
            files.add("c", r#"{"rootfs": {"type": "layers", "diff_ids": []}}"#);
            image["Config"] = json!("c");
            image["Layers"] = json!([]);
        }),
        "it has no layers",
    );
}

#[test]
fn manifests_that_are_of_another_kind() {
    expect_refused(&oci_with_manifest(|_, manifest| *manifest = json!({"schemaVersion": 1})), "first format");
    expect_refused(&oci_with_manifest(|_, manifest| *manifest = json!([])), "cannot be read");
    for media_type in ["application/x", "application/vnd.oci.image.layer.v1.tar+encrypted"] {
        expect_refused(
            &oci_with_manifest(|_, manifest| manifest["layers"][1]["mediaType"] = json!(media_type)),
            "which is not supported",
        );
    }
    expect_refused(
        &oci_with_manifest(|_, manifest| manifest["layers"][1]["digest"] = json!("sha256:../x")),
        "is not a sha256 digest",
    );
    let mut files = Files::default();
    let artifact = files.blob("application/vnd.other+json", "{}");
    files.index(&[named(artifact, NAME, "x/a:1")]);
    expect_refused(&files.tar(), "it holds no images");
}

#[test]
fn indexes_in_indexes_have_an_end() {
    let mut files = Files::default();
    let (layers, mut above) = (two_layers(), Vec::new());
    let mut descriptor = files.image(&config(&layers), &layers);
    for _ in 0..=INDEX_DEPTH_MAX {
        // Many times the same one: it is read once.
        let same = vec![descriptor.clone(); 100];
        descriptor = files.blob(IMAGE_INDEX, json!({"manifests": same}).to_string());
        above.push(descriptor.clone());
    }
    files.index(&[named(above[INDEX_DEPTH_MAX].clone(), NAME, "x/a:1")]);
    expect_refused(&files.tar(), "more than 4 deep");
    files.index(&vec![named(above[INDEX_DEPTH_MAX - 1].clone(), NAME, "x/a:1"); 10_000]);
    expect_refused(&files.tar(), "name more than 10000 manifests");
    files.index(&[named(above[INDEX_DEPTH_MAX - 1].clone(), NAME, "x/a:1")]);
    let Some(bed) = Bed::new() else { return };
    bed.load(&files.tar()).unwrap();
    bed.expect_one_image(2);
}

#[test]
fn names_that_are_no_image_names() {
    for (name, part) in [
        ("", "is no image name"),
        ("../../etc", "is no image name"),
        ("Upper/Case", "is no image name"),
        ("a\u{1b}[31m", "\\u{1b}"),
        ("localhost/host:latest", "is built in"),
        (&format!("a@{}", Digest::of(b"")), "whose manifest has another digest"),
    ] {
        expect_refused(&oci(name).tar(), part);
        expect_refused(&docker(name).tar(), part);
    }
}

#[test]
fn an_archive_with_too_much_in_its_headers() {
    // A long name of a mebibyte.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 20);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(512 + (1 << 20), b'a');
    expect_refused(&bytes, "an extended header is too long");
    // A size that goes beyond everything.
    let mut header = tar::Header::new_gnu();
    header.set_path("index.json").unwrap();
    header.set_size(u64::MAX);
    header.set_cksum();
    expect_refused(header.as_bytes(), "cut off within a file");
}

/// One of several images is bad: none is loaded.
#[test]
fn all_images_or_none() {
    let (mut files, layers) = (Files::default(), two_layers());
    let good = files.image(&config(&layers[..1]), &layers[..1]);
    let bad = files.image(&config(&layers), &layers[..1]);
    files.index(&[named(good, NAME, "x/good:1"), named(bad, NAME, "x/bad:1")]);
    expect_refused(&files.tar(), "has 1 layers, and its configuration names 2");
}
