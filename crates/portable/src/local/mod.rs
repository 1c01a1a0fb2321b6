//! What every engine does that keeps its images in a [`Store`](crate::Store) of Boxwright's own.

pub mod archive;
pub mod images;
pub mod place;
pub mod run;
pub mod transfer;
