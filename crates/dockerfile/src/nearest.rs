//! Says what to do about a name that is not known.

/// Returns the name of `known` that `name` is most probably a slip for.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Comparing takes time by both lengths, and a name of a page is nobody's slip for one of a word.
    // One letter is a slip for any other.
    if name.len() > 64 || name.chars().count() < 2 {
        return None;
    }
    boxwright_core::nearest(name, known).or_else(|| {
        // A name that was cut short is further from the whole one than a slip.
        let mut longer = known.iter().filter(|it| name.len() > 1 && it.starts_with(name));
        longer.next().copied().filter(|_| longer.next().is_none())
    })
}

/// Says what to do about an unknown name: use the nearest, else one of all.
pub(crate) fn remedy(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(it) => format!("use `{it}`"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("use one of {}", list(known)),
    }
}

/// Joins names for a message, up to a length that can be read.
pub(crate) fn list(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(30).map(|it| format!("`{it}`")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(remedy("FOO", &["rw", "ro"]), "use one of `rw`, `ro`");
        assert_eq!(remedy("tmp", &["bind", "tmpfs"]), "use `tmpfs`");
        assert_eq!(remedy("cpoy", &["COPY", "CMD"]), "use `COPY`");
        assert_eq!(nearest(&"x".repeat(100_000), &["xx"]), None);
    }
}
