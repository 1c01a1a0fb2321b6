//! Reads the options of a mount in order, and checks what they come to.

use boxwright_core::CacheSharing;

use crate::diagnostic::{Diagnostic, Span};
use crate::nearest;

use super::{Mount, MountKind, MountOption, Owner};

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// Reads a truth as Go does.
pub(in crate::instruction) fn truth(option: &MountOption, value: &str) -> Result<bool, Diagnostic> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(wrong_value(option, value, "write `true` or `false`")),
    }
}

fn wrong_value(option: &MountOption, value: &str, remedy: &str) -> Diagnostic {
    Diagnostic::error(option.span, format!("`{value}` is no value for `{}`", option.key))
        .with_remedy(remedy)
}

/// What the options of a mount come to so far. Later options override earlier ones.
#[derive(Default)]
struct Draft {
    kind: String,
    from: String,
    source: String,
    target: String,
    read_only: Option<bool>,
    size: Option<u64>,
    id: String,
    sharing: Option<CacheSharing>,
    required: bool,
    owner: Owner,
    env: Option<String>,
}

/// Reads a mount, with its values expanded by `expand`.
///
/// # Errors
///
/// An option that does not exist, is not of this type, or has a wrong value. Options are read in order, so the type has
/// to come before what depends on it.
pub(crate) fn evaluate(
    span: Span,
    options: &[MountOption],
    mut expand: impl FnMut(&str) -> Result<String, Diagnostic>,
) -> Result<Mount, Diagnostic> {
    let mut draft = Draft { kind: "bind".to_owned(), ..Draft::default() };
    for option in options {
        let value = option.value.as_deref().map(&mut expand).transpose()?;
        draft.read(option, value)?;
    }
    draft.finish(span)
}

impl Draft {
    fn read(&mut self, option: &MountOption, value: Option<String>) -> Result<(), Diagnostic> {
        let key = option.key.as_str();
        let Some(value) = value else {
            match key {
                "readonly" | "ro" => self.read_only = Some(true),
                "readwrite" | "rw" => self.read_only = Some(false),
                "required" => {
                    self.only_for(option, &["secret", "ssh"])?;
                    self.required = true;
                }
                _ => {
                    let problem = Diagnostic::error(
                        option.span,
                        format!("`{}` of a mount has no value", option.written),
                    );
                    return Err(match KEYS.contains(&key) {
                        true => problem.with_remedy(format!("write `{key}=VALUE`")),
                        false => problem.with_remedy(nearest::remedy(key, &KEYS)),
                    });
                }
            }
            return Ok(());
        };
        match key {
            "type" => {
                let kind = value.to_lowercase();
                if !TYPES.contains(&kind.as_str()) {
                    return Err(wrong_value(option, &value, &nearest::remedy(&kind, &TYPES)));
                }
                self.kind = kind;
            }
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.read_only = Some(truth(option, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!truth(option, &value)?),
            "required" => {
                self.only_for(option, &["secret", "ssh"])?;
                self.required = truth(option, &value)?;
            }
            "size" => {
                self.only_for(option, &["tmpfs"])?;
                let size = size(&value)
                    .ok_or_else(|| wrong_value(option, &value, "write a size such as `64m`"))?;
                self.size = Some(size).filter(|size| *size > 0);
            }
            "id" => self.id = value,
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => CacheSharing::Shared,
                    "private" => CacheSharing::Private,
                    "locked" => CacheSharing::Locked,
                    other => {
                        let remedy = nearest::remedy(other, &["shared", "private", "locked"]);
                        return Err(wrong_value(option, &value, &remedy));
                    }
                });
            }
            "mode" => {
                let mode = u32::from_str_radix(&value, 8).ok();
                let mode = mode.ok_or_else(|| {
                    wrong_value(option, &value, "write it in octal, such as `0400`")
                })?;
                self.owner.mode = Some(mode);
            }
            "uid" => self.owner.uid = Some(number(option, &value)?),
            "gid" => self.owner.gid = Some(number(option, &value)?),
            "env" => self.env = Some(value),
            _ => {
                let problem =
                    Diagnostic::error(option.span, format!("unknown option `{key}` of a mount"));
                return Err(problem.with_remedy(nearest::remedy(key, &KEYS)));
            }
        }
        Ok(())
    }

    fn only_for(&self, option: &MountOption, kinds: &[&str]) -> Result<(), Diagnostic> {
        if kinds.contains(&self.kind.as_str()) {
            return Ok(());
        }
        let message = format!("`{}` is no option of a `{}` mount", option.key, self.kind);
        Err(Diagnostic::error(option.span, message)
            .with_remedy(format!("leave it out, or write `type={}` before it", kinds[0])))
    }

    fn finish(self, span: Span) -> Result<Mount, Diagnostic> {
        let wrong =
            |message: &str, remedy: &str| Err(Diagnostic::error(span, message).with_remedy(remedy));
        if self.sharing.is_some() && self.kind != "cache" {
            return wrong(
                "only a `cache` mount has `sharing`",
                "leave it out, or write `type=cache`",
            );
        }
        if matches!(self.kind.as_str(), "bind" | "tmpfs") && self.owner != Owner::default() {
            return wrong(
                "a `bind` or `tmpfs` mount has no `uid`, `gid` and `mode`",
                "leave them out",
            );
        }
        let from = Some(self.from).filter(|it| !it.is_empty());
        let read_only = self.read_only.unwrap_or(!matches!(self.kind.as_str(), "cache" | "tmpfs"));
        let mut target = self.target;
        let kind = match self.kind.as_str() {
            "cache" => {
                let id = if self.id.is_empty() { crate::path::clean(&target) } else { self.id };
                let sharing = self.sharing.unwrap_or(CacheSharing::Shared);
                MountKind::Cache { id, from, source: self.source, sharing, owner: self.owner }
            }
            "tmpfs" => MountKind::Tmpfs { size: self.size },
            "secret" => {
                if from.is_some() {
                    return wrong("a `secret` mount has no `from`", "leave it out");
                }
                if !self.source.is_empty() && !self.id.is_empty() {
                    return wrong(
                        "a `secret` mount has both `id` and `source`",
                        "leave out `source`",
                    );
                }
                let mut id = if self.source.is_empty() { self.id } else { self.source };
                if id.is_empty() {
                    id = crate::path::base(&target).to_owned();
                }
                if id.is_empty() {
                    return wrong(
                        "a `secret` mount has neither `id` nor `target`",
                        "write `id=NAME`",
                    );
                }
                let file = self.env.is_none() || !target.is_empty();
                if target.is_empty() && file {
                    target = format!("/run/secrets/{}", crate::path::base(&id));
                }
                MountKind::Secret {
                    id,
                    env: self.env,
                    file,
                    required: self.required,
                    owner: self.owner,
                }
            }
            "ssh" => {
                if !self.source.is_empty() {
                    return wrong("an `ssh` mount has no `source`", "write `id=NAME` instead");
                }
                let id = if self.id.is_empty() { "default".to_owned() } else { self.id };
                MountKind::Ssh { id, required: self.required, owner: self.owner }
            }
            _ => MountKind::Bind { from, source: self.source },
        };
        Ok(Mount { kind, target, read_only })
    }
}

fn number(option: &MountOption, value: &str) -> Result<u32, Diagnostic> {
    let number = value
        .parse::<u32>()
        .ok()
        .filter(|it| i32::try_from(*it).is_ok() && !value.starts_with('+'));
    number.ok_or_else(|| wrong_value(option, value, "write a number from 0 to 2147483647"))
}

/// Reads a size such as `64m`, `1.5g` or `10KiB`, counted in powers of 1024.
fn size(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = number.trim_end_matches(' ').parse().ok()?;
    let bytes = number * 1024_f64.powi(power);
    // Finite, not negative, and small enough that the conversion is exact to the byte that matters.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    let bytes = (0.0..9.0e18).contains(&bytes).then_some(bytes as u64)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::fields::fields;
    use super::*;
    use crate::fragment::Word;

    fn mount(text: &str) -> Result<Mount, String> {
        let word = Word { text: text.to_owned(), span: Span::default() };
        let options = fields(&word).map_err(|it| it.message)?;
        evaluate(word.span, &options, |value| Ok(value.to_owned())).map_err(|it| it.message)
    }

    #[test]
    fn mounts_without_a_type_are_bind_mounts() {
        let bind = mount("from=base,src=/a,dst=b").expect("it is right");
        let kind = MountKind::Bind { from: Some("base".into()), source: "/a".into() };
        assert_eq!(bind, Mount { kind, target: "b".into(), read_only: true });
        assert!(!mount("target=/a,rw").expect("it is right").read_only);
        assert!(!mount("target=/a,readonly=false").expect("it is right").read_only);
    }

    #[test]
    fn a_cache_is_known_by_its_target() {
        let MountKind::Cache { id, sharing, .. } =
            mount("type=cache,target=/a/./b,sharing=locked").unwrap().kind
        else {
            panic!("not a cache")
        };
        assert_eq!((id.as_str(), sharing), ("/a/b", CacheSharing::Locked));
    }

    #[test]
    fn a_secret_is_a_file_a_variable_or_both() {
        for (text, target, is_file) in [
            ("type=secret,id=x", "/run/secrets/x", true),
            ("type=secret,target=/a/x", "/a/x", true),
            ("type=secret,id=x,env=X", "", false),
            ("type=secret,id=x,env=X,target=/x", "/x", true),
        ] {
            let mount = mount(text).expect("it is right");
            let MountKind::Secret { id, file, .. } = mount.kind else { panic!("not a secret") };
            assert_eq!(
                (id.as_str(), mount.target.as_str(), file),
                ("x", target, is_file),
                "{text}"
            );
        }
    }

    #[test]
    fn options_are_an_enumeration_threat_19() {
        for (text, expected) in [
            ("type=bnd,target=/a", "`bnd` is no value for `type`"),
            ("target=/a,bind-propagation=shared", "unknown option `bind-propagation` of a mount"),
            ("target=/a,", "`` of a mount has no value"),
            ("target=/a,exec", "`exec` of a mount has no value"),
            ("target=/a,size=1m", "`size` is no option of a `bind` mount"),
            ("required,type=secret,id=x", "`required` is no option of a `bind` mount"),
            ("type=secret", "a `secret` mount has neither `id` nor `target`"),
            ("type=secret,id=a,source=b", "a `secret` mount has both `id` and `source`"),
            ("type=ssh,source=a", "an `ssh` mount has no `source`"),
            ("target=/a,uid=1", "a `bind` or `tmpfs` mount has no `uid`, `gid` and `mode`"),
            ("type=cache,target=/a,uid=4294967296", "`4294967296` is no value for `uid`"),
            ("type=cache,target=/a,mode=8", "`8` is no value for `mode`"),
            ("target=/a,ro=maybe", "`maybe` is no value for `ro`"),
            ("\"target=/a", "the quotes of `\"target=/a` are not closed before a comma"),
        ] {
            assert_eq!(mount(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn quotes_keep_a_comma() {
        assert_eq!(mount("\"target=/a,\"\"b\",ro").expect("it is right").target, "/a,\"b");
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        for (text, expected) in [
            ("64m", Some(64 << 20)),
            ("1.5KiB", Some(1536)),
            ("7", Some(7)),
            ("-1", None),
            ("1x", None),
            ("nan", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
