//! Proxies from the environment.

use std::sync::Arc;

use boxwright_core::{Anonymous, Host, RegistrySetting, RegistrySettings};
use boxwright_registry::Client;

use crate::server::{Answer, Server};
use crate::setup::{Registry, image, name, told};

/// Returns a client that speaks plain HTTP with `registry`.
fn client(registry: &str, variables: &[(&str, &str)]) -> Client {
    let mut setting = RegistrySetting::default();
    setting.plain_http = Some(true);
    let settings = RegistrySettings([(registry.to_owned(), setting)].into());
    let host = Host::with_variables("/", variables.iter().copied());
    Client::new(&host, Arc::new(settings), Arc::new(Anonymous))
}

#[tokio::test]
async fn a_proxy_is_used_for_others_and_never_for_this_machine() {
    let registry = Registry::with(&image("amd64", 10), "1");
    let proxy = Server::start({
        let registry = Arc::clone(&registry);
        move |seen| registry.answer(seen)
    })
    .await;
    let server = Server::start(move |seen| registry.answer(seen)).await;
    let address = format!("http://{}", proxy.address);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let before = proxy.seen().len();
        let client = client("registry.test:5000", &[(variable, &address)]);
        client.resolve(&name("registry.test:5000", "api:1"), None).await.unwrap();
        assert_eq!(
            proxy.seen().last().unwrap().to_string(),
            "GET http://registry.test:5000/v2/api/manifests/1"
        );
        assert_eq!(proxy.seen().len(), before + 1, "{variable}");
        client.resolve(&name(&server.address, "api:1"), None).await.unwrap();
        assert_eq!(proxy.seen().len(), before + 1, "{variable}");
    }
}

#[tokio::test]
async fn a_registry_elsewhere_sends_nobody_to_this_machine_threat_35() {
    let local = Server::start(|_| Answer::new(200)).await;
    let image = image("amd64", 10);
    let registry = Registry::default();
    let target = format!("http://{}/inner", local.address);
    let proxy = Server::start(move |seen| match seen.method.as_str() {
        "GET" => Answer::new(302).with("Location", &target),
        "POST" => Answer::new(202).with("Location", &target),
        _ => registry.answer(seen),
    })
    .await;
    let address = format!("http://{}", proxy.address);
    let client = client("registry.test:5000", &[("HTTP_PROXY", &address)]);
    let name = name("registry.test:5000", "api:1");
    let errors = [
        client.resolve(&name, None).await.unwrap_err(),
        client.push(&name, &image.manifest, &image.store()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(
            told(&error).contains("redirected to plain HTTP at `localhost:"),
            "{}",
            told(&error)
        );
    }
    assert!(local.seen().is_empty());
}

#[tokio::test]
async fn a_host_in_no_proxy_is_reached_directly() {
    let proxy = Server::start(|_| Answer::new(200)).await;
    let address = format!("http://{}", proxy.address);
    // A label of 64 letters has no address, and no name server is asked to find that out.
    let host = format!("{}.test", "a".repeat(64));
    let client = client(&host, &[("HTTP_PROXY", &address), ("NO_PROXY", "example.com,.test")]);
    let error = client.resolve(&name(&host, "api:1"), None).await.unwrap_err();
    assert!(told(&error).contains("cannot find the address of"), "{}", told(&error));
    assert!(error.remedy().unwrap().starts_with("check the spelling of"));
    assert!(proxy.seen().is_empty());
}
