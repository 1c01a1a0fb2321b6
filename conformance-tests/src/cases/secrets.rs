//! Secrets: there during the step that asks for them, and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwright_core::{BuildRequest, Capability, ErrorKind, Feature, Secret, Session};

use super::expect_mentions;
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::{expect, expect_eq, leak};

const NEEDS: &[Capability] =
    &[Capability::Build, Capability::BuildRun, Capability::Export, Capability::BuildSecrets];
const MOUNT: &[Feature] = &[Feature::MountSecret];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "secrets/seen-by-its-step",
        promise: "a secret is a file below /run/secrets for the step that mounts it, and for no other",
        needs: NEEDS,
        features: MOUNT,
        run: |cx| Box::pin(seen_by_its_step(cx)),
    },
    Case {
        id: "secrets/target-and-mode",
        promise: "a secret may be mounted elsewhere, with a mode",
        needs: NEEDS,
        features: MOUNT,
        run: |cx| Box::pin(target_and_mode(cx)),
    },
    Case {
        id: "secrets/nowhere-in-the-image",
        promise: "a secret's value is in no layer, config, history, manifest or event, in no form (threat 37)",
        needs: NEEDS,
        features: MOUNT,
        run: |cx| Box::pin(nowhere_in_the_image(cx)),
    },
    Case {
        id: "secrets/nowhere-in-the-engine",
        promise: "after a build a secret's value is in no file of the engine, its logs included",
        needs: &[Capability::Build, Capability::BuildRun, Capability::BuildSecrets],
        features: MOUNT,
        run: |cx| Box::pin(nowhere_in_the_engine(cx)),
    },
    Case {
        id: "secrets/bytes-arrive-unchanged",
        promise: "a secret may hold any bytes",
        needs: NEEDS,
        features: MOUNT,
        run: |cx| Box::pin(bytes_arrive_unchanged(cx)),
    },
    Case {
        id: "secrets/required",
        promise: "a step that requires a secret nobody gave fails and names it",
        needs: &[Capability::Build, Capability::BuildRun, Capability::List],
        features: MOUNT,
        run: |cx| Box::pin(required(cx)),
    },
    Case {
        id: "secrets/not-in-the-session",
        promise: "a request for a secret that the session has not is refused before anything is built",
        needs: &[Capability::Build, Capability::BuildSecrets],
        features: &[],
        run: |cx| Box::pin(not_in_the_session(cx)),
    },
];

/// How long the data of all engines may be searched.
const SEARCH: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes that cannot be in an image by chance, with some that every encoding changes.
const VALUE: &str = "s3cr3t-+/?&=%~value-of-the-conformance-suite";

fn with_secret(cx: &Cx, value: &[u8], request: &mut BuildRequest) -> Session {
    let mut session = cx.session();
    let secret = Secret::new(value.to_vec());
    session.secrets = Arc::new(BTreeMap::from([("token".to_owned(), secret)]));
    request.secrets = vec!["token".to_owned()];
    session
}

/// The case writes the value into the image itself, by its own words or on purpose.
fn allow_in_image(request: &mut BuildRequest) {
    request.allow_secret_in_layer.push("token".to_owned());
}

async fn seen_by_its_step(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = '{VALUE}' \
         && echo seen > /one\nRUN test ! -s /run/secrets/token && echo gone > /two\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    allow_in_image(&mut request);
    let session = with_secret(&cx, VALUE.as_bytes(), &mut request);
    let output = cx.attempt_in(&request, session).await.result?;
    let image = cx.read(output.id).await?;
    expect_eq!(image.text("/one").await?, "seen\n");
    expect_eq!(image.text("/two").await?, "gone\n");
    Ok(())
}

async fn target_and_mode(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=token,target=/secret,mode=0444 \
         test \"$(cat /secret)\" = '{VALUE}' && stat -c %a /secret > /out\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    allow_in_image(&mut request);
    let session = with_secret(&cx, VALUE.as_bytes(), &mut request);
    let output = cx.attempt_in(&request, session).await.result?;
    expect_eq!(cx.read(output.id).await?.text("/out").await?, "444\n");
    Ok(())
}

async fn nowhere_in_the_image(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=token cat /run/secrets/token > /dev/null\nRUN echo > /x\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    let session = with_secret(&cx, VALUE.as_bytes(), &mut request);
    let attempt = cx.attempt_in(&request, session).await;
    let image = cx.read(attempt.result?.id).await?;
    for (what, bytes) in image.all_bytes().await? {
        let found = leak::find(VALUE.as_bytes(), &bytes);
        expect!(found.is_none(), "the secret is in {what}, {}", found.unwrap_or_default());
    }
    let found = leak::find(VALUE.as_bytes(), attempt.log.as_text().as_bytes());
    expect!(found.is_none(), "the secret is in the events, {}", found.unwrap_or_default());
    // An empty file where the secret was mounted is all that may be left.
    if image.has("/run/secrets/token") {
        let left = image.bytes("/run/secrets/token").await?;
        expect!(left.is_empty(), "the place of the secret has {} bytes", left.len());
    }
    Ok(())
}

async fn bytes_arrive_unchanged(cx: Cx) -> CaseResult {
    // Copied away on purpose: what arrived is what is looked at.
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=token cp /run/secrets/token /copy\n",
        cx.base()?
    );
    let bytes: Vec<u8> = (0..=255).chain([0, 10, 13, 10]).collect();
    let mut request = cx.request(&text)?;
    allow_in_image(&mut request);
    let session = with_secret(&cx, &bytes, &mut request);
    let output = cx.attempt_in(&request, session).await.result?;
    let arrived = cx.read(output.id).await?.bytes("/copy").await?;
    expect!(arrived == bytes, "{} bytes arrived, others than were sent", arrived.len());
    Ok(())
}

async fn required(cx: Cx) -> CaseResult {
    let text =
        format!("FROM {}\nRUN --mount=type=secret,id=absent,required=true true\n", cx.base()?);
    let request = cx.request(&text)?;
    let attempt = cx.attempt(&request).await;
    let error = crate::expect_error!(
        attempt.result,
        ErrorKind::BuildFailed | ErrorKind::NotFound | ErrorKind::InvalidInput
    );
    expect_mentions(&error, "absent")?;
    cx.expect_absent(&request.tags).await
}

async fn not_in_the_session(cx: Cx) -> CaseResult {
    let mut request = cx.request("FROM scratch\nLABEL a=1\n")?;
    request.secrets = vec!["nobody-has-it".to_owned()];
    let error = crate::expect_error!(cx.attempt(&request).await.result, ErrorKind::InvalidInput);
    expect_mentions(&error, "nobody-has-it")
}

async fn nowhere_in_the_engine(cx: Cx) -> CaseResult {
    let Some(folder) = cx.environment().folder().map(std::path::Path::to_owned) else {
        return Err(Failure::Refused {
            reason: "where the engine has its data is not known".to_owned(),
            remedy: "run under `cargo xtask environment up`".to_owned(),
        });
    };
    let words: String = cx.slug().chars().filter(char::is_ascii_alphanumeric).collect();
    let (canary, marker) = (format!("canary-{words}-secret"), format!("marker-{words}-file"));
    // What the search must find, as a step writes it; the Dockerfile has it in two pieces.
    let (head, tail) = marker.split_at(9);
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=token grep -q canary /run/secrets/token && cp /run/secrets/token /dev/shm/copy \
         && echo '{head}''{tail}' > /marker\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    let session = with_secret(&cx, canary.as_bytes(), &mut request);
    cx.attempt_in(&request, session).await.result?;
    let found = search(&cx, &folder, &[marker.into_bytes()]).await?;
    expect!(!found.is_empty(), "the search finds nothing at all of the image");
    let places = found.iter().filter_map(|file| file.split('/').next());
    let places: std::collections::BTreeSet<&str> = places.collect();
    cx.note(format!("searched {}", places.into_iter().collect::<Vec<_>>().join(", ")));
    let forms = leak::forms(canary.as_bytes()).into_iter().map(|(_, form)| form);
    let leaks = search(&cx, &folder, &forms.collect::<Vec<_>>()).await?;
    expect!(leaks.is_empty(), "the secret is in {leaks:?}");
    Ok(())
}

/// Returns the files below `folder` that hold one of `words`.
async fn search(cx: &Cx, folder: &std::path::Path, words: &[Vec<u8>]) -> CaseResult<Vec<String>> {
    let words: Vec<String> =
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let shown = folder.display().to_string();
    let mut arguments = vec!["--recursive", "--files-with-matches", "--text", "--fixed-strings"];
    arguments.extend(["--devices=skip", "--no-messages"]);
    arguments.extend(words.iter().flat_map(|word| ["-e", word.as_str()]));
    arguments.push(&shown);
    let output = cx.host().output("grep", &arguments, SEARCH).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let below = |file: &str| file.strip_prefix(&shown).unwrap_or(file).trim_matches('/').to_owned();
    Ok(text.lines().map(below).collect())
}
