//! The engine's own images: list, inspect, tag, remove.

use boxwright_core::{Capability, ErrorKind, LocalImage, RemoveRequest};

use super::expect_explained;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq, expect_error};

const INSPECT: &[Capability] = &[Capability::Build, Capability::Inspect];
const TAG: &[Capability] = &[Capability::Build, Capability::Tag, Capability::List];
const REMOVE: &[Capability] = &[Capability::Build, Capability::Remove, Capability::List];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "store/lists",
        promise: "an image that was built is in the list, by id and with its names",
        needs: &[Capability::Build, Capability::List],
        features: &[],
        run: |cx| Box::pin(lists(cx)),
    },
    Case {
        id: "store/inspects",
        promise: "the details of an image are those of its config, by name and by id",
        needs: INSPECT,
        features: &[],
        run: |cx| Box::pin(inspects(cx)),
    },
    Case {
        id: "store/inspects-by-prefix",
        promise: "twelve digits of its id name an image",
        needs: INSPECT,
        features: &[],
        run: |cx| Box::pin(inspects_by_prefix(cx)),
    },
    Case {
        id: "store/nothing-to-inspect",
        promise: "an image that is not there is not found, with what to do",
        needs: &[Capability::Inspect],
        features: &[],
        run: |cx| Box::pin(nothing_to_inspect(cx)),
    },
    Case {
        id: "store/tags",
        promise: "a new name is one more for the same image, and moves away from another",
        needs: TAG,
        features: &[],
        run: |cx| Box::pin(tags(cx)),
    },
    Case {
        id: "store/removes-a-name",
        promise: "removing one of several names keeps the image",
        needs: REMOVE,
        features: &[],
        run: |cx| Box::pin(removes_a_name(cx)),
    },
    Case {
        id: "store/removes-the-last-name",
        promise: "removing the last name removes the image",
        needs: REMOVE,
        features: &[],
        run: |cx| Box::pin(removes_the_last_name(cx)),
    },
    Case {
        id: "store/removes-by-id",
        promise: "removing an id with several names is a conflict, and works by force",
        needs: REMOVE,
        features: &[],
        run: |cx| Box::pin(removes_by_id(cx)),
    },
    Case {
        id: "store/nothing-to-remove",
        promise: "removing what is not there says that it is not there",
        needs: &[Capability::Remove],
        features: &[],
        run: |cx| Box::pin(nothing_to_remove(cx)),
    },
];

/// Builds an image that nothing else has. A label with words of its own makes it so.
async fn unique(cx: &Cx) -> CaseResult<boxwright_core::BuildOutput> {
    let request = cx.request("FROM scratch\n")?;
    // The number of the name tells images of one case apart.
    let number = request.tags[0].tag().unwrap_or_default();
    let text = format!(
        "FROM scratch\nCOPY Dockerfile /\nENV a=1\nLABEL name={}/{number}\nCMD [\"/x\"]\n",
        cx.words()
    );
    cx.write("Dockerfile", 0o644, text)?;
    Ok(cx.attempt(&request).await.result?)
}

async fn lists(cx: Cx) -> CaseResult {
    let built = unique(&cx).await?;
    let images = cx.engine().list(&cx.session()).await?;
    let of_it: Vec<_> = images.iter().filter(|image| image.id == built.id).collect();
    expect_eq!(of_it.len(), 1, "the number of entries with its id");
    expect_eq!(of_it[0].names, built.tags);
    expect!(of_it[0].created.is_some(), "the list does not say when it was made");
    Ok(())
}

async fn inspects(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nENV a=1\nLABEL b=2\nUSER 3:4\nWORKDIR /five\nEXPOSE 6/udp\nVOLUME /seven\n\
                STOPSIGNAL SIGINT\nENTRYPOINT [\"/eight\"]\nCMD [\"nine\"]\n";
    let request = cx.request(text)?;
    let built = cx.attempt(&request).await.result?;
    for image in [LocalImage::from(request.tags[0].clone()), LocalImage::from(built.id.clone())] {
        let found = cx.engine().inspect(&image, &cx.session()).await?;
        expect_eq!(found.summary.id, built.id);
        expect!(found.summary.names.contains(&request.tags[0]), "its name is not there");
        expect!(found.environment.contains(&"a=1".to_owned()), "ENV is {:?}", found.environment);
        expect_eq!(found.labels.get("b").map(String::as_str), Some("2"));
        expect_eq!((found.user.as_str(), found.working_directory.as_str()), ("3:4", "/five"));
        expect_eq!(found.exposed_ports, ["6/udp"]);
        expect_eq!(found.volumes, ["/seven"]);
        expect_eq!(found.stop_signal.as_deref(), Some("SIGINT"));
        expect_eq!(
            (found.entrypoint, found.command),
            (vec!["/eight".to_owned()], vec!["nine".to_owned()])
        );
        expect_eq!(found.platform, boxwright_core::Platform::of_this_machine());
    }
    Ok(())
}

async fn inspects_by_prefix(cx: Cx) -> CaseResult {
    let built = unique(&cx).await?;
    let prefix = LocalImage::IdPrefix(built.id.short().to_owned());
    let found = cx.engine().inspect(&prefix, &cx.session()).await?;
    expect_eq!(found.summary.id, built.id);
    Ok(())
}

async fn nothing_to_inspect(cx: Cx) -> CaseResult {
    let image = LocalImage::from(cx.name()?);
    let error =
        expect_error!(cx.engine().inspect(&image, &cx.session()).await, ErrorKind::NotFound);
    super::expect_mentions(&error, "nothing-to-inspect")?;
    expect_explained(&error)
}

async fn names_of(cx: &Cx, id: &boxwright_core::Digest) -> CaseResult<Option<Vec<String>>> {
    let images = cx.engine().list(&cx.session()).await?;
    let image = images.into_iter().find(|image| &image.id == id);
    Ok(image.map(|image| {
        let mut names: Vec<_> = image.names.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }))
}

async fn tags(cx: Cx) -> CaseResult {
    let (first, second) = (unique(&cx).await?, unique(&cx).await?);
    let name = cx.name()?;
    let (one, two) = (first.tags[0].to_string(), second.tags[0].to_string());
    cx.engine().tag(&first.id.clone().into(), &name, &cx.session()).await?;
    let mut wanted = vec![one.clone(), name.to_string()];
    wanted.sort_unstable();
    expect_eq!(names_of(&cx, &first.id).await?, Some(wanted));
    cx.engine().tag(&second.tags[0].clone().into(), &name, &cx.session()).await?;
    expect_eq!(names_of(&cx, &first.id).await?, Some(vec![one]));
    let mut wanted = vec![two, name.to_string()];
    wanted.sort_unstable();
    expect_eq!(names_of(&cx, &second.id).await?, Some(wanted));
    Ok(())
}

async fn removes_a_name(cx: Cx) -> CaseResult {
    let built = unique(&cx).await?;
    let name = cx.name()?;
    cx.engine().tag(&built.id.clone().into(), &name, &cx.session()).await?;
    let request = RemoveRequest::new(built.tags[0].clone().into());
    let removed = cx.engine().remove(&request, &cx.session()).await?;
    expect_eq!(removed.untagged, built.tags);
    expect_eq!(removed.deleted, []);
    expect_eq!(names_of(&cx, &built.id).await?, Some(vec![name.to_string()]));
    Ok(())
}

async fn removes_the_last_name(cx: Cx) -> CaseResult {
    let built = unique(&cx).await?;
    let request = RemoveRequest::new(built.tags[0].clone().into());
    let removed = cx.engine().remove(&request, &cx.session()).await?;
    expect_eq!(removed.untagged, built.tags);
    expect!(removed.deleted.contains(&built.id), "deleted is {:?}", removed.deleted);
    expect_eq!(names_of(&cx, &built.id).await?, None);
    Ok(())
}

async fn removes_by_id(cx: Cx) -> CaseResult {
    let built = unique(&cx).await?;
    cx.engine().tag(&built.id.clone().into(), &cx.name()?, &cx.session()).await?;
    let mut request = RemoveRequest::new(built.id.clone().into());
    let refused = cx.engine().remove(&request, &cx.session()).await;
    expect_explained(&expect_error!(refused, ErrorKind::Conflict))?;
    request.force = true;
    cx.engine().remove(&request, &cx.session()).await?;
    expect_eq!(names_of(&cx, &built.id).await?, None);
    Ok(())
}

async fn nothing_to_remove(cx: Cx) -> CaseResult {
    let request = RemoveRequest::new(cx.name()?.into());
    expect_error!(cx.engine().remove(&request, &cx.session()).await, ErrorKind::NotFound);
    Ok(())
}
