//! What an engine's own builders and the portable one make of the same case: for information, not a verdict.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_image::compare::{Comparison, Difference, Seen};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Image;
use crate::case::CaseResult;
use crate::column::Column;
use crate::cx::{Cx, LABEL};
use crate::runner::Outcome;

/// How many files of a build are written down.
const FILES: usize = 10;

/// What one native column and the portable one of the same engine made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The column with a builder of the engine's own.
    pub native: String,
    /// The column with the portable builder.
    pub portable: String,
    /// How many builds were compared: those whose image the case read on both columns.
    pub builds: usize,
    /// The builds that differ in a field of the config or in a file. Times are not compared.
    pub differ: Vec<Differing>,
}

/// A build whose two images differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// The case.
    pub case: String,
    /// Which of its builds, from 1.
    pub build: usize,
    /// In what: fields of the config, and aspects of files.
    pub kinds: BTreeSet<String>,
    /// What differs: the native image's first.
    pub differences: Vec<String>,
}

/// Returns the pairs of columns that build natively and portably at one endpoint.
pub(crate) fn pairs(columns: &[Column]) -> Vec<(&Column, &Column)> {
    let natives = columns.iter().filter(|column| !column.is_portable());
    let partner = |native: &&Column| {
        let endpoint = &native.engine.info().endpoint;
        columns.iter().find(|it| it.is_portable() && &it.engine.info().endpoint == endpoint)
    };
    natives.filter_map(|native| Some((native, partner(&native)?))).collect()
}

/// Returns what was seen of the images that a case built and read, by the number of the build.
///
/// # Errors
///
/// As [`Image::documents`].
pub(crate) async fn seen(cx: &Cx) -> CaseResult<BTreeMap<usize, Seen>> {
    let images = cx.images();
    let mut seen = BTreeMap::new();
    for (number, made) in cx.builds().into_iter().enumerate() {
        let Some(made) = made else { continue };
        if let Some(image) = images.iter().find(|it| it.manifest().config.digest == made.id) {
            seen.insert(number + 1, seen_of(image).await?);
        }
    }
    Ok(seen)
}

async fn seen_of(image: &Image) -> CaseResult<Seen> {
    let [_, config] = image.documents().await?;
    let mut config: Value = serde_json::from_slice(&config).unwrap_or_default();
    // The suite's own label says which column it is.
    if let Some(labels) = config["config"]["Labels"].as_object_mut() {
        labels.remove(LABEL);
    }
    Ok(Seen::new(config.to_string().as_bytes(), image.tree())?)
}

/// Compares all builds of all pairs.
pub(crate) fn compare(columns: &[Column], outcomes: &[Outcome]) -> Vec<Pair> {
    let compared = pairs(columns).into_iter().map(|(native, portable)| {
        let mut pair = Pair {
            native: native.name.clone(),
            portable: portable.name.clone(),
            ..Pair::default()
        };
        let of = |column: &Column| {
            let of_it = outcomes.iter().filter(|it| it.column == column.name);
            of_it.map(|it| (it.case.as_str(), &it.seen)).collect::<BTreeMap<_, _>>()
        };
        let others = of(portable);
        for (case, natives) in of(native) {
            for (&build, first) in natives {
                if let Some(second) = others.get(case).and_then(|seen| seen.get(&build)) {
                    pair.add(case, build, &Comparison::between(first, second));
                }
            }
        }
        pair
    });
    compared.collect()
}

impl Pair {
    fn add(&mut self, case: &str, build: usize, compared: &Comparison) {
        self.builds += 1;
        if compared.is_same() {
            return;
        }
        let mut kinds: BTreeSet<String> =
            compared.config.iter().map(|it| it.what.clone()).collect();
        kinds.extend(compared.files.iter().flat_map(aspects).map(str::to_owned));
        let shown = compared.config.iter().chain(compared.files.iter().take(FILES));
        let differences = shown.map(ToString::to_string).collect();
        self.differ.push(Differing { case: case.to_owned(), build, kinds, differences });
    }

    /// Says what was found in a few lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Self { native, portable, builds, differ } = self;
        let same = builds - differ.len();
        let mut lines = vec![format!(
            "{native} and {portable}: {same} of {builds} builds have the same files and config"
        )];
        let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for build in differ {
            for kind in &build.kinds {
                kinds.entry(kind).or_default().insert(&build.case);
            }
        }
        lines.extend(kinds.into_iter().map(|(kind, cases)| {
            let cases: Vec<&str> = cases.into_iter().collect();
            format!("  {kind}: {}", cases.join(", "))
        }));
        lines
    }
}

/// Returns what of a file differs.
fn aspects(difference: &Difference) -> Vec<&'static str> {
    let (first, second) = match (&difference.first, &difference.second) {
        (Some(first), Some(second)) => (Parts::of(first), Parts::of(second)),
        (Some(_), None) => return vec!["files of the native image alone"],
        (None, _) => return vec!["files of the portable image alone"],
    };
    let all = [
        ("what files are, or hold", first.what != second.what),
        ("modes of files", first.mode != second.mode),
        ("owners of files", first.owner != second.owner),
        ("attributes of files", first.attributes != second.attributes),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}

/// A file as [`Difference`] describes it: what it is, mode, owner, attributes.
struct Parts<'t> {
    what: &'t str,
    mode: &'t str,
    owner: &'t str,
    attributes: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Self {
        // Four digits between commas; the owner always follows.
        let is_mode = |part: &str| {
            let digits = part.strip_suffix(", ").unwrap_or_default();
            digits.len() == 4 && digits.bytes().all(|it| it.is_ascii_digit())
        };
        let mut starts = text.match_indices(", ").map(|(at, _)| at);
        let at = starts.find(|&at| is_mode(text.get(at + 2..at + 8).unwrap_or_default()));
        let (what, rest) = text.split_at(at.unwrap_or(text.len()));
        let mut rest = rest.trim_start_matches(", ").splitn(3, ", ");
        let mut next = || rest.next().unwrap_or_default();
        Self { what, mode: next(), owner: next(), attributes: next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(first: Option<&str>, second: Option<&str>) -> Difference {
        let (first, second) = (first.map(str::to_owned), second.map(str::to_owned));
        Difference { what: "/a".to_owned(), first, second }
    }

    #[test]
    fn what_differs_of_a_file_is_told_by_aspect() {
        let file = "file of 1 bytes, 0123456789ab, 0644, 0:0";
        let of = |other: &str| aspects(&difference(Some(file), Some(other)));
        assert_eq!(
            of("file of 1 bytes, 0123456789ab, 0755, 0:5"),
            ["modes of files", "owners of files"]
        );
        assert_eq!(of("folder, 0644, 0:0"), ["what files are, or hold"]);
        assert_eq!(of(&format!("{file}, user.a=b")), ["attributes of files"]);
        assert_eq!(aspects(&difference(None, Some(file))), ["files of the portable image alone"]);
        assert_eq!(aspects(&difference(Some(file), None)), ["files of the native image alone"]);
    }

    #[test]
    fn builds_are_counted_and_cases_named_by_what_differs() {
        let mut pair = Pair { native: "n".into(), portable: "p".into(), ..Pair::default() };
        pair.add("a/b", 1, &Comparison::default());
        let config =
            vec![Difference { what: "config.Cmd".into(), first: None, second: Some("1".into()) }];
        let files = vec![difference(None, Some("folder, 0755, 0:0"))];
        pair.add("a/c", 2, &Comparison { config, files });
        assert_eq!(
            pair.lines(),
            [
                "n and p: 1 of 2 builds have the same files and config",
                "  config.Cmd: a/c",
                "  files of the portable image alone: a/c"
            ]
        );
        assert_eq!(pair.differ[0].differences[0], "config.Cmd: nothing against 1");
    }
}
