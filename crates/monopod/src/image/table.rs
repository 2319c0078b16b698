//! The table of `monopod image ls`.

use images::ImageSummary;

/// As many digits of an ID as others show.
const ID_DIGITS: usize = 12;
const GAP: &str = "   ";

pub(super) fn table(images: &[ImageSummary]) -> String {
    let head = ["NAME", "IMAGE ID", "SIZE", "CREATED", "PODS"].map(str::to_owned);
    columns(head, images.iter().map(row))
}

pub(super) fn wide(images: &[ImageSummary]) -> String {
    let head =
        ["NAME", "IMAGE ID", "SIZE", "CREATED", "PODS", "UNIQUE", "LAST USED", "DIGEST"].map(str::to_owned);
    let rows = images.iter().map(|image| {
        let [name, id, bytes, created, pods] = row(image);
        let digest = image.repo_digest.as_deref().and_then(|digest| digest.split_once('@'));
        let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let unique = image.unique_bytes.map(size);
        let last_used = or_none(image.last_used.as_deref());
        let digest = or_none(digest.map(|(_, digest)| digest));
        [name, id, bytes, created, pods, or_none(unique.as_deref()), last_used, digest]
    });
    columns(head, rows)
}

fn columns<const N: usize>(head: [String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

fn row(image: &ImageSummary) -> [String; 5] {
    let hex = image.id.rsplit(':').next().unwrap_or_default();
    let pods = if image.pods.is_empty() { "-".to_owned() } else { image.pods.len().to_string() };
    [
        image.name.clone(),
        hex.chars().take(ID_DIGITS).collect(),
        image.size_bytes.map_or_else(|| "-".to_owned(), size),
        image.created.as_deref().and_then(date).unwrap_or("-").to_owned(),
        pods,
    ]
}

/// The day; `None` for what does not begin with one, as it is the image's own word.
fn date(created: &str) -> Option<&str> {
    let day = created.get(..10)?;
    let is_right =
        |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    day.bytes().enumerate().all(is_right).then_some(day)
}

/// In the units of disks, as others show it.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use images::ImageSummary;

    use super::{date, size, table, wide};

    #[test]
    fn columns_are_aligned() {
        let image = |name: &str, pods: &[&str], size_bytes| ImageSummary {
            name: name.into(),
            id: format!("sha256:{}", "0123456789abcdef".repeat(4)),
            size_bytes,
            unique_bytes: size_bytes.map(|bytes| bytes / 2),
            repo_digest: size_bytes.map(|_| format!("docker.io/library/a@sha256:{}", "f".repeat(64))),
            last_used: size_bytes.map(|_| "2026-01-02T03:04:05Z".into()),
            created: Some("2024-05-01T10:00:00Z".into()),
            pods: pods.iter().map(|&pod| pod.into()).collect(),
        };
        let images = [
            image("docker.io/library/a:1", &["default/x", "default/y"], Some(4_300_000)),
            image("b.io/b:2", &[], None),
        ];
        expect_test::expect![[r#"
            NAME                    IMAGE ID       SIZE    CREATED      PODS
            docker.io/library/a:1   0123456789ab   4.3MB   2024-05-01   2
            b.io/b:2                0123456789ab   -       2024-05-01   -
        "#]]
        .assert_eq(&table(&images));
        expect_test::expect![[r#"
            NAME                    IMAGE ID       SIZE    CREATED      PODS   UNIQUE   LAST USED              DIGEST
            docker.io/library/a:1   0123456789ab   4.3MB   2024-05-01   2      2.1MB    2026-01-02T03:04:05Z   sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
            b.io/b:2                0123456789ab   -       2024-05-01   -      -        -                      -
        "#]].assert_eq(&wide(&images));
    }

    #[test]
    fn sizes_and_dates() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (999_999, "999.9kB"),
            (1_000_000, "1.0MB"),
            (u64::MAX, "18446744.0TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(date("2024-05-01T10:00:00Z"), Some("2024-05-01"));
        for wrong in ["", "2024-05", "\u{1b}[31m2024-", "01/05/2024!", "2024-05-0\u{e9}"] {
            assert_eq!(date(wrong), None, "{wrong:?}");
        }
    }
}
