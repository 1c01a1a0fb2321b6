//! Checks on what a build exported.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxwright_image::view::NodeKind;
use serde_json::Value;

use super::fields::Fields;
use crate::artifact::Image;
use crate::case::{CaseResult, Failure};
use crate::{expect, expect_eq};

/// No file that is checked is larger.
const FILE_LIMIT: u64 = 16 << 20;

/// One check.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Which export it is about.
    dest: String,
    path: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Equals(Vec<u8>),
    EqualsTrimmed(String),
    Contains(String),
    NotContains(String),
    NonEmpty,
    Length(u64),
    Exists,
    Absent,
    IsFolder,
    IsFile,
    SameAs(String, String),
    DiffersFrom(String, String),
    /// A field of the image's config.
    Config(String),
}

/// The destination of checks that look at the image itself.
const IMAGE: &str = "(image)";

impl Check {
    pub(super) fn read(value: Value) -> CaseResult<Self> {
        let mut fields = Fields::of(value, "a check")?;
        let (dest, path) = (fields.text("dest")?, fields.text("path")?);
        let check = fields.text("check")?;
        let other = |fields: &mut Fields| -> CaseResult<(String, String)> {
            let text = fields.text("value")?;
            let parts = text.split_once(':').map(|(dest, path)| (dest.to_owned(), path.to_owned()));
            parts.ok_or_else(|| Failure::harness(format!("`{text}` names no file of a step")))
        };
        let kind = match check.as_str() {
            "equals" => match fields.optional_text("value_b64")? {
                Some(text) => Kind::Equals(STANDARD.decode(text).map_err(|error| {
                    Failure::harness(format!("`value_b64` of a check: {error}"))
                })?),
                None => Kind::Equals(fields.text("value")?.into_bytes()),
            },
            "equals-trimmed" => Kind::EqualsTrimmed(fields.text("value")?),
            "contains" => Kind::Contains(fields.text("value")?),
            "not-contains" => Kind::NotContains(fields.text("value")?),
            "non-empty" => Kind::NonEmpty,
            "len" => Kind::Length(length(&fields.value("value"))?),
            "exists" => Kind::Exists,
            "absent" => Kind::Absent,
            "stat:IsDir" | "stat:Mode.IsRegular" => {
                let value = fields.value("value");
                if value != Value::Bool(true) && value != "true" {
                    return Err(Failure::harness(format!("`{check}` is to be {value}")));
                }
                if check == "stat:IsDir" { Kind::IsFolder } else { Kind::IsFile }
            }
            "same-as" => {
                let (dest, path) = other(&mut fields)?;
                Kind::SameAs(dest, path)
            }
            "differs-from" => {
                let (dest, path) = other(&mut fields)?;
                Kind::DiffersFrom(dest, path)
            }
            "equal" if dest == IMAGE => Kind::Config(fields.text("value")?),
            other => return Err(Failure::harness(format!("`{other}` is an unknown check"))),
        };
        if (dest == IMAGE) != matches!(kind, Kind::Config(_)) {
            return Err(Failure::harness(format!("`{check}` does not fit `{dest}`")));
        }
        fields.finish(&[])?;
        Ok(Self { dest, path, kind })
    }

    /// Checks what `exports` have. `image` is what the step made.
    pub(super) async fn run(&self, exports: &Exports, image: &Image) -> CaseResult {
        let Self { dest, path, kind } = self;
        match kind {
            Kind::Config(value) => {
                let found = match path.as_str() {
                    "imgsel:.Config.User" => image.config().config.user.clone(),
                    other => return Err(Failure::harness(format!("`{other}` is unknown"))),
                };
                expect_eq!(found, *value, "`{path}`");
            }
            Kind::Exists => exports.get(dest)?.require(path)?,
            Kind::Absent => {
                let found = exports.get(dest)?.is_there(path);
                expect!(!found, "`{dest}:{path}` is there, and should not be");
            }
            Kind::IsFolder | Kind::IsFile => {
                let export = exports.get(dest)?;
                let found = export.image.tree().resolve(path).map(|(_, node)| &node.kind);
                let is_right = match kind {
                    Kind::IsFolder => matches!(found, Some(NodeKind::Folder)),
                    _ => matches!(found, Some(NodeKind::File { .. })),
                };
                expect!(is_right, "`{dest}:{path}` is {found:?}, and should be {kind:?}");
            }
            _ => self.run_on(&exports.read(dest, path).await?, exports).await?,
        }
        Ok(())
    }

    async fn run_on(&self, found: &[u8], exports: &Exports) -> CaseResult {
        let what = format!("`{}:{}`", self.dest, self.path);
        let text = String::from_utf8_lossy(found);
        match &self.kind {
            Kind::Equals(value) => {
                let wanted = String::from_utf8_lossy(value);
                expect!(found == value, "{what} is {text:?} and should be {wanted:?}");
            }
            Kind::EqualsTrimmed(value) => expect_eq!(text.trim(), value.trim(), "{what}"),
            Kind::Contains(value) => {
                expect!(text.contains(value.as_str()), "{what} is {text:?} without {value:?}");
            }
            Kind::NotContains(value) => {
                expect!(!text.contains(value.as_str()), "{what} is {text:?} with {value:?}");
            }
            Kind::NonEmpty => expect!(!found.is_empty(), "{what} is empty"),
            Kind::Length(length) => expect_eq!(found.len() as u64, *length, "the length of {what}"),
            Kind::SameAs(dest, path) => {
                let other = exports.read(dest, path).await?;
                expect!(found == other, "{what} is not the same as `{dest}:{path}`");
            }
            Kind::DiffersFrom(dest, path) => {
                let other = exports.read(dest, path).await?;
                expect!(found != other, "{what} is the same as `{dest}:{path}`");
            }
            // Not about what a file holds.
            Kind::Exists | Kind::Absent | Kind::IsFolder | Kind::IsFile | Kind::Config(_) => {}
        }
        Ok(())
    }
}

fn length(value: &Value) -> CaseResult<u64> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| Failure::harness(format!("`{value}` is no length")))
}

/// What steps exported, by destination.
#[derive(Debug, Default)]
pub(super) struct Exports(BTreeMap<String, Export>);

/// One export, read from the image rather than from the disk: any engine has that.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) image: Image,
    /// Whether it is an OCI layout, and not the root of the file system.
    pub(super) is_layout: bool,
}

impl Exports {
    pub(super) fn add(&mut self, dest: String, export: Export) {
        self.0.insert(dest, export);
    }

    fn get(&self, dest: &str) -> CaseResult<&Export> {
        self.0
            .get(dest)
            .ok_or_else(|| Failure::harness(format!("nothing was exported to `{dest}`")))
    }

    async fn read(&self, dest: &str, path: &str) -> CaseResult<Vec<u8>> {
        self.get(dest)?.read(path).await
    }
}

impl Export {
    fn is_there(&self, path: &str) -> bool {
        self.image.tree().resolve(path).is_some()
    }

    fn require(&self, path: &str) -> CaseResult {
        expect!(self.is_there(path), "there is no `{path}` in {}", self.image.file_list());
        Ok(())
    }

    async fn read(&self, path: &str) -> CaseResult<Vec<u8>> {
        if self.is_layout {
            // All that an index says of one image is its manifest.
            return match path {
                "index.json" => Ok(self.image.manifest().descriptor.digest.to_string().into()),
                other => Err(Failure::harness(format!("`{other}` of a layout is unknown"))),
            };
        }
        self.require(path)?;
        self.image.read_through_links(path, FILE_LIMIT).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_check_is_noticed() {
        let check = |check: &str, value: Value| {
            Check::read(json!({"dest": "d", "path": "p", "check": check, "value": value}))
        };
        assert_eq!(check("equals", json!("x")).unwrap().kind, Kind::Equals(b"x".to_vec()));
        let kind = check("same-as", json!("e:q/r")).unwrap().kind;
        assert_eq!(kind, Kind::SameAs("e".into(), "q/r".into()));
        for (name, value) in [
            ("matches", json!("x")),
            ("equal", json!("x")),
            ("same-as", json!("x")),
            ("stat:IsDir", json!("false")),
        ] {
            assert!(matches!(check(name, value), Err(Failure::Harness(_))), "{name}");
        }
    }
}
