//! From the path of a request to the work that answers it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use boxwright_core::Result;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::agents::Agents;
use super::run::Runs;
use super::{ServeSettings, Steps};
use crate::protocol::failure::to_status;
use crate::protocol::messages::{CancelRequest, HelloAnswer, HelloRequest, Layers, Nothing};
use crate::protocol::{self, call, step};

/// What all calls of a connection share.
#[derive(Debug)]
pub(super) struct Worker<S> {
    pub(super) steps: S,
    pub(super) settings: ServeSettings,
    pub(super) runs: Runs,
    pub(super) agents: Agents,
}

impl<S: Steps> Worker<S> {
    pub(super) fn new(steps: S, settings: ServeSettings) -> Self {
        Self { steps, settings, runs: Runs::default(), agents: Agents::default() }
    }

    /// Does `work` in a thread that may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let steps = self.steps.clone();
        let done = boxwright_image::pipe::blocking(move || work(&steps)).await;
        done.map_err(|error| to_status(&error))
    }

    fn hello(&self, request: &HelloRequest) -> HelloAnswer {
        // A client of another version finds out by the answer; there is nothing to do with it here.
        let _ = request;
        HelloAnswer {
            protocol: protocol::PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            stacking: self.steps.stacking().to_owned(),
            owners: self.steps.has_owners(),
        }
    }

    async fn missing(&self, request: Layers) -> Result<Layers, Status> {
        let parsed: Result<Vec<_>> =
            request.diff_ids.iter().map(|text| step::digest(text)).collect();
        let diff_ids = parsed.map_err(|error| to_status(&error))?;
        let missing = self.blocking(move |steps| steps.missing(&diff_ids)).await?;
        Ok(Layers { diff_ids: missing.into_iter().map(Into::into).collect() })
    }
}

/// Answers requests of one connection.
#[derive(Debug)]
pub(super) struct Dispatch<S>(pub(super) Arc<Worker<S>>);

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S: Steps> Service<Request<Incoming>> for Dispatch<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let worker = self.0.clone();
        Box::pin(async move { Ok(answer(worker, request.map(Body::new)).await) })
    }
}

/// Answers one request. Each arm only unwraps what the library wraps.
async fn answer<S: Steps>(worker: Arc<Worker<S>>, request: Request<Body>) -> Response<Body> {
    match request.uri().path() {
        call::HELLO => {
            let work = service_fn(|request: tonic::Request<HelloRequest>| {
                let answer = worker.hello(&request.into_inner());
                std::future::ready(Ok::<_, Status>(tonic::Response::new(answer)))
            });
            grpc().unary(work, request).await
        }
        call::MISSING => {
            let work = service_fn(|request: tonic::Request<Layers>| {
                let worker = worker.clone();
                async move { worker.missing(request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc().unary(work, request).await
        }
        call::PUT_LAYER => {
            let work = service_fn(|request: tonic::Request<tonic::Streaming<_>>| {
                let worker = worker.clone();
                async move { worker.put_layer(request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc().client_streaming(work, request).await
        }
        call::GET_LAYER => {
            let work = service_fn(|request: tonic::Request<_>| {
                let worker = worker.clone();
                async move { worker.get_layer(request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc().server_streaming(work, request).await
        }
        call::RUN => {
            let work = service_fn(|request: tonic::Request<_>| {
                let worker = worker.clone();
                async move { super::run::run(worker, request.into_inner()).map(tonic::Response::new) }
            });
            grpc().server_streaming(work, request).await
        }
        call::CANCEL => {
            let work = service_fn(|request: tonic::Request<CancelRequest>| {
                worker.runs.cancel(request.into_inner().run);
                std::future::ready(Ok::<_, Status>(tonic::Response::new(Nothing {})))
            });
            grpc().unary(work, request).await
        }
        call::AGENT => {
            let work = service_fn(|request: tonic::Request<tonic::Streaming<_>>| {
                let worker = worker.clone();
                async move { worker.agents.carry(request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc().streaming(work, request).await
        }
        path => Status::new(Code::Unimplemented, format!("no such call: {path}")).into_http(),
    }
}

fn grpc<A, Q>() -> Grpc<ProstCodec<A, Q>>
where
    A: Message + Send + 'static,
    Q: Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .max_decoding_message_size(protocol::MESSAGE)
        .max_encoding_message_size(protocol::MESSAGE)
}
