//! The two files and the variables: which wins, and what is refused.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use boxwright_core::{Error, ErrorKind, Host, PullPolicy};
use boxwright_engines::settings::{ProgressMode, schema};
use boxwright_engines::{Settings, catalog};
use tempfile::TempDir;

/// A home with a user's file, and a project below it with its own.
struct Place {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        std::fs::create_dir_all(folder.path().join("project/deep/er")).unwrap();
        Self { folder, variables: vec![("HOME", home)] }
    }

    fn write(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn user(self, text: &str) -> Self {
        self.write(".config/boxwright/config.toml", text)
    }

    fn project(self, text: &str) -> Self {
        self.write("project/boxwright.toml", text)
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn load(&self) -> Result<Settings, Error> {
        let folder = self.folder.path().join("project/deep/er");
        Settings::load(&Host::with_variables(folder, self.variables.clone()))
    }

    /// A text with the scratch folder's name taken out.
    fn plain(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "~")
    }
}

fn choice(settings: &Settings) -> (String, String) {
    let choice = settings.choices().remove(0);
    (choice.engine, choice.origin)
}

#[test]
fn nothing_is_set_by_default() {
    let settings = Place::new().load().unwrap();
    assert!(settings.choices().is_empty() && settings.files().is_empty());
    assert_eq!(settings.preference().value, ["docker", "podman", "containerd", "lxd", "embedded"]);
    let names: Vec<_> = settings.effective().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "build.progress",
            "build.pull",
            "engine.docker.allow-plain-tcp",
            "engine.lxd.publish",
            "engine.podman.autostart",
            "engine.prefer",
            "engine.use",
        ]
    );
    catalog(&settings).unwrap();
}

#[test]
fn a_flag_wins_over_the_environment_over_the_project_over_the_user() {
    let place = Place::new().user("[engine]\nuse = 'a'\n");
    assert_eq!(choice(&place.load().unwrap()).0, "a");
    let place = place.project("[engine]\nuse = 'b'\n");
    let (engine, origin) = choice(&place.load().unwrap());
    assert_eq!((engine.as_str(), place.plain(&origin).as_str()), ("b", "~/project/boxwright.toml"));
    let place = place.variable("BOXWRIGHT_ENGINE", "c");
    let settings = place.load().unwrap();
    assert_eq!(choice(&settings), ("c".into(), "BOXWRIGHT_ENGINE".into()));
    let settings = settings.with_engine("d", "--engine");
    assert_eq!(choice(&settings), ("d".into(), "--engine".into()));
    assert_eq!(settings.files().len(), 2);
}

#[test]
fn both_files_say_how_to_build() {
    let place = Place::new()
        .user("[build]\npull = 'always'\nprogress = 'plain'\n")
        .project("[build]\nprogress = 'json'\nplatform = 'linux/arm64'\nbuilder = 'classic'\n");
    let settings = place.load().unwrap();
    assert_eq!(settings.pull().unwrap().value, PullPolicy::Always);
    assert_eq!(settings.progress().unwrap().value, ProgressMode::Json);
    assert_eq!(settings.platform().unwrap().value, "linux/arm64");
    assert_eq!(settings.builder().unwrap().value, "classic");
}

#[test]
fn every_value_has_its_origin() {
    let place = Place::new()
        .user("[engine]\nprefer = ['podman']\n[registry.'localhost:5000']\ninsecure = true\n")
        .project("[engine]\nuse = 'podman'\n");
    let lines = place.load().unwrap();
    let lines: Vec<_> =
        lines.effective().map(|it| format!("{} = {} ({})", it.name, it.value, it.origin)).collect();
    assert_eq!(
        place.plain(&lines.join("\n")),
        "build.progress = \"auto\" (default)\n\
         build.pull = \"missing\" (default)\n\
         engine.docker.allow-plain-tcp = false (default)\n\
         engine.lxd.publish = false (default)\n\
         engine.podman.autostart = true (default)\n\
         engine.prefer = [\"podman\"] (~/.config/boxwright/config.toml)\n\
         engine.use = \"podman\" (~/project/boxwright.toml)\n\
         registry.\"localhost:5000\".insecure = true (~/.config/boxwright/config.toml)"
    );
}

#[test]
fn unknown_setting_suggests_the_nearest_name() {
    let place = Place::new().user("[build]\n\"pulll\" = 'always'\n");
    let error = place.load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "unknown setting `pulll`");
    assert_eq!(error.remedy(), Some("use `pull`"));
    let context: Vec<_> = error.context().iter().map(|(n, v)| (*n, place.plain(v))).collect();
    assert_eq!(
        context,
        [
            ("location", "~/.config/boxwright/config.toml:2:1".to_owned()),
            ("excerpt", " 2 | \"pulll\" = 'always'\n   | ^^^^^^^".to_owned()),
        ]
    );
    let error = Place::new().user("[nothing]\n").load().unwrap_err();
    assert_eq!(error.remedy(), Some("use one of `engine`, `build`, `spec`, `registry`"));
}

#[test]
fn settings_of_one_engine_are_checked_like_the_others() {
    let error = Place::new().user("[engine.docker]\nhots = 'unix:///x'\n").load().unwrap_err();
    assert_eq!(error.to_string(), "unknown setting `hots`");
    assert_eq!(error.remedy(), Some("use `host`"));
    let error = Place::new().project("engine = 'podman'\n").load().unwrap_err();
    assert_eq!(error.remedy(), Some("write `engine.use = \"podman\"`"));
    let error = Place::new().user("build = 1\n").load().unwrap_err();
    assert_eq!(error.causes(), ["invalid type: integer `1`, expected a table"]);
}

#[test]
fn an_endpoint_has_the_origin_that_decides() {
    let origin = |settings: &Settings, name: &str| {
        settings.effective().find(|it| it.name == name).unwrap().origin.clone()
    };
    let place = Place::new().variable("DOCKER_HOST", "unix:///a");
    assert_eq!(origin(&place.load().unwrap(), "engine.docker.host"), "DOCKER_HOST");
    let place = place.user("[engine.docker]\nhost = 'unix:///b'\n");
    let settings = place.load().unwrap();
    assert!(origin(&settings, "engine.docker.host").ends_with("config.toml"));
    let settings = settings.with_endpoint("docker", "unix:///c", "--endpoint").unwrap();
    assert_eq!(origin(&settings, "engine.docker.host"), "--endpoint");
    assert_eq!(settings.engines().docker.host.as_deref(), Some("unix:///c"));
    let error = settings.with_endpoint("buildkit", "unix:///c", "--endpoint").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    let error = Place::new().user("[build]\npull = 'sometimes'\n").load().unwrap_err();
    assert_eq!(
        error.causes(),
        ["unknown variant `sometimes`, expected one of `always`, `missing`, `never`"]
    );
    assert!(error.context()[0].1.ends_with("config.toml:2:8"), "{error:?}");
    let error = Place::new().user("[build\n").load().unwrap_err();
    assert!(error.context()[1].1.starts_with(" 1 | [build\n"), "{error:?}");
}

#[test]
fn a_project_cannot_say_where_or_as_whom_threat_38() {
    for (text, what) in [
        ("[engine.docker]\nhost = 'tcp://evil:1'\n", "engine.docker"),
        ("[engine]\npodman.host = 'tcp://evil:1'\n", "engine.podman"),
        ("[registry.'ghcr.io']\ninsecure = true\n", "registry"),
        ("[credentials]\n", "credentials"),
        ("[build]\nca-bundle = '/evil.pem'\n", "build.ca-bundle"),
    ] {
        let place = Place::new().project(text);
        let error = place.load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), format!("a project may not set `{what}`"));
        let remedy = place.plain(error.remedy().unwrap());
        assert_eq!(remedy, "move it to `~/.config/boxwright/config.toml`");
    }
}

#[test]
fn a_user_says_whom_steps_trust() {
    let settings = Place::new().user("[build]\nca-bundle = '/etc/ours.pem'\n").load().unwrap();
    let bundle = settings.ca_bundle().unwrap();
    assert_eq!(bundle.value, std::path::Path::new("/etc/ours.pem"));
    assert!(bundle.origin.ends_with("config.toml"), "{}", bundle.origin);
}

#[test]
fn a_preference_for_no_engine_is_refused_with_its_origin() {
    let place = Place::new().user("[engine]\nprefer = ['pdoman']\n");
    let error = catalog(&place.load().unwrap()).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.remedy()),
        ("unknown engine `pdoman`", Some("use `podman`"))
    );
    assert_eq!(place.plain(&error.context()[0].1), "~/.config/boxwright/config.toml");
}

#[test]
fn what_is_no_settings_file_is_not_read() {
    let place = Place::new().write("project/boxwright.toml/x", "");
    let error = place.load().unwrap_err();
    assert_eq!(error.causes(), ["it is not a regular file"]);
    let place = Place::new().project(&"#".repeat(1024 * 1024 + 1));
    assert_eq!(place.load().unwrap_err().causes(), ["it is larger than 1 MiB"]);
}

#[test]
fn the_schema_refuses_what_the_files_refuse() {
    let (user, project) = schema();
    for schema in [&user, &project] {
        assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{schema:?}");
    }
    let has = |schema: &schemars::Schema, key: &str| {
        schema.pointer(&format!("/properties/{key}")).is_some()
    };
    assert!(has(&user, "registry") && !has(&project, "registry"));
}
