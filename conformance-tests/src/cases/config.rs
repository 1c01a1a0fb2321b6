//! Instructions that say how the image runs.

use boxwright_core::Feature;
use serde_json::json;

use super::{BUILD, RUN};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "config/command",
        promise: "CMD and ENTRYPOINT keep their JSON form, and get a shell in the other form",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(command(cx)),
    },
    Case {
        id: "config/entrypoint-resets-command",
        promise: "ENTRYPOINT takes away the CMD of the base, and not one of the same stage",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(entrypoint_resets_command(cx)),
    },
    Case {
        id: "config/workdir",
        promise: "WORKDIR makes the folder, follows variables, and is relative to the one before",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(workdir(cx)),
    },
    Case {
        id: "config/user",
        promise: "USER is kept as it is written",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(user(cx)),
    },
    Case {
        id: "config/ports",
        promise: "EXPOSE keeps ports with their protocol, which is tcp by default",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(ports(cx)),
    },
    Case {
        id: "config/volumes",
        promise: "VOLUME takes words and the JSON form",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(volumes(cx)),
    },
    Case {
        id: "config/stop-signal",
        promise: "STOPSIGNAL is kept",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(stop_signal(cx)),
    },
    Case {
        id: "config/labels",
        promise: "LABEL sets several labels, with quotes, and replaces those of the base",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(labels(cx)),
    },
    Case {
        id: "config/author",
        promise: "MAINTAINER is the author of the image",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(author(cx)),
    },
    Case {
        id: "config/shell",
        promise: "SHELL is what the shell form of later instructions is run by, and is kept",
        needs: RUN,
        features: &[Feature::Shell],
        run: |cx| Box::pin(shell(cx)),
    },
    Case {
        id: "config/healthcheck",
        promise: "HEALTHCHECK is kept with its times",
        needs: BUILD,
        features: &[Feature::Healthcheck],
        run: |cx| Box::pin(healthcheck(cx)),
    },
    Case {
        id: "config/onbuild",
        promise: "ONBUILD waits in the image, runs in a build from it, and is then gone",
        needs: BUILD,
        features: &[Feature::OnBuild],
        run: |cx| Box::pin(onbuild(cx)),
    },
    Case {
        id: "config/layers-agree",
        promise: "the config has one diff id for each layer of the manifest, and its platform",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(layers_agree(cx)),
    },
];

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

async fn command(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nENTRYPOINT [\"/program\", \"two words\"]\nCMD [\"-v\"]\n";
    let image = cx.build(text).await?;
    expect_eq!(image.config().config.entrypoint, words(&["/program", "two words"]));
    expect_eq!(image.config().config.cmd, words(&["-v"]));
    let image = cx.build("FROM scratch\nWORKDIR /w\nCMD echo $HOME && true\n").await?;
    expect_eq!(image.config().config.cmd, words(&["/bin/sh", "-c", "echo $HOME && true"]));
    Ok(())
}

async fn entrypoint_resets_command(cx: Cx) -> CaseResult {
    let text = "FROM scratch AS base\nWORKDIR /w\nCMD [\"old\"]\n\
                FROM base AS reset\nENTRYPOINT [\"/program\"]\n\
                FROM base\nCMD [\"new\"]\nENTRYPOINT [\"/program\"]\n";
    let image = cx.build(text).await?;
    expect_eq!(image.config().config.cmd, words(&["new"]));
    let mut request = cx.request(text)?;
    request.target = Some("reset".to_owned());
    let image = cx.build_from(&request).await?;
    let cmd = image.config().config.cmd.clone().unwrap_or_default();
    expect!(cmd.is_empty(), "CMD is still {cmd:?}");
    Ok(())
}

async fn workdir(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nENV name=two\nWORKDIR /one\nWORKDIR $name/three\nWORKDIR ../four\n";
    let image = cx.build(text).await?;
    expect_eq!(image.config().config.working_dir, "/one/two/four");
    let folder = image.folder("/one/two/four")?;
    expect_eq!((folder.mode, folder.uid, folder.gid), (0o755, 0, 0));
    Ok(())
}

async fn user(cx: Cx) -> CaseResult {
    let image = cx.build("FROM scratch\nWORKDIR /w\nARG id=1001\nUSER $id:1002\n").await?;
    expect_eq!(image.config().config.user, "1001:1002");
    Ok(())
}

async fn ports(cx: Cx) -> CaseResult {
    let image = cx
        .build("FROM scratch\nWORKDIR /w\nENV port=8080\nEXPOSE 80 53/udp\nEXPOSE $port\n")
        .await?;
    let ports: Vec<_> = image.config().config.exposed_ports.keys().map(String::as_str).collect();
    expect_eq!(ports, ["53/udp", "80/tcp", "8080/tcp"]);
    Ok(())
}

async fn volumes(cx: Cx) -> CaseResult {
    let image =
        cx.build("FROM scratch\nWORKDIR /w\nVOLUME /a /b\nVOLUME [\"/with space\"]\n").await?;
    let volumes: Vec<_> = image.config().config.volumes.keys().map(String::as_str).collect();
    expect_eq!(volumes, ["/a", "/b", "/with space"]);
    Ok(())
}

async fn stop_signal(cx: Cx) -> CaseResult {
    let image = cx.build("FROM scratch\nWORKDIR /w\nSTOPSIGNAL SIGUSR1\n").await?;
    expect_eq!(image.config().config.stop_signal.as_deref(), Some("SIGUSR1"));
    Ok(())
}

async fn labels(cx: Cx) -> CaseResult {
    let text = "FROM scratch AS base\nWORKDIR /w\nLABEL a=1 b=2\n\
                FROM base\nLABEL b=\"two words\" \"com.example.name\"=\"it's\"\nLABEL multi=\"x \\\ny\"\n";
    let image = cx.build(text).await?;
    for (name, wanted) in
        [("a", "1"), ("b", "two words"), ("com.example.name", "it's"), ("multi", "x y")]
    {
        expect_eq!(image.label(name), Some(wanted), "label `{name}`");
    }
    Ok(())
}

async fn author(cx: Cx) -> CaseResult {
    let image = cx.build("FROM scratch\nWORKDIR /w\nMAINTAINER Ada <ada@example.com>\n").await?;
    expect_eq!(image.config().other.get("author"), Some(&json!("Ada <ada@example.com>")));
    Ok(())
}

async fn shell(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN false; echo reached > /out || true\nCMD hello\n",
        cx.base()?
    );
    // With `-e` the step ends at `false`.
    let error = cx.build_error(&text).await?;
    expect_eq!(error.kind(), boxwright_core::ErrorKind::BuildFailed);
    let text = format!("FROM {}\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN true\nCMD hello\n", cx.base()?);
    let image = cx.build(&text).await?;
    expect_eq!(image.config().config.shell, words(&["/bin/sh", "-ec"]));
    expect_eq!(image.config().config.cmd, words(&["/bin/sh", "-ec", "hello"]));
    Ok(())
}

async fn healthcheck(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\n\
                HEALTHCHECK --interval=5s --timeout=3s --retries=4 CMD [\"/check\", \"-q\"]\n";
    let image = cx.build(text).await?;
    let check = image.config().config.healthcheck.clone().unwrap_or_default();
    expect_eq!(check["Test"], json!(["CMD", "/check", "-q"]));
    expect_eq!(check["Interval"], json!(5_000_000_000_u64));
    expect_eq!(check["Timeout"], json!(3_000_000_000_u64));
    expect_eq!(check["Retries"], json!(4));
    Ok(())
}

async fn onbuild(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text =
        "FROM scratch\nWORKDIR /w\nONBUILD COPY file /triggered\nONBUILD LABEL triggered=yes\n";
    let request = cx.request(text)?;
    let base = cx.build_from(&request).await?;
    let triggers = base.config().config.on_build.clone().unwrap_or_default();
    expect_eq!(triggers, ["COPY file /triggered", "LABEL triggered=yes"]);
    expect!(!base.has("/triggered"), "the trigger ran in its own build");
    let image = cx.build(&format!("FROM {}\nLABEL own=yes\n", request.tags[0])).await?;
    expect_eq!(image.text("/triggered").await?, "x");
    expect_eq!((image.label("triggered"), image.label("own")), (Some("yes"), Some("yes")));
    let left = image.config().config.on_build.clone().unwrap_or_default();
    expect!(left.is_empty(), "the triggers are still there: {left:?}");
    Ok(())
}

async fn layers_agree(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text = format!("FROM {}\nCOPY file /a\nENV x=1\nRUN echo > /b\nLABEL y=1\n", cx.base()?);
    let image = cx.build(&text).await?;
    let layers: Vec<_> = image.manifest().layers.iter().map(|(_, diff)| diff.clone()).collect();
    expect_eq!(image.config().rootfs.diff_ids, layers);
    let platform = image.config().platform();
    expect_eq!(platform, Some(boxwright_core::Platform::of_this_machine()));
    let image = cx.build("FROM scratch\nCOPY file /a\nENV x=1\nCOPY file /b\n").await?;
    let history = image.config().history.iter().filter(|step| !step.empty_layer);
    expect_eq!(history.count(), 2, "the number of steps with a layer in the history");
    Ok(())
}
