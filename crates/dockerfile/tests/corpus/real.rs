//! `real-dockerfiles`: files of public images. Each must parse.

use crate::Corpus;

pub(crate) fn add(_corpus: &mut Corpus) {}
