//! Finds the known name that an unknown one was likely meant to be.

/// Returns the name of `known` that is at most two edits away from `name`, the closest first, ignoring case.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Distances grow with the length; a name of a page is nobody's mistake for one of a word.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|it| (distance(&name, &it.to_lowercase()), it))
        .filter(|(distance, it)| *distance <= 2 && *distance < it.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// Says what to do about an unknown name: use the nearest, else one of all.
pub(crate) fn remedy<'a>(name: &str, known: &[&'a str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(it) => format!("use `{it}`"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("use one of {}", list(known)),
    }
}

/// Joins names for a message.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

/// The Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["COPY", "CMD", "ADD"];
        assert_eq!(nearest("COPPY", known), Some("COPY"));
        assert_eq!(nearest("cpoy", known), Some("COPY"));
        assert_eq!(nearest("INSERT", known), None);
        assert_eq!(nearest("X", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(remedy("FOO", &["rw", "ro"]), "use one of `rw`, `ro`");
    }
}
