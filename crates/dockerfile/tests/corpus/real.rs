//! `real-dockerfiles`: files of public images. Each must parse.

use boxwright_dockerfile::Dockerfile;
use boxwright_dockerfile::plan::Options;

use crate::plans::judge;
use crate::{Corpus, rows, same, text};

pub(crate) fn add(corpus: &mut Corpus) {
    let index = corpus.table("real-dockerfiles/index.json");
    for case in rows(&index["files"]) {
        let path = corpus.folder.join("real-dockerfiles").join(text(&case["path"]));
        corpus.row(format!("real/{}", text(&case["path"])), move || {
            let content = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let file = Dockerfile::parse(&content).map_err(|problems| {
                problems.iter().map(|it| it.render("Dockerfile", &content)).collect::<String>()
            })?;
            judge(&content, Options::default(), None)?;
            same(&u64::try_from(file.stages.len()).ok(), &case["stages"].as_u64())
        });
    }
}
