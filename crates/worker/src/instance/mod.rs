//! The first process of an instance of LXD, which starts it with no arguments: that of a worker, whose variables say what it is
//! to do, or that of an image that was published there.

mod dhcp;
mod image;
mod interface;
mod launch;
mod lease;
mod netlink;
mod network;
mod worker;

pub(crate) use launch::launch;
pub(crate) use worker::run as wait_for_builds;

/// The file that says what an image starts. A worker's instance has none.
const IMAGE: &str = "/.boxwright/image.json";

/// Returns what the image of this instance starts, or `None` in a worker's instance.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when that cannot be read.
pub(crate) fn image() -> boxwright_core::Result<Option<image::Config>> {
    image::Config::read(IMAGE)
}
