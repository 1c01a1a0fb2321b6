//! `run`: a command in an image.

use boxwright_core::{Capability, ErrorKind, LocalImage, OutputStream, RunRequest};

use super::expect_explained;
use crate::case::{Case, CaseResult};
use crate::cx::{Attempt, Cx};
use crate::{expect, expect_eq, expect_error};

const NEEDS: &[Capability] = &[Capability::Build, Capability::Run];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "container/output",
        promise: "standard output and standard error of a command arrive apart and whole",
        needs: NEEDS,
        features: &[],
        run: |cx| Box::pin(output(cx)),
    },
    Case {
        id: "container/exit-code",
        promise: "the exit code of a command is an outcome, not an error",
        needs: NEEDS,
        features: &[],
        run: |cx| Box::pin(exit_code(cx)),
    },
    Case {
        id: "container/the-images-own",
        promise: "a command runs with the image's ENTRYPOINT, CMD, ENV, USER and WORKDIR",
        needs: &[Capability::Build, Capability::BuildRun, Capability::Run],
        features: &[],
        run: |cx| Box::pin(the_images_own(cx)),
    },
    Case {
        id: "container/of-the-request",
        promise: "arguments, entrypoint, variables, user and folder of the request replace the image's",
        needs: NEEDS,
        features: &[],
        run: |cx| Box::pin(of_the_request(cx)),
    },
    Case {
        id: "container/changes-nothing",
        promise: "what a command writes is not in the image",
        needs: &[Capability::Build, Capability::Run, Capability::Export],
        features: &[],
        run: |cx| Box::pin(changes_nothing(cx)),
    },
    Case {
        id: "container/no-such-image",
        promise: "an image that is not there is not found, and not pulled",
        needs: &[Capability::Run],
        features: &[],
        run: |cx| Box::pin(no_such_image(cx)),
    },
];

async fn image(cx: &Cx, rest: &str) -> CaseResult<LocalImage> {
    let request = cx.request(&format!("FROM {}\n{rest}", cx.base()?))?;
    Ok(cx.attempt(&request).await.result?.id.into())
}

async fn run(cx: &Cx, request: &RunRequest) -> Attempt<boxwright_core::RunOutput> {
    let call = |session| async move { cx.engine().run(request, &session).await };
    cx.record(cx.session(), call).await
}

fn script(image: &LocalImage, script: &str) -> RunRequest {
    let mut request = RunRequest::new(image.clone());
    request.arguments = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    request
}

async fn output(cx: Cx) -> CaseResult {
    let image = image(&cx, "LABEL a=output\n").await?;
    let attempt =
        run(&cx, &script(&image, "echo to stdout; echo to stderr >&2; printf 'no line end'")).await;
    attempt.result?;
    expect_eq!(attempt.log.output(OutputStream::Stdout), "to stdout\nno line end");
    expect_eq!(attempt.log.output(OutputStream::Stderr), "to stderr\n");
    Ok(())
}

async fn exit_code(cx: Cx) -> CaseResult {
    let image = image(&cx, "LABEL a=exit\n").await?;
    for code in [0, 1, 42, 255] {
        let attempt = run(&cx, &script(&image, &format!("exit {code}"))).await;
        expect_eq!(attempt.result?.exit_code, code);
    }
    Ok(())
}

async fn the_images_own(cx: Cx) -> CaseResult {
    let rest = "ENV variable=1\nRUN mkdir /work\nWORKDIR /work\nUSER www-data\n\
                ENTRYPOINT [\"/bin/sh\", \"-c\"]\nCMD [\"echo $variable $(pwd) $(id -u) $(id -g)\"]\n";
    let attempt = run(&cx, &RunRequest::new(image(&cx, rest).await?)).await;
    expect_eq!(attempt.result?.exit_code, 0);
    expect_eq!(attempt.log.output(OutputStream::Stdout), "1 /work 33 33\n");
    Ok(())
}

async fn of_the_request(cx: Cx) -> CaseResult {
    let rest = "ENV variable=1 kept=2\nENTRYPOINT [\"echo\", \"the image's\"]\nCMD [\"own\"]\n";
    let image = image(&cx, rest).await?;
    let mut request = RunRequest::new(image.clone());
    request.arguments = vec!["other".to_owned()];
    let attempt = run(&cx, &request).await;
    attempt.result?;
    expect_eq!(attempt.log.output(OutputStream::Stdout), "the image's other\n");
    request.entrypoint = Some("/bin/sh".to_owned());
    request.arguments = ["-c", "echo $variable $kept $(pwd) $(id -u)"].map(str::to_owned).to_vec();
    request.environment.insert("variable".to_owned(), "of the request".to_owned());
    request.user = Some("1001".to_owned());
    request.working_directory = Some("/tmp".to_owned());
    let attempt = run(&cx, &request).await;
    attempt.result?;
    expect_eq!(attempt.log.output(OutputStream::Stdout), "of the request 2 /tmp 1001\n");
    Ok(())
}

async fn changes_nothing(cx: Cx) -> CaseResult {
    let image = image(&cx, "LABEL a=unchanged\n").await?;
    run(&cx, &script(&image, "echo x > /written")).await.result?;
    let after = cx.read(image).await?;
    expect!(!after.has("/written"), "the file is in the image");
    Ok(())
}

async fn no_such_image(cx: Cx) -> CaseResult {
    let registry = boxwright_testkit::FakeRegistry::open().await?;
    let request = RunRequest::new(cx.new_name(&registry.host())?.into());
    let error = expect_error!(run(&cx, &request).await.result, ErrorKind::NotFound);
    let requests = registry.requests();
    expect!(requests.is_empty(), "the registry was asked: {requests:?}");
    expect_explained(&error)
}
