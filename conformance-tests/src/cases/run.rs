//! `RUN`: what it sees, what it leaves, and how it fails.

use boxwright_core::{
    CaBundle, CacheUse, Capability, ErrorKind, ExtraHost, Feature, HostAddress, NetworkMode,
    StepResult,
};

use super::{RUN, RUN_ONLY, expect_mentions};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "run/keeps-what-it-wrote",
        promise: "what RUN writes, changes and removes is in the image",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(keeps_what_it_wrote(cx)),
    },
    Case {
        id: "run/exec-form",
        promise: "the JSON form of RUN starts a program without a shell",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(exec_form(cx)),
    },
    Case {
        id: "run/joined-lines",
        promise: "lines that end in a backslash are one command, with remarks and blank lines left out",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(joined_lines(cx)),
    },
    Case {
        id: "run/here-document",
        promise: "RUN <<NAME runs the here-document as a script",
        needs: RUN,
        features: &[Feature::Heredoc],
        run: |cx| Box::pin(here_document(cx)),
    },
    Case {
        id: "run/sees-the-config",
        promise: "RUN sees ENV, ARG, WORKDIR and USER",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(sees_the_config(cx)),
    },
    Case {
        id: "run/removes-a-folder",
        promise: "a folder of the base that RUN removes and makes again has nothing old in it",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(removes_a_folder(cx)),
    },
    Case {
        id: "run/modes-and-owners",
        promise: "modes and owners that RUN sets are in the image",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(modes_and_owners(cx)),
    },
    Case {
        id: "run/output-is-reported",
        promise: "what a step writes to standard output and standard error reaches the events",
        needs: &[Capability::Build, Capability::BuildRun],
        features: &[],
        run: |cx| Box::pin(output_is_reported(cx)),
    },
    Case {
        id: "run/exit-code",
        promise: "a step that fails gives its exit code and itself, as error and as event, and tags nothing",
        needs: RUN_ONLY,
        features: &[],
        run: |cx| Box::pin(exit_code(cx)),
    },
    Case {
        id: "run/missing-program",
        promise: "a step whose program is not there fails as a step, with exit code 127",
        needs: RUN_ONLY,
        features: &[],
        run: |cx| Box::pin(missing_program(cx)),
    },
    Case {
        id: "run/extra-hosts",
        promise: "hosts that are added to the build are in /etc/hosts of its steps, and not in the image",
        needs: &[
            Capability::Build,
            Capability::BuildRun,
            Capability::Export,
            Capability::BuildExtraHosts,
        ],
        features: &[],
        run: |cx| Box::pin(extra_hosts(cx)),
    },
    Case {
        id: "run/no-network",
        promise: "with the network `none` a step has no interface but the loopback one",
        needs: &[Capability::Build, Capability::BuildRun, Capability::BuildNetwork],
        features: &[],
        run: |cx| Box::pin(no_network(cx)),
    },
    Case {
        id: "run/ca-bundle",
        promise: "a step trusts the given authorities beside those of its image, and nothing of them stays in it",
        needs: &[
            Capability::Build,
            Capability::BuildRun,
            Capability::Export,
            Capability::BuildCaBundle,
        ],
        features: &[],
        run: |cx| Box::pin(ca_bundle(cx)),
    },
];

async fn keeps_what_it_wrote(cx: Cx) -> CaseResult {
    cx.write("old", 0o644, "old")?;
    cx.write("gone", 0o644, "gone")?;
    let text = format!(
        "FROM {}\nCOPY old gone /to/\nRUN echo new > /to/new && echo more >> /to/old && rm /to/gone\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.names_in("/to"), ["new", "old"]);
    expect_eq!(image.text("/to/new").await?, "new\n");
    expect_eq!(image.text("/to/old").await?, "oldmore\n");
    Ok(())
}

async fn exec_form(cx: Cx) -> CaseResult {
    let text = format!("FROM {}\nRUN [\"touch\", \"/a $HOME b\"]\n", cx.base()?);
    let image = cx.build(&text).await?;
    image.file("/a $HOME b")?;
    Ok(())
}

async fn joined_lines(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN echo one > /out \\\n  # a remark\n\n  && echo two >> /out \\\n  && echo three >> /out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/out").await?, "one\ntwo\nthree\n");
    Ok(())
}

async fn here_document(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN <<END\necho one > /out\nname=two\necho $name >> /out\nEND\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/out").await?, "one\ntwo\n");
    Ok(())
}

async fn sees_the_config(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nENV variable=1\nARG argument=2\nRUN mkdir /work && chown 33:33 /work\n\
         WORKDIR /work\nUSER www-data\n\
         RUN echo \"$variable $argument $(pwd) $(id -u) $(id -g)\" > out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/work/out").await?, "1 2 /work 33 33\n");
    let out = image.file("/work/out")?;
    expect_eq!((out.uid, out.gid), (33, 33));
    Ok(())
}

async fn removes_a_folder(cx: Cx) -> CaseResult {
    cx.write("tree/deep/file", 0o644, "x")?;
    let text =
        format!("FROM {}\nCOPY tree /tree\nRUN rm -rf /tree && mkdir -p /tree/new\n", cx.base()?);
    let image = cx.build(&text).await?;
    expect_eq!(image.names_in("/tree"), ["new"]);
    Ok(())
}

async fn modes_and_owners(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN touch /file && chmod 4750 /file && chown 1001:1002 /file\n\
         RUN mkdir /folder && chmod 1777 /folder\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    let file = image.file("/file")?;
    expect_eq!((file.uid, file.gid), (1001, 1002));
    expect_eq!(image.folder("/folder")?.mode, 0o1777);
    Ok(())
}

async fn output_is_reported(cx: Cx) -> CaseResult {
    // The words are put together by the step, so that they are not those of the command itself.
    let command = "printf 'to-%s\\n' stdout && printf 'to-%s\\n' stderr >&2";
    let mut request = cx.request(&format!("FROM {}\nRUN {command}\n", cx.base()?))?;
    // A step that is taken from the cache writes nothing.
    request.cache = CacheUse::Ignore;
    let attempt = cx.attempt(&request).await;
    attempt.result?;
    let written = attempt.log.step_output();
    expect!(written.contains("to-stdout"), "standard output is not in {written:?}");
    expect!(written.contains("to-stderr"), "standard error is not in {written:?}");
    Ok(())
}

async fn exit_code(cx: Cx) -> CaseResult {
    let request = cx.request(&format!("FROM {}\nRUN echo first && exit 42\n", cx.base()?))?;
    let attempt = cx.attempt(&request).await;
    let error = crate::expect_error!(attempt.result, ErrorKind::BuildFailed);
    let fact = |name: &str| {
        error.context().iter().find(|(fact, _)| *fact == name).map(|(_, value)| value.as_str())
    };
    expect_eq!(fact("exit code"), Some("42"));
    let step = fact("step").unwrap_or_default();
    expect!(step.contains("exit 42"), "the error's step is `{step}`");
    match attempt.log.result_of("exit 42") {
        Some(StepResult::Failed { exit_code, .. }) => expect_eq!(*exit_code, Some(42)),
        other => expect!(false, "the step ended as {other:?}"),
    }
    cx.expect_absent(&request.tags).await
}

async fn missing_program(cx: Cx) -> CaseResult {
    let request = cx.request(&format!("FROM {}\nRUN no-such-program\n", cx.base()?))?;
    let attempt = cx.attempt(&request).await;
    let error = crate::expect_error!(attempt.result, ErrorKind::BuildFailed);
    expect_mentions(&error, "127")?;
    cx.expect_absent(&request.tags).await
}

async fn extra_hosts(cx: Cx) -> CaseResult {
    let text =
        format!("FROM {}\nRUN grep '10.11.12.13.*added.test' /etc/hosts > /out\n", cx.base()?);
    let mut request = cx.request(&text)?;
    let address = HostAddress::Ip([10, 11, 12, 13].into());
    request.extra_hosts = vec![ExtraHost { name: "added.test".to_owned(), address }];
    let image = cx.build_from(&request).await?;
    expect!(image.text("/out").await?.contains("added.test"), "the host is not there");
    if image.has("/etc/hosts") {
        let hosts = image.text("/etc/hosts").await?;
        expect!(!hosts.contains("added.test"), "the host is in the image: {hosts:?}");
    }
    Ok(())
}

async fn ca_bundle(cx: Cx) -> CaseResult {
    const OURS: &str = "-----BEGIN CERTIFICATE-----\nT1VSUw==\n-----END CERTIFICATE-----\n";
    const PLACE: &str = "/etc/ssl/certs/ca-certificates.crt";
    cx.write("theirs", 0o644, "theirs\n")?;
    // The history has the command, so that is not to have the word as it is.
    let text = format!(
        "FROM {}\nCOPY theirs {PLACE}\nRUN for file in {PLACE} $SSL_CERT_FILE $REQUESTS_CA_BUNDLE $PIP_CERT \
         $CURL_CA_BUNDLE $GIT_SSL_CAINFO; do grep -q theirs $file && grep -q T1V''SUw== $file && echo both >> /out \
         || exit 1; done; grep -q T1V''SUw== $NODE_EXTRA_CA_CERTS\n",
        cx.base()?
    );
    let mut session = cx.session();
    session.ca_bundle = Some(CaBundle::parse(OURS.into())?);
    let request = cx.request(&text)?;
    let output = cx.attempt_in(&request, session).await.result?;
    let image = cx.read(output.id).await?;
    expect_eq!(image.text("/out").await?, "both\n".repeat(6));
    expect_eq!(image.text(PLACE).await?, "theirs\n");
    for (what, bytes) in image.all_bytes().await? {
        for word in ["T1VSUw==", "boxwright-ca-bundle"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            expect!(!found, "`{word}` is in {what}");
        }
    }
    Ok(())
}

async fn no_network(cx: Cx) -> CaseResult {
    let text = format!("FROM {}\nRUN ! grep -q eth0: /proc/net/dev\n", cx.base()?);
    let mut request = cx.request(&text)?;
    request.network = NetworkMode::None;
    cx.attempt(&request).await.result?;
    Ok(())
}
