//! The client against a registry that behaves.

use registry::{Client, Digest, Error, Hosts, Kind, Reference, Repository, Target};
use registry_double::{Double, Image, Layer};

fn client() -> Client {
    Client::new(Hosts::new(Vec::new()), &|_| None).unwrap()
}

fn repository(double: &Double) -> Repository {
    let reference = Reference::parse(&format!("{}/app", double.host())).unwrap();
    client().repository(&reference, Vec::new())
}

async fn read(repository: &Repository, digest: &str, bytes: u64) -> Result<Vec<u8>, Error> {
    let mut blob = repository.blob(Digest::parse(digest).unwrap(), bytes).await?;
    let mut read = Vec::new();
    while let Some(chunk) = blob.chunk().await? {
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

#[tokio::test]
async fn an_image_is_its_manifest_and_its_blobs() {
    let double = Double::start();
    let content = vec![7; 300_000];
    let pushed = double.push("app", Some("v1"), &Image::new(vec![Layer::of_files(&[("bin/app", &content)])]));
    let repository = repository(&double);
    let manifest = repository.manifest(&Target::Tag("v1".to_owned())).await.unwrap();
    assert_eq!(manifest.digest.to_string(), pushed.manifest.digest);
    assert_eq!(manifest.media_type, pushed.manifest.media_type);
    let again = repository.manifest(&Target::Digest(manifest.digest)).await.unwrap();
    assert_eq!(again, manifest);
    let layer = &pushed.layers[0];
    let read = read(&repository, &layer.digest, layer.bytes).await.unwrap();
    assert_eq!(registry_double::digest(&read), layer.digest);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let double = Double::start();
    let error = repository(&double).manifest(&Target::Tag("v1".to_owned())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
}
