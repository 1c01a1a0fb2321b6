//! Daemons that are not there, hang, or are closed.
