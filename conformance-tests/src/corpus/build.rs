//! Cases that build once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boxwright_core::{
    BuildRequest, CacheUse, ContextSource, DockerfileSource, Error, ErrorKind, Event,
};
use boxwright_dockerfile::plan::Options;
use regex::RegexBuilder;

use super::case::Around;
use super::context::Context;
use super::snapshot::{Leave, Snapshot};
use crate::case::{CaseResult, Failure};
use crate::cx::Cx;
use crate::expect;
use crate::log::Log;

/// A case that builds once.
#[derive(Clone, Debug)]
pub(super) struct Build {
    pub(super) context: Context,
    /// The Dockerfile in the context. `None`: it is nowhere but here.
    pub(super) file: Option<String>,
    /// Its text.
    pub(super) text: String,
    pub(super) build_args: BTreeMap<String, String>,
    pub(super) target: Option<String>,
    pub(super) expect: Expect,
    /// Patterns that what steps write must match.
    pub(super) output: Vec<String>,
    /// What must not be in any message or log.
    pub(super) hidden: Vec<String>,
    /// What the case asks for that no request can say, and what to do instead.
    pub(super) refused: Option<(String, String)>,
    /// What of the image is not compared with another engine's.
    pub(super) leave: Leave,
}

/// How a build ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Expect {
    /// With an image.
    #[default]
    Image,
    /// Not, because of the file or of what is in the context.
    Failure {
        /// The line of the Dockerfile.
        line: Option<u64>,
        /// The status of the command that fails.
        exit_code: Option<i64>,
    },
}

impl Build {
    pub(super) async fn run(&self, cx: &Cx, id: &str, around: &Arc<Around>) -> CaseResult {
        if let Some((reason, remedy)) = &self.refused {
            return Err(Failure::Refused { reason: reason.clone(), remedy: remedy.clone() });
        }
        let folder = self.context.folder(cx.context())?;
        let mut request = request_for(cx, &folder)?;
        request.build_args.extend(self.build_args.clone());
        request.target = self.target.clone();
        // What a step wrote is not written again when it comes from the cache.
        request.cache = if self.output.is_empty() { CacheUse::Use } else { CacheUse::Ignore };
        request.dockerfile = self.dockerfile(cx, &folder, around)?;
        let attempt = cx.attempt(&request).await;
        let log = attempt.log.as_text();
        for hidden in &self.hidden {
            expect!(!log.contains(hidden.as_str()), "`{hidden}` is in what was reported");
        }
        match (attempt.result, &self.expect) {
            (Ok(output), Expect::Image) => {
                let image = cx.read(output.id).await?;
                if let Some(schemas) = &around.schemas {
                    schemas.check_image(&image).await?;
                }
                around.keep(id, cx.column(), Snapshot::of(&image, around.begin));
                self.check_output(&attempt.log)
            }
            (Ok(_), Expect::Failure { .. }) => {
                Err(Failure::promise("the build should fail, and succeeds"))
            }
            (Err(error), Expect::Image) => Err(unsupported_or(error)),
            (Err(error), Expect::Failure { line, exit_code }) => {
                check_failure(error, *line, *exit_code)
            }
        }
    }

    /// Returns the Dockerfile with the names of images that there are. One that needs no change stays where it is, with
    /// what is beside it.
    fn dockerfile(&self, cx: &Cx, folder: &Path, around: &Around) -> CaseResult<DockerfileSource> {
        let options = Options {
            target: self.target.clone(),
            build_args: self.build_args.clone(),
            ..Options::default()
        };
        let text = around.names.rewrite(&self.text, &options);
        let Some(file) = &self.file else { return Ok(DockerfileSource::Text(text)) };
        if text == self.text {
            return Ok(DockerfileSource::Path(file.into()));
        }
        let place = cx.scratch("dockerfile");
        std::fs::create_dir(&place)?;
        let name = Path::new(file).file_name().unwrap_or_default();
        std::fs::write(place.join(name), text)?;
        let mut ignore = name.to_owned();
        ignore.push(".dockerignore");
        let own = folder.join(file).with_file_name(&ignore);
        if own.is_file() {
            std::fs::copy(own, place.join(ignore))?;
        }
        Ok(DockerfileSource::Path(place.join(name)))
    }

    fn check_output(&self, log: &Log) -> CaseResult {
        // Upstream's patterns are about all that a builder writes, and it writes what each step is.
        let bytes = log.0.iter().flat_map(|event| match event {
            Event::StepStarted { name, .. } => [name.as_bytes(), b"\n"],
            Event::StepLog { bytes, .. } => [bytes.as_slice(), b""],
            _ => [&b""[..], b""],
        });
        let written = String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned();
        for pattern in &self.output {
            let regex = RegexBuilder::new(pattern).dot_matches_new_line(true).build();
            let regex = regex.map_err(|error| Failure::harness(format!("`{pattern}`: {error}")))?;
            expect!(regex.is_match(&written), "`{pattern}` does not match the output `{written}`");
        }
        Ok(())
    }
}

/// Takes an error for what the engine declares not to be able to do, if it is one.
pub(super) fn unsupported_or(error: Error) -> Failure {
    if error.kind() == ErrorKind::Unsupported { Failure::refused(error) } else { error.into() }
}

/// Returns everything that an error says.
pub(super) fn words(error: &Error) -> String {
    let mut all = vec![error.to_string()];
    all.extend(error.causes());
    all.extend(error.context().iter().map(|(name, value)| format!("{name}: {value}")));
    all.extend(error.remedy().map(str::to_owned));
    all.join("\n")
}

/// Fails unless the error is one of the file, of the context, or of a command.
pub(super) fn check_failure(error: Error, line: Option<u64>, exit_code: Option<i64>) -> CaseResult {
    let is_about_the_file = matches!(
        error.kind(),
        ErrorKind::BuildFailed
            | ErrorKind::InvalidDockerfile
            | ErrorKind::InvalidInput
            | ErrorKind::NotFound
    );
    if !is_about_the_file {
        return Err(unsupported_or(error));
    }
    let fact = |name: &str| {
        error.context().iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    };
    if let (Some(line), Some(location)) = (line, fact("location")) {
        let found = location.split(':').nth(1).and_then(|part| part.parse::<u64>().ok());
        expect!(found == Some(line), "the error is at `{location}` and should be in line {line}");
    }
    if let Some(code) = exit_code {
        let found = fact("exit code");
        expect!(found == Some(code.to_string()), "the exit code is {found:?} and should be {code}");
    }
    Ok(())
}

/// Returns a request for the folder `folder`, under a new name.
pub(super) fn request_for(cx: &Cx, folder: &Path) -> CaseResult<BuildRequest> {
    let mut request = cx.new_request(ContextSource::Folder(folder.to_owned()))?;
    // The case is written for a builder whose caches are empty.
    let namespace = ("BUILDKIT_CACHE_MOUNT_NS".to_owned(), cx.slug().to_owned());
    request.build_args.extend([namespace]);
    Ok(request)
}
