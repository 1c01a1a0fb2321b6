//! Paths as text, the way Go's `path` package treats them.

/// Takes `.`, `..` and repeated slashes out. A relative path stays relative; nothing at all is `.`.
pub(crate) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") => parts.push(".."),
                None if absolute => {}
                None => parts.push(".."),
                Some(_) => {
                    parts.pop();
                }
            },
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Makes `path` absolute: it starts at `folder`, unless it starts at the root.
pub(crate) fn absolute(folder: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("/{folder}/{path}")) }
}

/// The last component.
pub(crate) fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_never_leave_the_root() {
        for (path, expected) in [
            ("", "."),
            ("a//b/./c/", "a/b/c"),
            ("a/../..", ".."),
            ("../../a", "../../a"),
            ("/../a", "/a"),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        assert_eq!(absolute("/srv", "../../x"), "/x");
        assert_eq!(absolute("/srv", ""), "/srv");
        assert_eq!(absolute("/srv", "/a/../b"), "/b");
    }

    #[test]
    fn the_base_is_the_last_component() {
        assert_eq!((base("/a/b/"), base("b"), base("/")), ("b", "b", ""));
    }
}
