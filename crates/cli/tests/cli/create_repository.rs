//! `--create-repository`, from a registry that has none to an image in it. The vendors' programs are stood in for:
//! what they are called with is what counts, and a real account cannot be made to fail.

use super::vendor::{AMAZON, ECR, GOOGLE, World, aws};

const PUSH: &str = "boxwright build . --push -t";
const CREATES: &str = "aws ecr create-repository --repository-name team/api --region eu-west-1\n";

/// Somebody at Amazon who is logged in, with nothing created.
async fn amazon() -> World {
    let world = World::start(AMAZON).await;
    let login = format!("boxwright login --username AWS --password-stdin {ECR} < token");
    assert_eq!(world.run(&login).code, 0);
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repository_that_is_missing_is_created_once_and_only_when_asked() {
    let world = amazon().await;
    world.install_all();
    let push = format!("{PUSH} {ECR}/team/api:1");
    let refused = world.run(&push);
    assert_eq!(refused.code, 1, "{refused}");
    assert_eq!(world.said(), "", "nobody asked for it");
    let told = world.run(&format!("boxwright check {ECR}/team/api:1 --push"));
    assert_eq!(told.code, 1, "{told}");
    assert!(told.stderr.contains(&format!("`{}`", CREATES.trim())), "{told}");
    let built = world.run(&format!("{push} --create-repository"));
    assert_eq!(built.code, 0, "{built}");
    assert!(built.stderr.contains(&format!("created the repository `{ECR}/team/api`")), "{built}");
    assert!(world.registry.manifest("team/api", "1").is_some());
    let again = world.run(&format!("{push} --create-repository"));
    assert_eq!(again.code, 0, "{again}");
    assert_eq!(world.said(), CREATES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn google_creates_the_repository_that_images_are_in() {
    let world = World::start(GOOGLE).await;
    world.install_all();
    assert_eq!(world.run("gcloud auth configure-docker europe-docker.pkg.dev").code, 0);
    let image = "europe-docker.pkg.dev/project/repository/team/api:1";
    let built = world.run(&format!("{PUSH} {image} --create-repository"));
    assert_eq!(built.code, 0, "{built}");
    assert!(world.registry.manifest("project/repository/team/api", "1").is_some());
    let other = "europe-docker.pkg.dev/project/repository/other:1";
    let built = world.run(&format!("{PUSH} {other} --create-repository"));
    assert_eq!(built.code, 0, "{built}");
    let said = world.said();
    let creations: Vec<_> = said.lines().filter(|it| it.contains(" create ")).collect();
    assert_eq!(
        creations,
        [
            "gcloud artifacts repositories create repository --repository-format=docker --location=europe --project=project"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_specification_gets_its_repository_too() {
    let world = amazon().await;
    world.install_all();
    let spec =
        format!("registry: {ECR}/team\nname: api\nbase_image: {ECR}/team/base:1\ncopy: [hello]\n");
    std::fs::write(world.home.path("project/spec.yaml"), spec).unwrap();
    // Whether it is there is asked first: a repository that is missing is a plain no.
    let built = world.run("boxwright build spec.yaml --push --create-repository");
    assert_eq!(world.said(), CREATES, "{built}");
    assert!(!built.stderr.contains("is unknown"), "{built}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_vendors_program_refuses_is_told_in_its_words_before_a_build() {
    let world = amazon().await;
    let push = format!("{PUSH} {ECR}/team/api:1 --create-repository");
    let without = world.run(&push);
    assert_eq!(without.code, 1, "{without}");
    assert!(
        without.stderr.contains("help: install `aws`, or create it elsewhere: `aws ecr"),
        "{without}"
    );
    world.install("aws", "echo 'An error occurred (AccessDeniedException)' >&2; exit 254");
    let denied = world.run(&push);
    assert_eq!(denied.code, 1, "{denied}");
    assert!(denied.stderr.contains("`aws` failed: An error occurred (AccessDenied"), "{denied}");
    assert!(denied.stderr.contains(&format!("run it yourself to see more: `{}`", CREATES.trim())));
    assert!(!denied.stderr.contains("COPY"), "nothing is built: {denied}");
    // A program that says it did, and did not: the push is still refused.
    world.install("aws", "exit 0");
    let lied = world.run(&push);
    assert_eq!(lied.code, 1, "{lied}");
    assert!(lied.stderr.contains("cannot be pushed to"), "{lied}");
    let elsewhere =
        world.run("boxwright build . --push -t harbor.example/a/b:1 --create-repository");
    assert_ne!(elsewhere.code, 0, "{elsewhere}");
}

/// Two builds that begin at once both ask for it, and one of them is told that it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repository_that_somebody_else_just_created_will_do() {
    let world = amazon().await;
    let folder = world.home.path("repositories").display().to_string();
    let first = format!("mkdir -p {folder}/team; echo > {folder}/team/api");
    world.install("aws", &format!("{first}\n{}", aws(&folder)));
    let built = world.run(&format!("{PUSH} {ECR}/team/api:1 --create-repository"));
    assert_eq!(built.code, 0, "{built}");
    assert!(world.registry.manifest("team/api", "1").is_some());
}
