//! The way of a request: the gate, then the service that it is for.

use crate::admin;
use bytes::Bytes;
use durastack_driver::Clockwork;
use durastack_edge::{Context, Handler};
use durastack_gate::{Admitted, Gate, Service};
use durastack_svc_fnf::{Fnf, check_media_type};
use durastack_svc_lambda::Lambda;
use durastack_wire::{Found, IntoWire, Op, Routes, coverage_markdown, rpc, unknown_operation};
use http::{Request, Response, request::Parts};
use std::sync::Arc;

/// Everything that answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) gate: Gate,
    pub(crate) routes: Routes<Lambda>,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) fnf_routes: rpc::Routes<Fnf>,
    pub(crate) fnf: Arc<Fnf>,
    pub(crate) clockwork: Arc<Clockwork>,
}

impl Server {
    fn op(&self, service: Service, head: &Parts) -> Option<&Op> {
        match service {
            Service::Lambda => self.routes.find(&head.method, &head.uri).map(Found::into_op),
            // Told by its action, which stands in the body.
            Service::Sts => None,
        }
    }
}

impl Handler for Server {
    fn body_limit(&self, head: &Parts) -> usize {
        self.gate.body_bytes_max(head, |service| self.op(service, head))
    }

    fn too_large(&self, head: &Parts, context: &Context, length: Option<u64>) -> Response<Bytes> {
        self.gate.too_large(head, context.peer, &context.request_id, length, |service| {
            self.op(service, head)
        })
    }

    async fn call(
        self: Arc<Self>,
        mut request: Request<Bytes>,
        context: Context,
    ) -> Option<Response<Bytes>> {
        let Context { request_id, peer, gone } = context;
        let (service, caller) = match self.gate.admit(&request, peer, &request_id) {
            Ok(Admitted::Admin) => {
                return Some(admin::answer(&self.lambda, &self.clockwork, &request).await);
            }
            Ok(Admitted::Service { service, caller }) => (service, caller),
            Ok(Admitted::Fnf(asked)) => {
                if let Err(refused) = check_media_type(request.headers()) {
                    return asked.frame().failure(&refused.wire());
                }
                // What no operation has, the routes refuse in their own words, and no bucket counts it.
                if let Ok(operation) = self.fnf_routes.find(&asked).map(|op| op.name) {
                    let caller = &asked.caller;
                    let allowed =
                        self.gate.throttle("fnf", operation, caller, &request, &request_id);
                    if let Err(refusal) = allowed {
                        return Some(*refusal);
                    }
                }
                request.extensions_mut().insert(gone);
                let extensions = std::mem::take(request.extensions_mut());
                return self.fnf_routes.call(&self.fnf, *asked, extensions).await;
            }
            Err(refusal) => return Some(*refusal),
        };
        match service {
            Service::Sts => Some(durastack_svc_sts::answer(&request, &caller, &request_id)),
            Service::Lambda => {
                request.extensions_mut().insert(gone);
                let (method, uri) = (request.method().clone(), request.uri().clone());
                match self.routes.find(&method, &uri) {
                    Some(found) => {
                        let (name, operation) = (service.signing_name(), found.op.name);
                        let allowed =
                            self.gate.throttle(name, operation, &caller, &request, &request_id);
                        if let Err(refusal) = allowed {
                            return Some(*refusal);
                        }
                        self.routes.call(&self.lambda, found, request, caller, request_id).await
                    }
                    None => unknown_operation().render(&request_id),
                }
            }
        }
    }
}

/// The table of all operations, as Markdown.
pub(crate) fn coverage() -> String {
    let mut text = String::from(
        "# Operations\n\nMade by `durastack coverage` from the code's own tables.\n\n",
    );
    text.push_str(&coverage_markdown("AWS Lambda", durastack_svc_lambda::routes().ops()));
    text.push('\n');
    text.push_str(&coverage_markdown("AWS STS", &durastack_svc_sts::ops()));
    text.push('\n');
    let fnf = durastack_svc_fnf::routes();
    text.push_str(&rpc::coverage_markdown("Alibaba Cloud Serverless Workflow", fnf.ops()));
    text
}
