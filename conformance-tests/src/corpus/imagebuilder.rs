//! `imagebuilder`: a Dockerfile and a context folder, each built once. All must come out.

use std::path::Path;
use std::sync::Arc;

use super::build::{Build, Expect};
use super::case::{Around, CorpusCase, Images, Job};
use super::context::Context;
use super::fields::Fields;
use super::snapshot::Leave;
use super::{Index, expect, read_index};
use crate::case::CaseResult;

pub(super) const NAME: &str = "imagebuilder";

const INFORMATIVE: &[&str] = &[
    "base_images",
    "copy_from_images",
    "features",
    "flags",
    "has_run",
    "name",
    "network",
    "notes",
    "oracle",
    "source",
];

pub(super) fn read(folder: &Path, around: &Arc<Around>) -> CaseResult<Vec<CorpusCase>> {
    let Index { cases, rest } = read_index(&folder.join("index.json"))?;
    rest.finish(&[])?;
    let case = |(id, images, fields): (String, Images, Fields)| {
        let read = one(folder, fields).map(|build| Job::Build(Box::new(build)));
        CorpusCase::new(NAME, &id, images, read, around)
    };
    Ok(cases.into_iter().map(case).collect())
}

fn one(folder: &Path, mut fields: Fields) -> CaseResult<Build> {
    let (context, file) =
        match (fields.optional_text("context_dir")?, fields.optional_text("dockerfile")?) {
            (Some(context), file) => (Context::Folder(folder.join(context)), file),
            // The context is nothing but the Dockerfile, which `dockerfile_content` has in any case.
            (None, _) => (Context::Empty, None),
        };
    let build = Build {
        context,
        file,
        text: fields.text("dockerfile_content")?,
        build_args: fields.text_map("build_args")?,
        target: None,
        expect: match expect(&mut fields)? {
            true => Expect::Image,
            false => Expect::Failure { line: None, exit_code: None },
        },
        output: fields.texts("output_regex")?,
        hidden: Vec::new(),
        refused: None,
        leave: Leave::default(),
    };
    fields.finish(INFORMATIVE)?;
    Ok(build)
}
