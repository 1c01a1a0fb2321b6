//! Addresses of git repositories, as `ADD` and build contexts take them.

use std::fmt;

/// A git repository and what of it is wanted.
///
/// ```
/// use boxwright_dockerfile::git::GitAddress;
///
/// let found = GitAddress::parse("https://github.com/acme/api.git#v1:docker").expect("it is git")?;
/// assert_eq!((found.reference.as_str(), found.folder.as_str()), ("v1", "docker"));
/// # Ok::<(), boxwright_dockerfile::git::GitError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitAddress {
    /// Where the repository is, without what follows `?` and `#`.
    pub remote: String,
    /// What the repository is called: the last component of its path, without `.git`.
    pub name: String,
    /// A branch, tag or commit. Empty means the default branch.
    pub reference: String,
    /// A folder in the repository. Empty means all of it.
    pub folder: String,
    /// The commit that it must be.
    pub commit: Option<String>,
    /// Whether `.git` is kept, where the address says.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched, where the address says.
    pub submodules: Option<bool>,
    /// Where times of files come from: `checkout` or `commit`.
    pub times: Option<String>,
    /// Whether the commit is fetched by its name, and not looked up behind the reference.
    pub fetch_by_commit: bool,
    /// Whether it might be a path as well: `github.com/acme/api`. For `ADD` it is a path.
    pub like_a_path: bool,
    /// Whether it is fetched without encryption.
    pub unencrypted: bool,
}

/// An address that is git's, and wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitError {
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for GitError {}

fn wrong<T>(message: impl Into<String>) -> Result<T, GitError> {
    Err(GitError { message: message.into() })
}

/// The parts of an address, not decoded.
struct Parts<'a> {
    remote: String,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl GitAddress {
    /// Reads an address. Returns `None` if it is not one of git.
    ///
    /// # Errors
    ///
    /// A query that is unknown, empty, given twice, or contradicts another; a reference, folder or commit that git would
    /// take for an option.
    #[must_use]
    pub fn parse(text: &str) -> Option<Result<Self, GitError>> {
        let mut address = Self::default();
        if text.starts_with("./") || text.starts_with("../") || text.contains(char::is_control) {
            return None;
        }
        let (parts, scheme) = if text.starts_with("github.com/") {
            address.like_a_path = true;
            (split(text, String::new())?, "https")
        } else if let Some((scheme, rest)) = scheme(text) {
            // No other transport, since git runs programs for some.
            if !matches!(scheme.as_str(), "http" | "https" | "ssh" | "git") || rest.is_empty() {
                return None;
            }
            address.unencrypted = matches!(scheme.as_str(), "http" | "git");
            let parts = split(rest, format!("{scheme}://"))?;
            (parts, if scheme.starts_with("http") { "http" } else { "git" })
        } else {
            (scp(text)?, "ssh")
        };
        // SPEC: "An HTTP(S) URL is considered to be a valid git ref only when it has the ".git[...]" suffix."
        if scheme == "http" && !decoded(parts.path)?.ends_with(".git") {
            return None;
        }
        address.name = crate::path::base(&parts.remote).trim_end_matches(".git").to_owned();
        address.remote = parts.remote;
        let fragment = decoded(parts.fragment)?;
        if !fragment.is_empty() {
            let (reference, folder) = fragment.split_once(':').unwrap_or((&fragment, ""));
            address.reference = reference.to_owned();
            folder.clone_into(&mut address.folder);
        }
        let query: Option<Vec<(String, String)>> = pairs(parts.query);
        Some(address.with_query(&query?).and_then(Self::checked))
    }

    fn with_query(mut self, query: &[(String, String)]) -> Result<Self, GitError> {
        let (mut tag, mut branch) = (String::new(), String::new());
        for (number, (key, value)) in query.iter().enumerate() {
            if query[..number].iter().any(|(other, _)| other == key) {
                return wrong(format!("`{key}` is there twice"));
            }
            let is_flag = matches!(key.as_str(), "submodules" | "keep-git-dir" | "fetch-by-commit");
            if value.is_empty() && !is_flag {
                return wrong(format!("`{key}` has no value"));
            }
            match key.as_str() {
                "ref" => unite(&mut self.reference, value)?,
                "tag" => tag.clone_from(value),
                "branch" => branch.clone_from(value),
                "subdir" => unite(&mut self.folder, value)?,
                "checksum" | "commit" => self.commit = Some(value.clone()),
                "keep-git-dir" => self.keep_git_dir = Some(truth(key, value)?),
                "submodules" => self.submodules = Some(truth(key, value)?),
                "fetch-by-commit" => self.fetch_by_commit = truth(key, value)?,
                "mtime" if matches!(value.as_str(), "checkout" | "commit") => {
                    self.times = Some(value.clone())
                }
                "mtime" => return wrong(format!("`{value}` is neither `checkout` nor `commit`")),
                _ => return wrong(format!("unexpected query `{key}`")),
            }
        }
        if !tag.is_empty() && !branch.is_empty() {
            return wrong("it has both a tag and a branch");
        }
        for (name, prefix) in [(tag, "refs/tags/"), (branch, "refs/heads/")] {
            if name.starts_with(prefix) {
                unite(&mut self.reference, &name)?;
            } else if !name.is_empty() {
                unite(&mut self.reference, &format!("{prefix}{name}"))?;
            }
        }
        Ok(self)
    }

    /// Refuses what git would take for an option, whatever is put before it later.
    fn checked(mut self) -> Result<Self, GitError> {
        self.folder = crate::path::absolute("", &self.folder).trim_start_matches('/').to_owned();
        let commit = self.commit.as_deref().unwrap_or_default();
        for part in [self.reference.as_str(), self.folder.as_str(), commit] {
            if part.starts_with('-') || part.contains(char::is_control) {
                return wrong(format!(
                    "`{part}` begins like an option of git, or has control characters"
                ));
            }
        }
        if self.remote.starts_with('-')
            || self.remote.contains("://-")
            || self.remote.contains("@-")
        {
            return wrong("its host begins like an option of ssh");
        }
        Ok(self)
    }

    /// Writes the address with the reference after a `#`, and the folder after a `:`.
    #[must_use]
    pub fn short(&self) -> String {
        match (self.reference.as_str(), self.folder.as_str()) {
            ("", "") => self.remote.clone(),
            (reference, "") => format!("{}#{reference}", self.remote),
            (reference, folder) => format!("{}#{reference}:{folder}", self.remote),
        }
    }
}

/// Takes user names and passwords out of the addresses in a text, for all that people and registries get to see.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | ',');
        let authority = &after[..after.find(is_end).unwrap_or(after.len())];
        rest = after;
        if let Some((user, host)) = authority.rsplit_once('@') {
            // Whom to log in as over ssh is no secret.
            if user.contains(':') || !before.ends_with("ssh://") {
                out.push_str("***@");
                rest = &after[authority.len() - host.len()..];
            }
        }
    }
    out + rest
}

/// Splits off a scheme, which is a word before `://`.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn split(rest: &str, prefix: String) -> Option<Parts<'_>> {
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(char::is_whitespace) || !port_is_right(host) {
        return None;
    }
    Some(Parts { remote: prefix + rest, path, query, fragment })
}

fn port_is_right(host: &str) -> bool {
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    after_address.split_once(':').is_none_or(|(_, port)| port.bytes().all(|it| it.is_ascii_digit()))
}

/// `user@host:path`, as scp and git take it.
fn scp(text: &str) -> Option<Parts<'_>> {
    let (user, rest) = text.split_once('@')?;
    let (host, rest) = rest.split_once(':')?;
    let word = |text: &str, more: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    if !word(user, &['-', '_']) || !word(host, &['-', '.']) {
        return None;
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Some(Parts { remote: format!("{user}@{host}:{path}"), path, query, fragment })
}

/// Takes `%41` out. Returns `None` if it is broken.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let read = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decoded(&key.replace('+', " "))?, decoded(&value.replace('+', " "))?))
    };
    parts.map(read).collect()
}

fn unite(known: &mut String, value: &str) -> Result<(), GitError> {
    if !known.is_empty() && known != value {
        return wrong(format!("`{known}` and `{value}` contradict each other"));
    }
    value.clone_into(known);
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool, GitError> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => wrong(format!("`{value}` of `{key}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_git_are_told_from_others() {
        for text in [
            "https://example.com/a",
            "http://e.com/a.git:#b",
            "./a.git",
            "a",
            "ext::sh -c x",
            "file:///a.git",
        ] {
            assert_eq!(GitAddress::parse(text), None, "{text}");
        }
        for text in [
            "https://e.com/a.git",
            "git://e.com/a",
            "ssh://git@e.com/a",
            "git@e.com:a",
            "github.com/a/b",
        ] {
            assert!(GitAddress::parse(text).is_some_and(|it| it.is_ok()), "{text}");
        }
    }

    #[test]
    fn nothing_of_an_address_is_an_option_threat_15() {
        for text in [
            "https://e.com/a.git#--upload-pack=x",
            "https://e.com/a.git?ref=-x",
            "https://e.com/a.git?subdir=-x",
            "https://e.com/a.git?commit=-x",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@-oProxyCommand=x/a",
            "git@-oProxyCommand:a",
        ] {
            let refused = GitAddress::parse(text).is_none_or(|it| it.is_err());
            assert!(refused, "{text}");
        }
    }

    #[test]
    fn credentials_are_taken_out_of_addresses_threat_36() {
        for (text, expected) in [
            ("ADD https://me:secret@e.com/a /b", "ADD https://***@e.com/a /b"),
            ("https://token@e.com", "https://***@e.com"),
            ("ssh://git@e.com/a ssh://git:p@e.com/a", "ssh://git@e.com/a ssh://***@e.com/a"),
            ("https://e.com/a@b http://[::1]/", "https://e.com/a@b http://[::1]/"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn the_folder_stays_in_the_repository() {
        for text in ["https://e.com/a.git#v:../../x", "https://e.com/a.git?ref=v&subdir=../../x"] {
            let found = GitAddress::parse(text).expect("it is git").expect("it is right");
            assert_eq!(
                (found.folder.as_str(), found.short().as_str()),
                ("x", "https://e.com/a.git#v:x")
            );
        }
    }
}
