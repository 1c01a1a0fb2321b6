//! The suite against the fake engine: a sound one passes everywhere, and every defect is noticed.

use std::time::Duration;

use boxwright_conformance::{Case, Outcome, Run, Verdict, cases, command, probes};
use boxwright_core::Host;
use boxwright_testkit::{Defect, FakeEngine};

fn all_cases() -> Vec<Case> {
    cases::all().chain(probes::PROBES).copied().collect()
}

async fn run(cases: Vec<Case>, defects: Vec<Defect>) -> Vec<Outcome> {
    let host = Host::system();
    // A build that goes on although it was cancelled ends with the time of its case.
    let is_stuck = defects.contains(&Defect::IgnoresCancel);
    let engine = FakeEngine::with_defects(defects).expect("there is room for a store");
    let columns = command::fake_with(engine, &host).await.expect("there are ports for registries");
    assert_eq!(columns.ready.len(), 1);
    let mut run = Run::new(cases, columns.ready);
    if is_stuck {
        (run.limit, run.grace) = (Duration::from_secs(3), Duration::from_secs(1));
    }
    run.run(&host, |_| ()).await
}

fn failed(outcomes: &[Outcome]) -> Vec<String> {
    let failed = outcomes.iter().filter(|outcome| outcome.verdict.is_failure());
    failed.map(|it| format!("{}: {}", it.case, it.verdict.detail().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_engine_keeps_every_promise() {
    let outcomes = run(all_cases(), Vec::new()).await;
    assert_eq!(failed(&outcomes), Vec::<String>::new());
    let passed = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Pass).count();
    assert!(passed >= 100, "{passed} passed");
    // One more: whether anything is left.
    assert_eq!(outcomes.len(), all_cases().len() + 1);
}

/// The cases that must notice a defect. Others may notice it too.
fn noticed_by(defect: Defect) -> &'static [&'static str] {
    match defect {
        Defect::ForgetsModes => &["copy/keeps-file-mode", "copy/chmod"],
        Defect::ForgetsOwners => &["copy/chown-by-number", "copy/chown-by-name"],
        Defect::FollowsLinks => &["copy/keeps-links"],
        Defect::IgnoresIgnoreFile => &["ignore/excludes", "ignore/exceptions"],
        Defect::ForgetsBuildArguments => &["args/given", "cache/changed-argument"],
        Defect::KeepsBuildArguments => &["args/not-in-the-image"],
        Defect::IgnoresTarget => &["stages/target", "stages/unknown-target"],
        Defect::ForgetsWhiteouts => &["run/keeps-what-it-wrote", "run/removes-a-folder"],
        Defect::TagsFailures => &["failures/keeps-the-old-image"],
        Defect::ForgetsExitCodes => &["run/exit-code"],
        Defect::KeepsSecrets => &["secrets/nowhere-in-the-image", "secrets/seen-by-its-step"],
        Defect::TellsSecrets => &["secrets/nowhere-in-the-image"],
        Defect::ForgetsLabels => &["naming/labels-of-the-request"],
        Defect::ForgetsTags => &["naming/several-tags"],
        Defect::NeverCaches => &["cache/second-build", "cache/changed-file"],
        Defect::AlwaysCaches => &["cache/changed-file", "cache/changed-mode"],
        Defect::IgnoresCancel => &["cancel/build"],
        Defect::MixesStreams => &["container/output"],
        Defect::ForgetsStatus => &["container/exit-code"],
        Defect::AppliesArchiveNames => &["archive/names-are-not-applied"],
        Defect::Boasts => &["declares/build-from-tar"],
        Defect::Understates => &["run/here-document", "copy/here-document"],
        Defect::SaysNothing => &["failures/unreachable-registry", "push/wrong-password"],
        Defect::LiesAboutDigests => &["push/new"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_defect_is_noticed() {
    for &defect in Defect::ALL {
        let wanted = noticed_by(defect);
        let cases: Vec<_> =
            all_cases().into_iter().filter(|case| wanted.contains(&case.id)).collect();
        assert_eq!(cases.len(), wanted.len(), "{defect:?}: a case has another name");
        let outcomes = run(cases, vec![defect]).await;
        for outcome in outcomes.iter().take(wanted.len()) {
            let verdict = &outcome.verdict;
            assert!(matches!(verdict, Verdict::Fail { .. }), "{defect:?}: {outcome:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_panics_or_hangs_fails_and_is_cleaned_up() {
    let case = |id, run| Case { id, promise: "a promise", needs: &[], features: &[], run };
    let cases = vec![
        case("suite/panics", |cx| {
            Box::pin(async move {
                cx.build("FROM scratch\nLABEL a=1\n").await?;
                panic!("on purpose");
            })
        }),
        case("suite/hangs", |cx| {
            Box::pin(async move {
                cx.build("FROM scratch\nLABEL a=2\n").await?;
                cx.cancel().cancelled().await;
                Ok(())
            })
        }),
    ];
    let host = Host::system();
    let columns = command::fake(&host).await.unwrap();
    let engine = columns.ready[0].engine.clone();
    let mut run = Run::new(cases, columns.ready);
    // Long enough for a build on a busy machine.
    run.limit = Duration::from_secs(5);
    let outcomes = run.run(&host, |_| ()).await;
    let reasons: Vec<_> = outcomes.iter().filter_map(|it| it.verdict.detail()).collect();
    assert_eq!(outcomes.len(), 3);
    assert_eq!(outcomes[2].verdict, Verdict::Pass);
    assert!(reasons[0].contains("panicked: on purpose"), "{reasons:?}");
    assert!(reasons[1].contains("within 5 seconds"), "{reasons:?}");
    let left = engine.list(&boxwright_core::Session::new(host)).await.unwrap();
    assert_eq!(left, []);
}
