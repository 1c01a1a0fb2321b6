//! Packages of Python, installed by a step behind a proxy that looks into TLS.

use std::collections::BTreeMap;

use boxwright_core::Host;
use boxwright_testkit::{InspectingProxy, Page};

use super::harness::Home;

/// A host that is nowhere: all of it is what the proxy says.
const HOST: &str = "packages.test";

#[tokio::test(flavor = "multi_thread")]
async fn pip_installs_behind_a_proxy_that_looks_into_tls() {
    // An image of Debian with pip takes root and a mirror to make. `cargo xtask test` sees to it.
    let host = Host::system();
    let Some(image) = host.variable("BOXWRIGHT_TEST_PYTHON") else {
        return;
    };
    let page = |content: Vec<u8>| Page { content, ..Page::default() };
    let wheel = "greeting-1.0-py3-none-any.whl";
    let index = format!("<!DOCTYPE html><a href=\"/files/{wheel}\">{wheel}</a>");
    let pages = BTreeMap::from([
        ("/simple/greeting/".to_owned(), page(index.into_bytes())),
        (format!("/files/{wheel}"), page(wheel_of_greeting())),
    ]);
    let proxy = InspectingProxy::start(HOST, pages).await.unwrap();
    let dockerfile = format!(
        "FROM {image}\nRUN pip install --break-system-packages --no-cache-dir --retries 0 --timeout 10 \\\n  \
         --disable-pip-version-check --index-url https://{HOST}/simple/ greeting\n"
    );
    let home = Home::with_dockerfile(&dockerfile).file("authority.pem", proxy.authority());
    let store = home.path("store").display().to_string();
    let home = home.variable("BOXWRIGHT_STORE", store);
    let build = |more: &[&str]| {
        let argument = format!("HTTPS_PROXY={}", proxy.address());
        let flags = ["build", "app", "--engine=embedded", "--network=host", "-t=greeting"];
        home.real(&[&flags[..], &["--build-arg", &argument], more].concat())
    };
    let (refused, built, ran) = tokio::task::block_in_place(|| {
        let refused = build(&[]);
        let built = build(&["--ca-bundle=authority.pem"]);
        let command =
            "python3 -c 'import greeting; greeting.say()'; env; grep -l BEGIN /dev/boxwright*";
        (refused, built, home.real(&["run", "--engine=embedded", "greeting", "sh", "-c", command]))
    });
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{refused}");
    assert_eq!(built.code, 0, "{built}");
    assert!(built.stderr.contains("Successfully installed greeting-1.0"), "{built}");
    assert!(ran.stdout.starts_with("hello from a wheel\n"), "{ran}");
    assert!(!ran.stdout.contains("ca-bundle"), "{ran}");
}

/// Makes a package of Python: an archive with files as they are.
fn wheel_of_greeting() -> Vec<u8> {
    let about = "greeting-1.0.dist-info";
    let files = [
        ("greeting.py".to_owned(), "def say():\n    print('hello from a wheel')\n"),
        (format!("{about}/METADATA"), "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"),
        (
            format!("{about}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (
            format!("{about}/RECORD"),
            "greeting.py,,\ngreeting-1.0.dist-info/METADATA,,\ngreeting-1.0.dist-info/WHEEL,,\n\
             greeting-1.0.dist-info/RECORD,,\n",
        ),
    ];
    zip(&files)
}

/// Writes a ZIP archive, uncompressed.
fn zip(files: &[(String, &str)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut sum = flate2::Crc::new();
        sum.update(content.as_bytes());
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        // SPEC: APPNOTE 4.3.7: version needed, flags, method, time, date, sum, sizes, lengths of name and extra field.
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
            &sum.sum().to_le_bytes(),
            &size,
            &size,
            &length,
            &[0, 0],
        ]
        .concat();
        let offset = u32::try_from(archive.len()).unwrap().to_le_bytes();
        archive.extend(
            [&b"PK\x03\x04"[..], &common[..], name.as_bytes(), content.as_bytes()].concat(),
        );
        // SPEC: APPNOTE 4.3.12: version made by, as above, length of the comment, disk, attributes, offset.
        directory.extend(
            [&b"PK\x01\x02\x14\x00"[..], &common[..], &[0; 10], &offset, name.as_bytes()].concat(),
        );
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let start = u32::try_from(archive.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    archive.extend(directory);
    archive.extend(
        [&b"PK\x05\x06\x00\x00\x00\x00"[..], &count[..], &count, &size, &start, &[0, 0]].concat(),
    );
    archive
}
