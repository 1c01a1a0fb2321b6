//! `buildkit-instructions`: errors, here-documents, git addresses, ports.

use crate::Corpus;

pub(crate) fn add(_corpus: &mut Corpus) {}
