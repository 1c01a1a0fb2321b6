//! The corpora as the runner reads them, and the documents of the image specification, kept outside the repository.

use std::path::Path;

use boxwright_conformance::Runnable as _;
use boxwright_conformance::corpus::schema::Schemas;
use boxwright_conformance::corpus::{Corpora, NameMap};
use boxwright_image::config::ImageConfig;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;

fn main() {
    let trials = match boxwright_testkit::corpora() {
        Ok(folder) => trials(&folder),
        Err(reason) => {
            vec![Trial::ignorable_test("corpus", move || Ok(Completion::ignored_with(reason)))]
        }
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trials(folder: &Path) -> Vec<Trial> {
    let corpora = Corpora::read(folder, NameMap::default());
    let mut trials: Vec<Trial> = corpora
        .cases
        .into_iter()
        .map(|case| {
            let name = format!("read/{}", case.id());
            Trial::test(name, move || case.broken().map_or(Ok(()), |why| Err(why.into())))
        })
        .collect();
    trials.extend(documents(&folder.join("oci-image-spec-schema")));
    trials
}

/// Documents that the schemas accept or refuse, and configs of older images, which are accepted too.
fn documents(folder: &Path) -> Vec<Trial> {
    let schemas = Schemas::read(folder).expect("the schemas can be read").expect("they are there");
    let schemas = std::sync::Arc::new(schemas);
    let text = std::fs::read_to_string(folder.join("cases.json")).expect("the cases can be read");
    let index: Value = serde_json::from_str(&text).expect("the cases are JSON");
    let list = |name: &str| index[name].as_array().expect("a list").clone();
    let mut trials = Vec::new();
    for (number, case) in list("cases").into_iter().enumerate() {
        let schemas = schemas.clone();
        trials.push(Trial::test(format!("schema/{number}"), move || {
            let kind = case["kind"].as_str().expect("a kind");
            let document = case["document"].as_str().expect("a document");
            let must_fail = case["fail"].as_bool().expect("whether it is refused");
            let problem = match serde_json::from_str(document) {
                Ok(document) => schemas.problem(kind, &document).map_err(|it| it.to_string())?,
                Err(error) => Some(error.to_string()),
            };
            match (must_fail, problem) {
                (true, None) => Err(Failed::from(format!("{kind} is accepted: {document}"))),
                (false, Some(problem)) => Err(format!("{kind} is refused: {problem}").into()),
                _ => Ok(()),
            }
        }));
    }
    for (number, case) in list("docker_configs").into_iter().enumerate() {
        trials.push(Trial::test(format!("docker-config/{number}"), move || {
            let config = case["config"].as_str().expect("a config");
            let read = ImageConfig::parse(config.as_bytes()).map_err(|error| error.to_string())?;
            match read.platform() {
                Some(_) => Ok(()),
                None => Err("it names no platform".into()),
            }
        }));
    }
    trials
}
