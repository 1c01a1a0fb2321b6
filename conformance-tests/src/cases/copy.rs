//! `COPY`: what arrives, under which name, with which mode and owner.

use boxwright_core::Feature;
use boxwright_image::view::NodeKind;

use super::BUILD;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::expect_eq;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "copy/keeps-file-mode",
        promise: "COPY without --chmod keeps the permission bits of the source",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(keeps_file_mode(cx)),
    },
    Case {
        id: "copy/keeps-set-user-id",
        promise: "COPY keeps the set-user-id bit of a file",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(keeps_set_user_id(cx)),
    },
    Case {
        id: "copy/belongs-to-root",
        promise: "what COPY brings belongs to 0:0, whoever owns it in the context",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(belongs_to_root(cx)),
    },
    Case {
        id: "copy/to-a-new-name",
        promise: "COPY of one file to a path that is not there gives it that name",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(to_a_new_name(cx)),
    },
    Case {
        id: "copy/into-a-folder",
        promise: "COPY to a path with a slash at its end makes that folder and keeps the file's name",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(into_a_folder(cx)),
    },
    Case {
        id: "copy/content-of-a-folder",
        promise: "COPY of a folder brings what is in it, not the folder itself",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(content_of_a_folder(cx)),
    },
    Case {
        id: "copy/folder-modes",
        promise: "COPY keeps the modes of folders, of empty ones too",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(folder_modes(cx)),
    },
    Case {
        id: "copy/several-sources",
        promise: "COPY of several sources puts all of them into the folder",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(several_sources(cx)),
    },
    Case {
        id: "copy/keeps-links",
        promise: "a symbolic link inside a folder that is copied stays a link with the same target",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(keeps_links(cx)),
    },
    Case {
        id: "copy/chown-by-number",
        promise: "COPY --chown=UID:GID sets both numbers on files and folders",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(chown_by_number(cx)),
    },
    Case {
        id: "copy/chown-by-name",
        promise: "COPY --chown=NAME takes the numbers from the image's own /etc/passwd",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(chown_by_name(cx)),
    },
    Case {
        id: "copy/chmod",
        promise: "COPY --chmod sets the mode of a file",
        needs: BUILD,
        features: &[Feature::CopyChmod],
        run: |cx| Box::pin(chmod(cx)),
    },
    Case {
        id: "copy/bytes-arrive-unchanged",
        promise: "a file of eight megabytes arrives byte for byte",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(bytes_arrive_unchanged(cx)),
    },
    Case {
        id: "copy/names-with-spaces",
        promise: "the JSON form of COPY takes names with spaces and quotes",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(names_with_spaces(cx)),
    },
];

async fn keeps_file_mode(cx: Cx) -> CaseResult {
    cx.write("tool", 0o640, "#!/bin/sh\n")?;
    let image = cx.build("FROM scratch\nCOPY tool /tool\n").await?;
    expect_eq!(image.file("/tool")?.mode, 0o640);
    Ok(())
}

async fn keeps_set_user_id(cx: Cx) -> CaseResult {
    cx.write("tool", 0o4755, "x")?;
    let image = cx.build("FROM scratch\nCOPY tool /tool\n").await?;
    expect_eq!(image.file("/tool")?.mode, 0o4755);
    Ok(())
}

async fn belongs_to_root(cx: Cx) -> CaseResult {
    cx.write("folder/file", 0o644, "x")?;
    if cx.host().user_id() == 0 {
        for path in ["folder", "folder/file"] {
            std::os::unix::fs::chown(cx.context().join(path), Some(1234), Some(5678))?;
        }
    }
    let image = cx.build("FROM scratch\nCOPY folder /folder\n").await?;
    let (file, folder) = (image.file("/folder/file")?, image.folder("/folder")?);
    expect_eq!((file.uid, file.gid), (0, 0));
    expect_eq!((folder.uid, folder.gid), (0, 0));
    Ok(())
}

async fn to_a_new_name(cx: Cx) -> CaseResult {
    cx.write("a", 0o644, "content of a")?;
    let image = cx.build("FROM scratch\nCOPY a /deep/down/b\n").await?;
    expect_eq!(image.text("/deep/down/b").await?, "content of a");
    expect_eq!(image.folder("/deep")?.mode, 0o755);
    Ok(())
}

async fn into_a_folder(cx: Cx) -> CaseResult {
    cx.write("a", 0o644, "content of a")?;
    let image = cx.build("FROM scratch\nCOPY a /new/\n").await?;
    expect_eq!(image.text("/new/a").await?, "content of a");
    Ok(())
}

async fn content_of_a_folder(cx: Cx) -> CaseResult {
    cx.write("from/one", 0o644, "1")?;
    cx.write("from/deep/two", 0o644, "2")?;
    let image = cx.build("FROM scratch\nCOPY from /to\n").await?;
    expect_eq!(image.names_in("/to"), ["deep", "one"]);
    expect_eq!(image.text("/to/deep/two").await?, "2");
    Ok(())
}

async fn folder_modes(cx: Cx) -> CaseResult {
    cx.folder("tree/empty", 0o711)?;
    cx.folder("tree/private", 0o700)?;
    cx.write("tree/private/file", 0o600, "x")?;
    let image = cx.build("FROM scratch\nCOPY tree /tree\n").await?;
    expect_eq!(image.folder("/tree/empty")?.mode, 0o711);
    expect_eq!(image.folder("/tree/private")?.mode, 0o700);
    Ok(())
}

async fn several_sources(cx: Cx) -> CaseResult {
    cx.write("a", 0o644, "1")?;
    cx.write("b", 0o644, "2")?;
    cx.write("folder/c", 0o644, "3")?;
    let image = cx.build("FROM scratch\nCOPY a b folder /to/\n").await?;
    expect_eq!(image.names_in("/to"), ["a", "b", "c"]);
    Ok(())
}

async fn keeps_links(cx: Cx) -> CaseResult {
    cx.write("tree/file", 0o644, "x")?;
    cx.symlink("file", "tree/good")?;
    cx.symlink("/nowhere/at all", "tree/dangling")?;
    let image = cx.build("FROM scratch\nCOPY tree /tree\n").await?;
    expect_eq!(image.link("/tree/good")?, "file");
    expect_eq!(image.link("/tree/dangling")?, "/nowhere/at all");
    Ok(())
}

async fn chown_by_number(cx: Cx) -> CaseResult {
    cx.write("tree/file", 0o644, "x")?;
    let image = cx.build("FROM scratch\nCOPY --chown=1001:1002 tree /tree\n").await?;
    let file = image.file("/tree/file")?;
    expect_eq!((file.uid, file.gid), (1001, 1002));
    Ok(())
}

async fn chown_by_name(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text = format!("FROM {}\nCOPY --chown=www-data:www-data file /file\n", cx.base()?);
    let image = cx.build(&text).await?;
    let file = image.file("/file")?;
    expect_eq!((file.uid, file.gid), (33, 33));
    Ok(())
}

async fn chmod(cx: Cx) -> CaseResult {
    cx.write("file", 0o600, "x")?;
    let image = cx.build("FROM scratch\nCOPY --chmod=755 file /file\n").await?;
    expect_eq!(image.file("/file")?.mode, 0o755);
    Ok(())
}

async fn bytes_arrive_unchanged(cx: Cx) -> CaseResult {
    // A sequence with a long period, so that no block equals another.
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    let content: Vec<u8> = std::iter::repeat_with(&mut next).take(2 << 20).flatten().collect();
    cx.write("large", 0o644, &content)?;
    let image = cx.build("FROM scratch\nCOPY large /large\n").await?;
    let wanted = boxwright_image::manifest::digest_of(&content);
    match &image.file("/large")?.kind {
        NodeKind::File { size, digest } => {
            expect_eq!((*size, digest), (content.len() as u64, &wanted), "size and digest");
        }
        other => crate::expect!(false, "`/large` is {other:?}"),
    }
    Ok(())
}

async fn names_with_spaces(cx: Cx) -> CaseResult {
    cx.write("with a space", 0o644, "x")?;
    let image = cx.build("FROM scratch\nCOPY [\"with a space\", \"/to a place\"]\n").await?;
    expect_eq!(image.text("/to a place").await?, "x");
    Ok(())
}
