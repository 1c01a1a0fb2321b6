//! Images that stand in for those of registries which nobody can reach in a test, under names in the open registry.
//!
//! They are what cases of other builders start from: `busybox`, `alpine`, and on demand `debian`.

mod busybox;
pub(crate) mod debian;
mod users;

use super::base_image::Busybox;
use super::image::{Image, Layer};
use crate::problem::Result;

/// The repositories that the images are sent to begin with this.
const PREFIX: &str = "boxwright/stand-in";

/// Whose names the images stand in for. What none stands in for must not be looked for in the internet.
const REGISTRIES: [&str; 4] = ["docker.io", "mirror.gcr.io", "public.ecr.aws", "quay.io"];

/// Names without tag, by the image that stands in for them.
const NAMES: [(&str, &[&str]); 4] = [
    ("busybox", &["docker.io/library/busybox", "mirror.gcr.io/busybox"]),
    ("alpine", &["docker.io/library/alpine", "mirror.gcr.io/alpine"]),
    ("debian", &["docker.io/library/debian", "docker.io/library/ubuntu", "mirror.gcr.io/debian"]),
    ("centos", &["quay.io/libpod/centos", "public.ecr.aws/docker/library/centos"]),
];

/// Makes the images and sends them to the registry at `address`. Returns which name stands in for which, as
/// `NAME=NAME` with commas between: the conformance suite's `--registry-map`. `debian` is the big one.
pub(crate) fn push(address: &str, debian: Option<&Layer>) -> Result<String> {
    let tools = Busybox::find()?;
    let mut images = vec![
        ("busybox", image("busybox-static", "sh", vec![Layer::of_tar(&busybox::plain(&tools)?)?])),
        (
            "alpine",
            image("busybox-static", "/bin/sh", vec![Layer::of_tar(&busybox::alpine(&tools)?)?]),
        ),
    ];
    if let Some(layer) = debian {
        images.push(("debian", image("debootstrap", "bash", vec![layer.clone()])));
        let shell = Layer::of_tar(&debian::bash_as_shell()?)?;
        let layers = vec![layer.clone(), shell];
        images.push(("centos", image("debootstrap", "/bin/bash", layers)));
    }
    let mut map = Vec::new();
    for (name, image) in images {
        let made = image.push_index(address, &format!("{PREFIX}/{name}"), "1")?;
        let names = NAMES.iter().filter(|(of, _)| *of == name).flat_map(|(_, names)| *names);
        map.extend(names.map(|name| format!("{name}={made}")));
    }
    map.extend(REGISTRIES.map(|registry| format!("{registry}={address}/{PREFIX}/absent")));
    Ok(map.join(","))
}

/// Sends the image with Python's packages to the registry at `address`, and returns its name.
pub(crate) fn push_python(address: &str, layer: Layer) -> Result<String> {
    image("debootstrap", "python3", vec![layer]).push_index(
        address,
        &format!("{PREFIX}/python"),
        "1",
    )
}

fn image(source: &'static str, command: &'static str, layers: Vec<Layer>) -> Image {
    Image { source, command, layers }
}
