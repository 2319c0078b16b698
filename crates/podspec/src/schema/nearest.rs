//! The known name nearest to a mistyped one.

/// The one of `names` that `word` was most likely meant to be: differing in case only, or at most a
/// third of its letters away.
#[must_use]
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = |name: &str| name.len().max(3) / 3;
    names
        .filter(|name| lower.len().abs_diff(name.len()) <= allowed(name))
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Longer words are no typing errors of field names; keeps the table small.
const WORD_CHARS_MAX: usize = 128;

/// Letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(WORD_CHARS_MAX).collect();
    let b: Vec<char> = b.chars().take(WORD_CHARS_MAX).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_typing_errors_and_nothing_else() {
        let names = ["image", "imagePullPolicy", "name", "volumeMounts", "command", "env"];
        for (word, meant) in [
            ("imagee", Some("image")),
            ("imgae", Some("image")),
            ("Image", Some("image")),
            ("volumeMount", Some("volumeMounts")),
            ("imagepullpolicy", Some("imagePullPolicy")),
            ("cmd", None),
            ("evn", Some("env")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names.into_iter()), meant, "{word}");
        }
    }
}
