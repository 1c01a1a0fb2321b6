//! `boxwright login` and `boxwright logout`.

use clap::Args;

/// `boxwright login`.
#[derive(Debug, Args)]
#[command(after_help = "The name and the password are asked for on the terminal, unless:
  boxwright login ghcr.io --username acme --password-stdin < token.txt")]
pub(crate) struct LoginArgs {
    /// The registry, such as `ghcr.io`
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(crate) registry: String,
    /// The user's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Read the password, or a token used as one, from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// `boxwright logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry, such as `ghcr.io`
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(crate) registry: String,
}
