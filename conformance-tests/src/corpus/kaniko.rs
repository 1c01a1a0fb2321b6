//! `kaniko`: a Dockerfile and a context folder, each built once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::{Build, Expect};
use super::case::{Around, CorpusCase, Images, Job};
use super::context::Context;
use super::fields::Fields;
use super::snapshot::Leave;
use super::{Index, expect, read_index};
use crate::case::CaseResult;

pub(super) const NAME: &str = "kaniko";

/// The status of the command that the one failing case has.
const EXIT_CODE: i64 = 42;

const INFORMATIVE: &[&str] =
    &["base_images", "copy_from_images", "digest_pinned", "features", "flags", "network"];

pub(super) fn read(folder: &Path, around: &Arc<Around>) -> CaseResult<Vec<CorpusCase>> {
    let Index { cases, rest } = read_index(&folder.join("index.json"))?;
    rest.finish(&["note"])?;
    let case = |(id, images, fields): (String, Images, Fields)| {
        let read = one(folder, fields).map(|build| Job::Build(Box::new(build)));
        CorpusCase::new(NAME, &id, images, read, around)
    };
    Ok(cases.into_iter().map(case).collect())
}

fn one(folder: &Path, mut fields: Fields) -> CaseResult<Build> {
    let context = folder.join(fields.text("context")?);
    let file = folder.join(fields.text("dockerfile")?);
    let relative = file.strip_prefix(&context).map(Path::to_owned);
    // One that is outside of its context has an absolute path.
    let file: PathBuf = relative.unwrap_or(file);
    let build = Build {
        context: Context::Folder(context),
        file: Some(file.to_string_lossy().into_owned()),
        text: fields.text("dockerfile_content")?,
        build_args: fields.text_map("build_args")?,
        target: fields.optional_text("target")?,
        expect: match expect(&mut fields)? {
            true => Expect::Image,
            false => Expect::Failure { line: None, exit_code: Some(EXIT_CODE) },
        },
        output: Vec::new(),
        hidden: fields.texts("output_must_not_contain")?,
        refused: None,
        leave: Leave::default(),
    };
    fields.finish(INFORMATIVE)?;
    Ok(build)
}
