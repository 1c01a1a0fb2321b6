//! A registry under its real name, and the programs that its vendor has people install.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxwright_testkit::{Access, Behind, FakeRegistry, RegistryProxy};

use super::harness::{Home, Run, fake_program};

/// What everybody logs in with.
pub(crate) const PASSWORD: &str = "s3cret";

/// The registry of an account of Amazon, as the guides name it.
pub(crate) const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// Who a registry is, as its users see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vendor {
    /// The name in images.
    pub(crate) host: &'static str,
    /// The hosts that are spoken with.
    pub(crate) hosts: &'static [&'static str],
    /// Who may push and pull.
    pub(crate) user: &'static str,
    /// Whether a push creates repositories.
    pub(crate) creates: bool,
}

pub(crate) const AMAZON: Vendor = Vendor { host: ECR, hosts: &[ECR], user: "AWS", creates: false };
pub(crate) const GOOGLE: Vendor = Vendor {
    host: "europe-docker.pkg.dev",
    hosts: &["europe-docker.pkg.dev"],
    user: "_dcgcloud_token",
    creates: false,
};

/// A user's machine, with a registry that has a vendor's name.
pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) registry: FakeRegistry,
    _proxy: RegistryProxy,
}

impl World {
    /// Starts a registry, closed to everyone but one user, and makes a home with a project to build in `project`.
    pub(crate) async fn start(vendor: Vendor) -> Self {
        let home = Home::new()
            .file("project/Dockerfile", "FROM scratch\nCOPY hello /hello\n")
            .file("project/hello", "hello\n")
            .file("project/token", PASSWORD)
            .file("repositories/about", "a file for each repository\n");
        let access = match vendor.user {
            // It gives no tokens: its passwords are some.
            "AWS" => Access::Password { user: "AWS".into(), password: PASSWORD.into() },
            user => Access::Token { user: user.into(), password: PASSWORD.into() },
        };
        let registry = if vendor.creates {
            FakeRegistry::start(access, Vec::new(), None).await.unwrap()
        } else {
            FakeRegistry::without_repositories(access, home.path("repositories")).await.unwrap()
        };
        let server = Behind::Server(registry.address());
        let mut hosts: BTreeMap<_, _> =
            vendor.hosts.iter().map(|host| ((*host).to_owned(), server.clone())).collect();
        // Where Amazon's own programs get passwords.
        hosts.insert("api.ecr.eu-west-1.amazonaws.com".to_owned(), Behind::Json(amazon_answer()));
        let proxy = RegistryProxy::start(hosts).await.unwrap();
        let home = home.file("ca.pem", proxy.authority()).variable("HTTPS_PROXY", proxy.address());
        let ca = home.path("ca.pem").display().to_string();
        let settings: String = vendor
            .hosts
            .iter()
            .map(|host| format!("[registry.\"{host}\"]\nca = \"{ca}\"\n"))
            .collect();
        let home = home.file(".config/boxwright/config.toml", settings);
        let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
        let home = home.variable("PATH", path);
        // What Amazon's helper reads; it trusts whom the system trusts.
        let home = home
            .variable("AWS_ACCESS_KEY_ID", "key")
            .variable("AWS_SECRET_ACCESS_KEY", "secret")
            .variable("AWS_EC2_METADATA_DISABLED", "true")
            .variable("SSL_CERT_FILE", ca);
        let world = Self { home, registry, _proxy: proxy };
        world.link("boxwright", &fake_program());
        world
    }

    /// Runs a line of a shell in the project.
    pub(crate) fn run(&self, line: &str) -> Run {
        let line = format!("cd project && {line}");
        let command = self.home.command(Path::new("/bin/sh"), &["-c", &line]);
        tokio::task::block_in_place(|| self.home.finish(command, b""))
    }

    /// Installs a program of a vendor. It writes down what it is called with, and does what `script` does.
    pub(crate) fn install(&self, name: &str, script: &str) {
        let said = self.home.path("said").display().to_string();
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> {said}\n{script}\n");
        let path = self.program(name);
        std::fs::write(&path, text).unwrap();
        make_executable(&path);
    }

    /// What the programs of vendors were called with so far, one call a line.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.home.path("said")).unwrap_or_default()
    }

    fn link(&self, name: &str, to: &Path) {
        std::os::unix::fs::symlink(to, self.program(name)).unwrap();
    }

    fn program(&self, name: &str) -> PathBuf {
        std::fs::create_dir_all(self.home.path("bin")).unwrap();
        self.home.path("bin").join(name)
    }

    /// Installs what the guides take for installed. Real programs of vendors talk to their clouds: what stands for them
    /// takes the arguments that they take, and no others.
    pub(crate) fn install_all(&self) {
        let repositories = self.home.path("repositories").display().to_string();
        let docker = self.home.path(".docker").display().to_string();
        self.install("aws", &aws(&repositories));
        self.install(
            "gcloud",
            &format!(
                "case \"$*\" in\n\
                 'auth configure-docker europe-docker.pkg.dev')\n\
                 mkdir -p {docker}; echo '{{\"credHelpers\": {{\"europe-docker.pkg.dev\": \"gcloud\"}}}}' > {docker}/config.json ;;\n\
                 'artifacts repositories create '*' --repository-format=docker --location=europe --project='*)\n\
                 mkdir -p {repositories}/${{7#--project=}}; echo > {repositories}/${{7#--project=}}/$4 ;;\n\
                 *) echo \"ERROR: (gcloud) Invalid choice: '$1'.\" >&2; exit 2 ;;\n\
                 esac"
            ),
        );
        // A name and no password: the token that is given for one is kept.
        let azure = "{\"auths\": {\"acme.azurecr.io\": {\"auth\": \"MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==\", \"identitytoken\": \"s3cret\"}}}";
        self.install(
            "az",
            &format!(
                "[ \"$*\" = 'acr login --name acme' ] || exit 2\nmkdir -p {docker}; echo '{azure}' > {docker}/config.json"
            ),
        );
        self.install_helper("gcloud", GOOGLE.user);
        if !Path::new("/usr/bin/docker-credential-ecr-login").exists() {
            self.install_helper("ecr-login", AMAZON.user);
        }
    }

    /// Installs a credential helper with the protocol that all have.
    fn install_helper(&self, name: &str, user: &str) {
        // Amazon's asks its service with the keys of the account, and has nothing without.
        let needs = if user == AMAZON.user { "$AWS_ACCESS_KEY_ID" } else { "nothing" };
        self.install(
            &format!("docker-credential-{name}"),
            &format!(
                "[ \"$1\" = get ] || {{ echo 'not implemented'; exit 1; }}\nread server\n\
                 [ -n \"{needs}\" ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
                 echo \"{{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"{user}\\\",\\\"Secret\\\":\\\"{PASSWORD}\\\"}}\""
            ),
        );
    }
}

/// What stands for `aws`: it gives the password, and creates repositories that are not there.
pub(crate) fn aws(repositories: &str) -> String {
    format!(
        "case \"$*\" in\n\
         'ecr get-login-password --region eu-west-1') echo {PASSWORD} ;;\n\
         'ecr create-repository --repository-name '*' --region eu-west-1')\n\
         if [ -f {repositories}/$4 ]; then\n\
         echo \"An error occurred (RepositoryAlreadyExistsException) when calling the CreateRepository operation: The repository with name '$4' already exists in the registry with id '123456789012'\" >&2\n\
         exit 254\nfi\n\
         mkdir -p {repositories}/$(dirname $4); echo > {repositories}/$4 ;;\n\
         *) echo 'usage: aws [options] <command> <subcommand>' >&2; exit 252 ;;\n\
         esac"
    )
}

/// What Amazon's service answers who asks for a password: `AWS:s3cret`, for long enough.
fn amazon_answer() -> String {
    let registry = format!("https://{ECR}");
    serde_json::json!({"authorizationData": [{
        "authorizationToken": "QVdTOnMzY3JldA==", "expiresAt": 4_102_444_800.0, "proxyEndpoint": registry,
    }]})
    .to_string()
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
