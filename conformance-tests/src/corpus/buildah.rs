//! `buildah-conformance`: a Dockerfile and a context as a tar, each built once.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::build::{Build, Expect};
use super::case::{Around, CorpusCase, Images, Job};
use super::context::Context;
use super::fields::Fields;
use super::snapshot::Leave;
use super::{Index, read_index};
use crate::case::{CaseResult, Failure};

pub(super) const NAME: &str = "buildah-conformance";

/// Which fields of the config count is the same for all corpora, so what the index says of it is not read.
const OF_INDEX: &[&str] = &["docker_config_skip", "oci_config_skip"];

const INFORMATIVE: &[&str] = &[
    "base_images",
    "compat_layer_omissions",
    "compat_scratch_config",
    "context_dir",
    "context_is_tweaked",
    "copy_from_images",
    "docker_use_buildkit",
    "dockerfile_origin",
    // What is there and should not be is always told.
    "fail_on_extra_fs_content",
    // Their words; ours are our own.
    "failure_regex",
    "features",
    "flags",
    // What changes below a volume is kept, as BuildKit does.
    "fs_skip_old_volumes",
    "has_run",
    "instructions",
    "name",
    "network",
    "notes",
    "source",
    "stages",
    "syntax",
    "upstream_oracle",
    "upstream_variants",
    "without_docker",
    "without_imagebuilder",
];

pub(super) fn read(folder: &Path, around: &Arc<Around>) -> CaseResult<Vec<CorpusCase>> {
    let Index { cases, mut rest } = read_index(&folder.join("index.json"))?;
    let everywhere = rest.texts("global_fs_skip")?;
    rest.finish(OF_INDEX)?;
    let case = |(id, images, fields): (String, Images, Fields)| {
        let read = one(folder, fields, &everywhere).map(|build| Job::Build(Box::new(build)));
        CorpusCase::new(NAME, &id, images, read, around)
    };
    Ok(cases.into_iter().map(case).collect())
}

fn one(folder: &Path, mut fields: Fields, everywhere: &[String]) -> CaseResult<Build> {
    let mut leave = everywhere.to_vec();
    leave.extend(fields.texts("fs_skip")?);
    let leave = Leave::read(&leave)
        .map_err(|text| Failure::harness(format!("`{text}` leaves out something unknown")))?;
    let line = fields.optional_number("should_fail_at_line")?;
    let expect = match fields.flag("should_fail")? {
        true => Expect::Failure { line, exit_code: None },
        false => Expect::Image,
    };
    let mounts = fields.list("transient_mounts")?;
    let mut output = Vec::new();
    for (tool, pattern) in fields.text_map("output_regex")? {
        match tool.as_str() {
            "buildah" | "buildah_err" => output.push(pattern),
            "docker" => {}
            other => return Err(Failure::harness(format!("`{other}` is an unknown tool"))),
        }
    }
    for need in fields.texts("needs")? {
        if need != "user xattrs on the context filesystem and the image store" {
            return Err(Failure::harness(format!("`{need}` is an unknown need")));
        }
    }
    let build = Build {
        context: Context::Archive(folder.join(fields.text("context_tar")?)),
        file: Some(fields.text("dockerfile")?),
        text: fields.text("dockerfile_content")?,
        build_args: fields.text_map("build_args")?,
        target: fields.optional_text("target")?,
        expect,
        output,
        hidden: Vec::new(),
        refused: (mounts != Vec::<Value>::new()).then(|| {
            let reason = "no request mounts folders of the host into every RUN";
            (reason.to_owned(), "give each RUN a `--mount=type=bind`".to_owned())
        }),
        leave,
    };
    fields.finish(INFORMATIVE)?;
    Ok(build)
}
